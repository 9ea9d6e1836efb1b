package occ

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// slot is where a row of a unit stands among the others.
type slot struct {
	table   string
	bound   []any // the key, as it is bound
	written int   // when body wrote it, counted from 1
	creates bool  // it is inserted
	changes bool  // it is inserted, updated or deleted
	dropped bool  // it is no part of the unit any more
}

// plan is the rows of a unit in the order in which the commit has to do with them.
type plan struct {
	members []member
}

var errTwoRepositories = errors.New("two repositories of one table hold the same row, and one of them writes it: use one repository for it")

// plan orders the rows. Those that exist come in the order of their keys, in
// which every unit everywhere locks them, so that units do not deadlock; so do the
// new rows of one table after them. Tables that get new rows come in the order of
// body: a row that refers to another is inserted after it.
func (tx *Tx) plan() (*plan, error) {
	p := &plan{}
	first := map[string]int{} // when body first inserted into a table
	for _, m := range tx.members {
		m.locate()
		s := m.at()
		if s.dropped || tx.relaxed && !s.changes {
			continue
		}
		if at := first[s.table]; s.creates && (at == 0 || s.written < at) {
			first[s.table] = s.written
		}
		p.members = append(p.members, m)
	}
	slices.SortFunc(p.members, func(x, y member) int {
		a, b := x.at(), y.at()
		switch {
		case a.creates != b.creates:
			return cmp.Compare(truth(a.creates), truth(b.creates))
		case a.creates && a.table != b.table:
			return cmp.Compare(first[a.table], first[b.table])
		}
		return cmp.Or(a.compare(b), cmp.Compare(a.written, b.written))
	})
	for i := 1; i < len(p.members); i++ {
		a, b := p.members[i-1].at(), p.members[i].at()
		if !b.creates && a.compare(b) == 0 && (a.changes || b.changes) {
			return nil, fmt.Errorf("%s%v: %w", b.table, b.bound, errTwoRepositories)
		}
	}
	return p, nil
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

// written returns the rows that are written, in the order of body.
func (p *plan) written() []member {
	written := slices.DeleteFunc(slices.Clone(p.members), func(m member) bool { return !m.at().changes })
	slices.SortStableFunc(written, func(x, y member) int { return cmp.Compare(x.at().written, y.at().written) })
	return written
}

// reorders tells whether the plan's order of writes is not that of body.
func (p *plan) reorders() bool {
	last := 0
	for _, m := range p.members {
		if s := m.at(); s.changes {
			if s.written < last {
				return true
			}
			last = s.written
		}
	}
	return false
}

// compare orders rows by table and key.
func (s *slot) compare(other *slot) int {
	return cmp.Or(strings.Compare(s.table, other.table), slices.CompareFunc(s.bound, other.bound, compareBound))
}

// compareBound orders two values of one key column.
func compareBound(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
	case []byte:
		if b, ok := b.([]byte); ok {
			return bytes.Compare(a, b)
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b)
		}
	}
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}
