package occ

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/occkit/occkit/occ/hotkey"
)

// batch is what one round does with one line.
type batch[T any, K comparable] struct {
	line *hotkey.Line[K]
	base *T // the row that the round started from
	ops  []*hotkey.Ticket
	ran  int       // how many of ops have been applied
	last *hotOp[T] // whose row is to be written; nil: nobody wants to
	sole bool      // the row cannot be copied, so that one function has it
	// Functions that fail end their operations only if the row that they saw is
	// known to have been current. It is when the batch is written, when the row
	// is locked, and for those who were there before it was read.
	arrived uint64
	rung    rung
	over    bool // its operations have ended or wait again
}

// final tells whether an operation's error is the last word although nothing was
// written.
func (b *batch[T, K]) final(t *hotkey.Ticket) bool { return t.Number() <= b.arrived }

// current is the row that the next function starts from.
func (b *batch[T, K]) current() *T {
	if b.last != nil {
		return &b.last.row
	}
	return b.base
}

// sweep applies the operations of batches, one after the other.
type sweep[T any, K comparable] struct {
	h        *hot[T, K]
	batches  []*batch[T, K]
	locked   bool      // the row is locked meanwhile
	deadline time.Time // when to leave the rest for the next round
	at       int       // the batch that is being applied
	ran      int
}

// apply applies what waits in the lines of batches. Operations for which there is
// no time left, or no copy of the row, wait again.
func (h *hot[T, K]) apply(batches []*batch[T, K], locked bool, limit int) {
	for _, b := range batches {
		b.ops, b.ran, b.last, b.sole = b.line.Take(b.ops[:0], limit), 0, nil, false
	}
	s := &sweep[T, K]{h: h, batches: batches, locked: locked, deadline: time.Now().Add(h.table.Policy().MaxHold)}
	for s.next() != nil {
		s.run()
	}
	for _, b := range batches {
		if b.ran < len(b.ops) {
			b.line.PutBack(b.ops[b.ran:])
			b.ops = b.ops[:b.ran]
		}
	}
}

// next returns the batch whose next operation is to be applied; nil at the end.
func (s *sweep[T, K]) next() *batch[T, K] {
	if s.ran > 0 && time.Now().After(s.deadline) {
		return nil
	}
	for ; s.at < len(s.batches); s.at++ {
		if b := s.batches[s.at]; b.ran < len(b.ops) && !b.sole {
			return b
		}
	}
	return nil
}

// run applies operations in a goroutine of their own, which a function may end, as
// t.FailNow does. The next operations then get another.
func (s *sweep[T, K]) run() {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		defer s.h.appliers.enter(s)()
		for b := s.next(); b != nil; b = s.next() {
			op := opOf[T](b.ops[b.ran])
			if !s.h.copyTo(b, op) {
				continue
			}
			op.exited = true // unless it comes back
			b.ran++
			s.ran++
			s.h.applyTo(b, op)
			op.exited = false
		}
	}()
	<-ended
}

// copyTo gives an operation its row. Where the current row cannot be copied, the
// first operation gets the row itself and the others wait for the next round.
func (h *hot[T, K]) copyTo(b *batch[T, K], op *hotOp[T]) bool {
	var zero T
	if op.row = zero; h.copier.copy(&op.row, b.current()) {
		return true
	}
	b.sole = true
	if op.row = *b.current(); b.ran > 0 {
		op.row = zero
		return false
	}
	return true
}

// applyTo runs one function on the operation's row, and makes that the current row
// if it succeeds.
func (h *hot[T, K]) applyTo(b *batch[T, K], op *hotOp[T]) {
	op.err, op.panicked = nil, nil
	defer func() {
		if p := recover(); p != nil {
			op.panicked = p
		}
	}()
	row := reflect.ValueOf(&op.row).Elem()
	key := h.c.keys.of(row)
	if op.err = op.change(&op.row); op.err != nil {
		return
	}
	if changed := h.c.keys.of(row); changed != key {
		op.err = h.refuse(b, ErrUsage, fmt.Errorf("the key was changed to %v", changed))
		return
	}
	if err := h.c.version.next(h.version(&op.row), h.version(b.current())); err != nil {
		op.err = h.refuse(b, ErrOverflow, err)
		return
	}
	b.last = op
}

func (h *hot[T, K]) refuse(b *batch[T, K], kind, err error) error {
	return &OpError{Subject: h.c.subject("mutate", b.line.Key), Kind: kind, Err: err}
}

// version is the version in a row.
func (h *hot[T, K]) version(row *T) reflect.Value {
	return h.c.version.field.of(reflect.ValueOf(row).Elem())
}

var errNested = errors.New("the function that changes a row may not change the same row by another Mutate")
