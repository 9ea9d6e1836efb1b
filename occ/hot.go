package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/hotkey"
	"github.com/occkit/occkit/occ/observe"
)

// hot runs Mutate for keys that many callers of this process want at once.
//
// Callers queue per key. A round reads the row, unless the last round left it
// behind, applies what waits to the row in memory, one function after the other,
// and writes the result in one checked statement whose version moves by the number
// of functions. So each function has a version of its own, as if it had been
// written by itself. When the check fails, nothing was written: all functions run
// again on a fresh row, which is locked this time.
type hot[T any, K comparable] struct {
	c       *core[T, K]
	table   *hotkey.Table[K]
	copier  *copier[T]
	step    dialects.Statement                 // an update that sets the version
	group   atomic.Pointer[dialects.Statement] // the same for many rows
	forward bool                               // a written row may be what the next round starts from

	appliers appliers
}

// hotOp is a Mutate that queues.
type hotOp[T any] struct {
	ticket hotkey.Ticket
	change func(*T) error

	row      T         // what change made of the row
	err      error     // why nothing was written
	tries    int       // how many attempts failed
	failed   []failure // why, if anybody wants to know
	rung     rung      // how it was run in the end
	panicked any       // what change panicked with
	exited   bool      // change ended its goroutine
}

// opOf returns the operation behind a ticket.
func opOf[T any](t *hotkey.Ticket) *hotOp[T] { return t.Op.(*hotOp[T]) } //nolint:forcetypeassert // set by mutate

// broke tells whether the function did not come back.
func (op *hotOp[T]) broke() bool { return op.panicked != nil || op.exited }

// newHot returns nil where nothing queues.
func newHot[T any, K comparable](c *core[T, K], immutable []reflect.Type) (*hot[T, K], error) {
	policy := c.db.opts.Contention
	if policy.Mode == hotkey.Backoff || policy.Mode == hotkey.Lock || c.readBack {
		return nil, nil //nolint:nilnil // there is no error in that
	}
	h := &hot[T, K]{c: c, copier: newCopier[T](c.m, immutable)}
	// What the server computes is not known before the row is read again.
	h.forward = !slices.ContainsFunc(c.m.table.Columns, func(col dialects.Column) bool { return col.ReadOnly })
	var err error
	stepped := c.stepped()
	if h.step, err = c.db.dialect.Update(stepped); err != nil {
		return nil, err
	}
	_, multi := c.db.dialect.(dialects.MultiReader)
	if _, ok := c.db.dialect.(dialects.ArrayWriter); !ok || !multi {
		policy.MaxKeys = 1
	}
	if !h.forward || c.version.kind == dialects.Xmin { // the second of a batch would not see what the first did
		policy.MaxBatch = 1
	}
	h.table = hotkey.New(policy, h.work)
	return h, nil
}

// stepped is the table as statements see it that move the version by several: the
// new version is bound, as a token is, and not computed by the database.
func (c *core[T, K]) stepped() *dialects.Table {
	t := c.m.table
	if c.version.kind != dialects.Counter {
		return &t
	}
	t.Columns = append([]dialects.Column(nil), t.Columns...)
	t.Columns[c.m.version].Version = dialects.Token
	return &t
}

// rung is how a Mutate was run.
type rung uint8

const (
	alone rung = iota
	gated
	combined
	grouped
	locked
	rungs
)

// String returns the rung's name, which is stable.
func (r rung) String() string {
	return [rungs]string{"alone", "gate", "combine", "group", "lock"}[r]
}

type rungCounts [rungs]atomic.Int64

// Contention counts how [Repository.Mutate] was run so far, in this process.
type Contention struct {
	hotkey.Stats
	// Alone ran by themselves. Gated had a write of their own after a turn in the
	// queue. Combined shared a write with others of the same row, Grouped a
	// statement with other rows. Locked were done under a row lock, after a
	// conflict or because the policy says so.
	Alone, Gated, Combined, Grouped, Locked int64
}

