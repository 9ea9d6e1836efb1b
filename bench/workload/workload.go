// Package workload says what the clients of a benchmark do: which rows an
// operation changes, by how much, and how often each row is chosen.
//
// Every workload works on one table of numbered rows that hold a number and a
// version. An operation is an [Op]; it is applied as a whole or not at all, and
// a row never goes below zero.
package workload

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Workload is one kind of operation.
type Workload struct {
	// Name is the workload's name on command lines and in results.
	Name string
	// Summary is one line of help.
	Summary string
	// Extra says that the workload is run only when it is asked for by name.
	Extra bool
	// Initial is the number that every row holds at first.
	Initial int64
	// Rows is how many rows an operation reads, and the least number of rows that
	// there must be.
	Rows int
	// Bulk says that operations change many rows at once, without looking at them
	// first: what set-based statements are made for. Rows may then be chosen.
	Bulk bool
	// Paired says that rows are pairs, 2k and 2k+1, of which one at least is above
	// zero at any time. The number of keys must be even.
	Paired bool
	// Conserved says that operations leave the sum over all rows as it is.
	Conserved bool

	next func(s *Source) Op
}

// The number of rows of a bulk operation.
const (
	// DefaultBatch is the usual one.
	DefaultBatch = 100
	// MaxBatch is the greatest one. Statements with so many parameters still work
	// on every database.
	MaxBatch = 10_000
)

// All returns every workload, in the order in which they are shown.
func All() []Workload {
	return []Workload{
		{
			Name: "counter", Summary: "read a number, write it plus one",
			Rows: 1, next: (*Source).counter,
		},
		{
			Name: "transfer", Summary: "move an amount between two accounts if the first has it",
			Initial: 1000, Rows: 2, Conserved: true, next: (*Source).transfer,
		},
		{
			Name: "doctors", Summary: "leave a duty of two if the other one stays, or come back (write skew)",
			Extra: true, Initial: onCall, Rows: 2, Paired: true, next: (*Source).doctors,
		},
		{
			Name: "batch", Summary: "add one to each of many rows, 100 unless --batch says otherwise",
			Extra: true, Rows: DefaultBatch, Bulk: true, next: (*Source).batch,
		},
	}
}

// Sized returns the workload with operations on the given number of rows, if
// that can be chosen.
func (w Workload) Sized(rows int) Workload {
	if w.Bulk {
		w.Rows = rows
	}
	return w
}

// Keys returns the usual number of keys: few, so that clients meet, or hundreds
// for each row of a bulk operation, which would meet all others otherwise.
func (w Workload) Keys() int {
	if w.Bulk {
		return 100 * w.Rows
	}
	return 8
}

// Fits returns an error that says what to change when the number of keys is none
// for the workload.
func (w Workload) Fits(keys int) error {
	switch {
	case keys < w.Rows:
		return fmt.Errorf("workload %s needs at least %d keys, not %d: raise keys, or choose other workloads", w.Name, w.Rows, keys)
	case w.Paired && keys%2 != 0:
		return fmt.Errorf("workload %s needs an even number of keys, not %d: its rows are pairs", w.Name, keys)
	default:
		return nil
	}
}

// Find returns the workload of a name. An unknown name is an error that lists
// the known ones.
func Find(name string) (Workload, error) {
	for _, w := range All() {
		if w.Name == name {
			return w, nil
		}
	}
	return Workload{}, fmt.Errorf("unknown workload %q: choose from %s", name, strings.Join(Names(), ", "))
}

// Names returns the names of all workloads.
func Names() []string { return names(func(Workload) bool { return true }) }

// Defaults returns the names of the workloads that are run unless others are
// asked for.
func Defaults() []string { return names(func(w Workload) bool { return !w.Extra }) }

func names(wanted func(Workload) bool) []string {
	var names []string
	for _, w := range All() {
		if wanted(w) {
			names = append(names, w.Name)
		}
	}
	return names
}

// Source returns the operations of one client: seed is the experiment's,
// stream tells its clients apart.
func (w Workload) Source(keys *Sampler, seed, stream uint64) *Source {
	s := &Source{
		next: w.next, sampler: keys, random: rand.New(rand.NewPCG(seed, stream)),
		keys: make([]int64, w.Rows), deltas: make([]int64, w.Rows),
	}
	if w.Bulk {
		s.taken = make(map[int64]struct{}, w.Rows)
	}
	return s
}
