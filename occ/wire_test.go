package occ_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
)

// wire is a transport that passes every call on to a real one, notes it, and
// lets mishaps happen on the way: what a network and a server do to a client,
// and an embedded database never does.
type wire struct {
	inner dialects.DB

	mu      sync.Mutex
	calls   []string
	lent    int
	mishaps []*mishap
}

// mishap is what goes wrong at one kind of call.
type mishap struct {
	// at is the call: "conn", "begin", "commit", "rollback", or the first word
	// of a statement in lower case.
	at string
	// nth is which of these calls goes wrong, the first being 1. Zero: each.
	nth int

	before    error                 // the call is not made, and fails
	after     error                 // the call is made, its answer gets lost
	inRows    error                 // the answer breaks off after its rows: Rows.Err
	uncounted bool                  // the driver cannot tell how many rows were affected
	hook      func(context.Context) // runs before the call
	then      func()                // runs after the statement, once its rows are closed
	panics    any                   // the call panics

	seen int
}

var _ interface {
	dialects.DB
	dialects.Joiner
} = (*wire)(nil)

// newWire returns a wire to inner. When the test ends, every connection must
// have been given back.
func newWire(t testing.TB, inner dialects.DB) *wire {
	w := &wire{inner: inner}
	t.Cleanup(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		require.Zero(t, w.lent, "connections that were never released, after %q", w.calls)
	})
	return w
}

// plan replaces what goes wrong from now on, and forgets the calls so far.
func (w *wire) plan(mishaps ...*mishap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mishaps, w.calls = mishaps, nil
}

// trace returns the calls since plan: "conn select release".
func (w *wire) trace() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Join(w.calls, " ")
}

// at notes a call and returns the mishap that is due.
func (w *wire) at(ctx context.Context, call string) *mishap {
	w.mu.Lock()
	w.calls = append(w.calls, call)
	due := &mishap{}
	for _, m := range w.mishaps {
		if m.at != call {
			continue
		}
		if m.seen++; m.nth == 0 || m.nth == m.seen {
			due = m
		}
	}
	w.mu.Unlock()
	if due.hook != nil {
		due.hook(ctx)
	}
	if due.panics != nil {
		panic(due.panics)
	}
	return due
}

// control makes a call that returns nothing but an error.
func (w *wire) control(ctx context.Context, call string, do func() error) error {
	m := w.at(ctx, call)
	if m.before != nil {
		return m.before
	}
	if err := do(); err != nil {
		return err
	}
	return m.after
}

func (w *wire) Conn(ctx context.Context) (dialects.Conn, error) {
	var c dialects.Conn
	err := w.control(ctx, "conn", func() (err error) {
		c, err = w.inner.Conn(ctx)
		return err
	})
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lent++
	return &wireConn{wireQuerier{w, c}, c, false}, nil
}

func (w *wire) Join(tx any) (dialects.Querier, error) {
	q, err := w.inner.(dialects.Joiner).Join(tx)
	if err != nil {
		return nil, err
	}
	return wireQuerier{w, q}, nil
}

type wireQuerier struct {
	w *wire
	q dialects.Querier
}

func word(text string) string {
	if text == "SELECT 1" {
		return "ping"
	}
	first, _, _ := strings.Cut(text, " ")
	return strings.ToLower(first)
}

func (q wireQuerier) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	m := q.w.at(ctx, word(text))
	if m.before != nil {
		return nil, m.before
	}
	rows, err := q.q.Query(ctx, text, args)
	switch {
	case err != nil:
		return nil, err
	case m.after != nil: // let it run to its end
		for rows.Next() {
		}
		rows.Close()
		return nil, m.after
	case m.inRows != nil || m.then != nil:
		return faultyRows{rows, m}, nil //nolint:nilerr // it comes at the end of the rows
	}
	return rows, nil
}

func (q wireQuerier) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	m := q.w.at(ctx, word(text))
	if m.before != nil {
		return dialects.Result{}, m.before
	}
	res, err := q.q.Exec(ctx, text, args)
	if err == nil && (m.after != nil || m.inRows != nil) {
		return dialects.Result{}, firstErr(m.after, m.inRows)
	}
	if m.then != nil {
		m.then()
	}
	if m.uncounted {
		res.RowsAffected = -1
	}
	return res, err
}

func firstErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// faultyRows yields its rows, and then tells that there was an error.
type faultyRows struct {
	dialects.Rows
	m *mishap
}

func (r faultyRows) Err() error { return firstErr(r.m.inRows, r.Rows.Err()) }

func (r faultyRows) Close() {
	r.Rows.Close()
	if r.m.then != nil {
		r.m.then()
	}
}

type wireConn struct {
	wireQuerier
	c        dialects.Conn
	released bool
}

func (c *wireConn) Begin(ctx context.Context, text string) error {
	return c.w.control(ctx, "begin", func() error { return c.c.Begin(ctx, text) })
}

// Commit passes COMMIT on. A mishap of class Conflict or Duplicate is the
// server's answer that it rolled back instead.
func (c *wireConn) Commit(ctx context.Context) error {
	m := c.w.at(ctx, "commit")
	if errors.Is(m.before, errSerial) || errors.Is(m.before, errTwice) || errors.Is(m.before, dialects.ErrRolledBack) {
		return firstErr(c.c.Rollback(ctx), m.before)
	}
	if m.before != nil {
		return m.before
	}
	return firstErr(c.c.Commit(ctx), m.after)
}

func (c *wireConn) Rollback(ctx context.Context) error {
	return c.w.control(ctx, "rollback", func() error { return c.c.Rollback(ctx) })
}

func (c *wireConn) Release(discard bool) {
	c.w.mu.Lock()
	if c.released {
		panic("released twice")
	}
	c.released = true
	c.w.lent--
	call := "release"
	if discard {
		call = "discard"
	}
	c.w.calls = append(c.w.calls, call)
	c.w.mu.Unlock()
	c.c.Release(discard)
}