// Contention returns the counts. They are not of one instant.
func (r *Repository[T, K]) Contention() Contention {
	count := &r.core.rungs
	c := Contention{
		Alone: count[alone].Load(), Gated: count[gated].Load(), Combined: count[combined].Load(),
		Grouped: count[grouped].Load(), Locked: count[locked].Load(),
	}
	if h := r.core.hot; h != nil {
		c.Stats = h.table.Stats()
	}
	return c
}

type urgentKey struct{}

// Urgent marks the operations that are done with the returned context as urgent:
// where [Repository.Mutate] queues for its key, they go before all that are not.
func Urgent(ctx context.Context) context.Context { return context.WithValue(ctx, urgentKey{}, true) }

func isUrgent(ctx context.Context) bool { return ctx.Value(urgentKey{}) != nil }

// run runs a Mutate by itself or in the queue.
func (h *hot[T, K]) run(ctx context.Context, key K, change func(*T) error) (none T, err error) {
	outer, err := h.outer(key)
	if err != nil {
		return none, err
	}
	if outer == nil {
		if why := h.table.Claim(key); why != hotkey.Alone {
			a := h.c.db.opts.Retry.Start()
			return h.queue(ctx, key, change, why, h.c.watch("mutate", key, &a))
		}
		defer h.table.Done(key)
	}
	m := h.c.mutation(key, change)
	defer h.c.give(m.w.b)
	watch := h.c.watch("mutate", key, &m.w.b.attempts)
	if outer == nil {
		return m.run(ctx, watch, func() (T, error) { return h.queue(ctx, key, change, hotkey.AfterConflict, watch) })
	}
	if outer.locked { // a connection is held meanwhile, and may be the pool's only one
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, h.c.db.opts.CommitTimeout)
		defer cancel()
	}
	return m.run(ctx, watch, nil)
}

// queue runs a Mutate in the queue of its key. Watch reports events, and may be nil.
func (h *hot[T, K]) queue(ctx context.Context, key K, change func(*T) error, why hotkey.Why, w *watch) (row T, err error) {
	op := &hotOp[T]{change: change}
	op.ticket.Op = op
	err = h.table.Enter(key, &op.ticket, isUrgent(ctx), why)
	w.event(ctx, observe.Queued, why.String(), nil)
	if err != nil {
		err = &OpError{Subject: h.c.subject("mutate", key), Kind: ErrOverloaded, Err: err}
		w.attempt(ctx, err)
		return row, err
	}
	if err = h.table.Wait(ctx, key, &op.ticket); err != nil {
		err = &OpError{Subject: h.c.subject("mutate", key), Err: fmt.Errorf("left the queue: %w", context.Cause(ctx))}
		w.attempt(ctx, err)
		return row, err
	}
	h.report(ctx, op, w)
	switch {
	case op.panicked != nil:
		panic(op.panicked)
	case op.exited:
		runtime.Goexit()
	case op.err != nil:
		return row, op.err
	}
	h.c.rungs[op.rung].Add(1)
	return op.row, nil
}

// report tells the observer what happened in the queue.
func (h *hot[T, K]) report(ctx context.Context, op *hotOp[T], w *watch) {
	if w == nil {
		return
	}
	exhausted := len(op.failed) > 0 && errors.Is(op.err, ErrExhausted)
	for i, f := range op.failed {
		w.attempt(ctx, f.err)
		if exhausted && i == len(op.failed)-1 {
			w.retried(ctx, f.err, op.err)
			return
		}
		w.attempts.Skip()
		w.retried(ctx, f.err, nil)
	}
	if w.rung = op.rung; !op.broke() {
		w.attempt(ctx, op.err)
	}
}

// outer returns the sweep whose function calls Mutate for a key; nil for most. Such
// a call does not queue, and may not be about the same row, for which it would wait
// for ever.
func (h *hot[T, K]) outer(key K) (*sweep[T, K], error) {
	s, ok := h.appliers.current().(*sweep[T, K])
	if ok && s.batches[s.at].line.Key == key {
		return s, &OpError{Subject: h.c.subject("mutate", key), Kind: ErrUsage, Err: errNested}
	}
	return s, nil
}
