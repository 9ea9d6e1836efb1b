// Package report shows what a benchmark found: a table and a verdict for
// people, JSON for programs, and a progress line while it runs.
package report

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/bench/strategy"
)

// Table writes one table for each workload.
func Table(w io.Writer, r bench.Result) error {
	var names []string
	for _, cell := range r.Cells {
		if !slices.Contains(names, cell.Workload) {
			names = append(names, cell.Workload)
		}
	}
	var b strings.Builder
	for _, name := range names {
		cells := slices.DeleteFunc(slices.Clone(r.Cells), func(c bench.Cell) bool { return c.Workload != name })
		heading(&b, r.Environment, cells[0])
		rows := [][]string{columns}
		for _, cell := range cells {
			rows = append(rows, row(cell))
		}
		align(&b, perProcess(perRow(rows, cells), cells))
		ways(&b, cells)
		collisions(&b, cells)
		declined(&b, cells)
		failures(&b, cells)
		b.WriteByte('\n')
	}
	_, err := io.WriteString(w, b.String())
	return err
}

var columns = []string{
	"strategy", "commits/s", "95 % CI", "attempts/commit", "p50", "p99", "fairness", "lost", "duplicate", "gave up", "check",
}

// perRow adds a column after the commits per second where commits change a number
// of rows that was chosen.
func perRow(rows [][]string, cells []bench.Cell) [][]string {
	if cells[0].Batch == 0 {
		return rows
	}
	return column(rows, 2, "rows/s", func(i int) string {
		return Count(int64(cells[i].CommitsPerS.Median*float64(cells[i].Batch) + 0.5))
	})
}

// perProcess adds a column after the clients' fairness where they are in several
// processes: the share of the commits that the slowest process made.
func perProcess(rows [][]string, cells []bench.Cell) [][]string {
	if cells[0].Procs < 2 {
		return rows
	}
	return column(rows, slices.Index(rows[0], "fairness")+1, "least share", func(i int) string {
		var least []float64
		for _, rep := range cells[i].Reps {
			least = append(least, slices.Min(rep.Shares))
		}
		return percent(median(least), 0)
	})
}

// column inserts a column.
func column(rows [][]string, at int, head string, text func(i int) string) [][]string {
	wider := [][]string{slices.Insert(slices.Clone(rows[0]), at, head)}
	for i, row := range rows[1:] {
		wider = append(wider, slices.Insert(row, at, text(i)))
	}
	return wider
}

func heading(b *strings.Builder, e bench.Environment, c bench.Cell) {
	what := c.Workload
	if c.Batch > 0 {
		what += " of " + plural(int64(c.Batch), "row")
	}
	clients := plural(int64(c.Clients), "client")
	if c.Procs > 1 {
		clients += " in " + Count(int64(c.Procs)) + " processes"
	}
	fmt.Fprintf(b, "%s: %s on %s (%s), %s %s over %s%s, %s of %s, interleaved\n", what,
		clients, plural(int64(c.Keys), "key"), c.Dist,
		e.Database, e.Server, plural(int64(e.Connections), "connection"), distance(e),
		plural(int64(len(c.Reps)), "repetition"), time.Duration(e.DurationS*float64(time.Second)))
}

// distance tells what was added between the clients and the disk.
func distance(e bench.Environment) string {
	var text string
	if e.DelayMS > 0 {
		text = fmt.Sprintf(", %v ms away", e.DelayMS)
	}
	if e.CommitDelayMS > 0 {
		text += fmt.Sprintf(", commits of %v ms", e.CommitDelayMS)
	}
	return text
}

func row(c bench.Cell) []string {
	var sum bench.Rep
	var p50, p99, jain []float64
	for _, rep := range c.Reps {
		sum.Commits += rep.Commits
		sum.Attempts += rep.Attempts
		sum.Lost += rep.Lost
		sum.Duplicate += rep.Duplicate
		sum.OutOfOrder += rep.OutOfOrder
		sum.GaveUp += rep.GaveUp
		sum.Broken += rep.Broken
		p50 = append(p50, float64(rep.LatencyUS.P50))
		p99 = append(p99, float64(rep.LatencyUS.P99))
		jain = append(jain, rep.Jain)
	}
	exact := sum.Lost+sum.Duplicate+sum.OutOfOrder+sum.Broken == 0
	return []string{
		c.Strategy, Count(int64(c.CommitsPerS.Median + 0.5)), interval(c.CommitsPerS),
		ratio(sum.Attempts, sum.Commits), micros(median(p50)), micros(median(p99)),
		strconv.FormatFloat(median(jain), 'f', 2, 64), Count(sum.Lost), Count(sum.Duplicate), Count(sum.GaveUp),
		check(c.Strategy, exact, sum.Lost > 0),
	}
}

// check is the last column: is the strategy what it should be?
func check(name string, exact, lost bool) string {
	s, err := strategy.Find(name)
	switch control := err == nil && s.Control; {
	case control && lost:
		return "caught"
	case control:
		return "NOT CAUGHT"
	case exact:
		return "exact"
	default:
		return "VIOLATED"
	}
}

func interval(i bench.Interval) string {
	if i.CILow == nil || i.CIHigh == nil {
		return "-"
	}
	return Count(int64(*i.CILow+0.5)) + " to " + Count(int64(*i.CIHigh+0.5))
}

func ratio(a, b int64) string {
	if b == 0 {
		return "-"
	}
	return strconv.FormatFloat(float64(a)/float64(b), 'f', 2, 64)
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// micros renders microseconds as milliseconds, to three digits or so.
func micros(us float64) string {
	ms := us / 1000
	switch {
	case ms >= 100:
		return Count(int64(ms+0.5)) + " ms"
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	default:
		return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
	}
}

// Count renders a number with commas.
func Count(n int64) string {
	text := strconv.FormatInt(n, 10)
	sign := ""
	if n < 0 {
		sign, text = "-", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Count(n) + " " + noun + "s"
}

// align writes rows in columns: the first and the last to the left, numbers to
// the right.
func align(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, text := range r {
			widths[i] = max(widths[i], len(text))
		}
	}
	last := len(widths) - 1
	for _, r := range rows {
		fmt.Fprintf(b, "  %-*s", widths[0], r[0])
		for i := 1; i < last; i++ {
			fmt.Fprintf(b, "  %*s", widths[i], r[i])
		}
		fmt.Fprintf(b, "  %s\n", r[last])
	}
}

// OneLine renders an error without line breaks.
func OneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
