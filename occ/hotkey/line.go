package hotkey

import (
	"slices"
	"time"
)

// Line is the queue of one key. A line that a [Work] function was given belongs to
// it until the function returns or, if it was detached, until Release; only then
// may State be used.
type Line[K comparable] struct {
	// Key is the key.
	Key K
	// State is what the work function remembers of the key from one round to the
	// next. It is nil at first, and again after [Policy.Idle] without operations.
	State any

	table   *Table[K]
	waiting []*Ticket // urgent ones first, each group in the order of arrival
	urgent  int       // how many of them are urgent
	arrived uint64
	met     bool      // a conflict, since Conflicted was called
	busy    bool      // belongs to a work function
	round   *round[K] // that it belongs to; nil once detached
	listed  bool      // is in the table's list of lines with work
	used    time.Time
}

// Arrived returns the number of the operation that came last. Operations whose
// [Ticket.Number] is not greater were there before the call.
func (l *Line[K]) Arrived() uint64 {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	return l.arrived
}

// Conflicted tells whether an operation queued after a conflict ([AfterConflict])
// since the last call: others than this table's operations write the row.
func (l *Line[K]) Conflicted() bool {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	met := l.met
	l.met = false
	return met
}

// Take appends up to n waiting operations to taken, and returns it. Their
// callers cannot leave until the operations are finished or put back.
func (l *Line[K]) Take(taken []*Ticket, n int) []*Ticket {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	n = min(n, len(l.waiting))
	for _, op := range l.waiting[:n] {
		op.taken = true
	}
	taken = append(taken, l.waiting[:n]...)
	l.waiting = slices.Delete(l.waiting, 0, n)
	l.urgent = max(0, l.urgent-n)
	return taken
}

// Finish lets the callers of operations go on. Nothing of the operations may be
// used afterwards.
func (l *Line[K]) Finish(ops []*Ticket) {
	t := l.table
	t.mu.Lock()
	if r := l.round; r != nil && len(ops) > 0 {
		r.finished += int64(len(ops))
		if !r.slow { // else another round has its place
			t.gathering = r
		}
	}
	t.mu.Unlock()
	for _, op := range ops {
		op.finish()
	}
}

// PutBack makes operations wait again, before all others and in the order given.
// Those whose callers wanted to leave meanwhile leave now.
func (l *Line[K]) PutBack(ops []*Ticket) {
	l.table.mu.Lock()
	defer l.table.mu.Unlock()
	stay := make([]*Ticket, 0, len(ops))
	for _, op := range ops {
		op.taken, op.urgent = false, true // ahead of those that are urgent
		if op.leaving {
			op.left = true
			op.finish()
			continue
		}
		stay = append(stay, op)
	}
	l.waiting = slices.Insert(l.waiting, 0, stay...)
	l.urgent += len(stay)
}

// Detach keeps the line beyond the end of the round, until Release.
func (l *Line[K]) Detach() {
	l.table.mu.Lock()
	l.round = nil
	l.table.mu.Unlock()
}

// Release gives a detached line back to its table, which hands it out again when
// operations wait. It may be called from any goroutine, after the round or before
// its end.
func (l *Line[K]) Release() {
	t := l.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.release(l, time.Now())
	if l.listed {
		t.startIfNeeded()
	}
}

// add queues an operation.
func (l *Line[K]) add(op *Ticket) {
	l.arrived++
	op.number = l.arrived
	if !op.urgent {
		l.waiting = append(l.waiting, op)
		return
	}
	l.waiting = slices.Insert(l.waiting, l.urgent, op)
	l.urgent++
}

// remove takes a waiting operation out of the queue.
func (l *Line[K]) remove(op *Ticket) {
	i := slices.IndexFunc(l.waiting, func(other *Ticket) bool { return other == op })
	l.waiting = slices.Delete(l.waiting, i, i+1)
	if i < l.urgent {
		l.urgent--
	}
}
