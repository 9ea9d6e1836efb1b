// Package workload says what the clients of a benchmark do: which rows an
// operation changes, by how much, and how often each row is chosen.
//
// Every workload works on one table of numbered rows that hold a number and a
// version. An operation is a list of [Change]; it is applied as a whole or not
// at all, and a row never goes below zero.
package workload

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// Change adds Delta to the row of Key.
type Change struct {
	// Key is the row's key, from 0 to the number of keys minus one.
	Key int64
	// Delta is what is added to the row's number.
	Delta int64
}

// Workload is one kind of operation.
type Workload struct {
	// Name is the workload's name on command lines and in results.
	Name string
	// Summary is one line of help.
	Summary string
	// Initial is the number that every row holds at first.
	Initial int64
	// MinKeys is the least number of rows that an operation needs.
	MinKeys int
	// Conserved says that operations leave the sum over all rows as it is.
	Conserved bool

	next func(s *Source) []Change
}

// All returns every workload, in the order in which they are shown.
func All() []Workload {
	return []Workload{
		{
			Name: "counter", Summary: "read a number, write it plus one",
			MinKeys: 1, next: (*Source).counter,
		},
		{
			Name: "transfer", Summary: "move an amount between two accounts if the first has it",
			Initial: 1000, MinKeys: 2, Conserved: true, next: (*Source).transfer,
		},
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
func Names() []string {
	var names []string
	for _, w := range All() {
		names = append(names, w.Name)
	}
	return names
}

// Source yields the operations of one client. Equal seeds yield equal
// operations. It is not safe for concurrent use.
type Source struct {
	next    func(s *Source) []Change
	keys    *Sampler
	random  *rand.Rand
	changes [2]Change
}

// Source returns the operations of one client: seed is the experiment's,
// stream tells its clients apart.
func (w Workload) Source(keys *Sampler, seed, stream uint64) *Source {
	return &Source{next: w.next, keys: keys, random: rand.New(rand.NewPCG(seed, stream))}
}

// Next returns the next operation, in ascending order of keys: taking locks in
// one order keeps transactions from deadlocking. The slice is reused.
func (s *Source) Next() []Change { return s.next(s) }

func (s *Source) counter() []Change {
	s.changes[0] = Change{Key: s.keys.Draw(s.random), Delta: 1}
	return s.changes[:1]
}

// maxAmount is the greatest amount of a transfer. With it some transfers meet
// an account that has too little, so that the check of funds is exercised.
const maxAmount = 100

func (s *Source) transfer() []Change {
	a := s.keys.Draw(s.random)
	b := s.keys.drawOther(s.random, a)
	amount := 1 + s.random.Int64N(maxAmount)
	if s.random.IntN(2) == 0 {
		amount = -amount
	}
	s.changes = [2]Change{{Key: min(a, b), Delta: amount}, {Key: max(a, b), Delta: -amount}}
	return s.changes[:]
}
