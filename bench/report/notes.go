package report

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/occkit/occkit/bench"
)

// collisions compares the contention that was wanted with what was produced.
func collisions(b *strings.Builder, cells []bench.Cell) {
	var measured []float64
	var conflicts []string
	var predicted *float64
	for _, c := range cells {
		for _, rep := range c.Reps {
			measured = append(measured, rep.Collision)
		}
		if p := c.ConflictsPerCommit.Predicted; p != nil {
			predicted = p
			conflicts = append(conflicts, c.Strategy+" "+decimals(c.ConflictsPerCommit.Measured, 4))
		}
	}
	fmt.Fprintf(b, "  (two choices of a row are the same: %s predicted, %s measured)\n",
		percent(cells[0].Collision.Predicted, 3), percent(median(measured), 3))
	if predicted != nil {
		fmt.Fprintf(b, "  (conflicts per commit: %s predicted; measured: %s)\n",
			decimals(*predicted, 4), strings.Join(conflicts, ", "))
	}
}

// ways tells how occkit ran the operations of strategies that leave it the choice.
func ways(b *strings.Builder, cells []bench.Cell) {
	for _, c := range cells {
		sum, all := map[string]int64{}, int64(0)
		for _, rep := range c.Reps {
			for name, n := range rep.Ways {
				sum[name] += n
				all += n
			}
		}
		names := slices.SortedFunc(maps.Keys(sum), func(x, y string) int {
			return cmp.Or(cmp.Compare(sum[y], sum[x]), cmp.Compare(x, y))
		})
		if len(names) < 2 {
			continue // nothing that its name does not say
		}
		for i, name := range names {
			names[i] = percent(float64(sum[name])/float64(all), 1) + " " + name
		}
		fmt.Fprintf(b, "  (%s ran %s)\n", c.Strategy, strings.Join(names, ", "))
	}
}

func percent(share float64, places int) string { return decimals(100*share, places) + " %" }

func decimals(x float64, places int) string { return strconv.FormatFloat(x, 'f', places, 64) }

// declined explains operations that are counted nowhere.
func declined(b *strings.Builder, cells []bench.Cell) {
	var n int64
	for _, c := range cells {
		for _, rep := range c.Reps {
			n += rep.Declined
		}
	}
	if n > 0 {
		fmt.Fprintf(b, "  (%s met rows that did not allow them and changed nothing; they are not counted)\n", plural(n, "operation"))
	}
}

// failures shows an error of each strategy that had some.
func failures(b *strings.Builder, cells []bench.Cell) {
	for _, c := range cells {
		var errs int64
		var first error
		for _, rep := range c.Reps {
			errs += rep.Errors + rep.GaveUp
			if first == nil {
				first = rep.FirstError
			}
		}
		if first != nil {
			fmt.Fprintf(b, "  (%s: %s without a commit, the first: %s)\n", c.Strategy, plural(errs, "operation"), OneLine(first))
		}
	}
}
