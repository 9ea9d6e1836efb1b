package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/retry"
)

// bulk is a call with many rows on its way.
type bulk[T any, K comparable] struct {
	c     *core[T, K]
	verb  dialects.BulkVerb
	op    string
	st    *dialects.Statement // the write of one row; nil for an insert
	mode  BulkMode
	tx    *joined
	b     *buffers
	items []bulkItem[T, K] // in the order of the call
}

// bulkItem is one row of the call. The caller's row is not changed before the
// outcome is known.
type bulkItem[T any, K comparable] struct {
	row    reflect.Value // the caller's row; for an insert a copy
	key    K
	next   reflect.Value // the version that the write gives the row
	result reflect.Value // what an insert made of the row
	args   []any         // bound values: of each column, the expected version, the next one
	state  dialects.RowState
	err    error
}

// missing is the state of rows that the database has not reported.
const missing dialects.RowState = -1

var bulkOps = [...]string{
	dialects.BulkUpdate: "update many", dialects.BulkDelete: "delete many", dialects.BulkInsert: "insert many",
}

// many runs a call with many rows.
func (r *Repository[T, K]) many(ctx context.Context, verb dialects.BulkVerb, rows []T, mode BulkMode) ([]Outcome, error) {
	c := r.core
	b := &bulk[T, K]{c: c, verb: verb, op: bulkOps[verb], mode: mode, tx: r.tx}
	switch verb {
	case dialects.BulkUpdate:
		b.st = &c.update
	case dialects.BulkDelete:
		b.st = &c.remove
	}
	if err := r.begin(ctx, b.op); err != nil {
		return nil, err
	}
	if mode > BestEffort {
		return nil, c.usage(b.op, "unknown mode %d", mode)
	}
	if len(rows) == 0 {
		return nil, nil
	}
	if err := b.enter(rows); err != nil {
		return nil, err
	}
	if r.unit != nil {
		return b.buffer(r.unit, rows)
	}
	b.b = c.take()
	defer c.give(b.b)
	var todo []*bulkItem[T, K]
	for i := range b.items {
		if b.prepare(&b.items[i]); b.items[i].err == nil {
			todo = append(todo, &b.items[i])
		}
	}
	var whole error
	if len(todo) == len(rows) || mode == BestEffort && len(todo) > 0 {
		whole = b.settle(ctx, todo)
	}
	return b.conclude(rows, whole)
}

// enter looks at the rows of the call, and refuses those that are one.
func (b *bulk[T, K]) enter(rows []T) error {
	b.items = make([]bulkItem[T, K], len(rows))
	versions := reflect.MakeSlice(reflect.SliceOf(b.c.version.typ), len(rows), len(rows))
	width := len(b.c.m.table.Columns) + 2
	args := make([]any, width*len(rows))
	seen := make(map[K]int, len(rows))
	for i := range rows {
		it := &b.items[i]
		it.row = reflect.ValueOf(&rows[i]).Elem()
		it.next = versions.Index(i)
		it.args, args = args[:width:width], args[width:]
		it.key = b.c.keys.of(it.row)
		if b.verb == dialects.BulkInsert && b.c.keyLeftOut(it.row) {
			continue
		}
		if first, ok := seen[it.key]; ok {
			return b.c.usage(b.op, "rows %d and %d have the same key %v", first, i, it.key)
		}
		seen[it.key] = i
	}
	return nil
}

// prepare computes the next version of a row and binds its columns. What is wrong
// with it is its outcome.
func (b *bulk[T, K]) prepare(it *bulkItem[T, K]) {
	var err error
	expected := b.c.version.field.of(it.row)
	switch b.verb {
	case dialects.BulkUpdate:
		err = b.c.version.next(it.next, expected)
	case dialects.BulkInsert:
		err = b.c.version.first(it.next)
		it.row = it.fresh()
	}
	if err != nil {
		it.err = b.refused(it, ErrOverflow, err)
	} else if err = b.bind(it, expected); err != nil {
		it.err = b.refused(it, ErrUsage, err)
	}
}

// bind computes the values of a row once, for whatever statements it takes.
func (b *bulk[T, K]) bind(it *bulkItem[T, K], expected reflect.Value) error {
	columns := b.c.m.table.Columns
	if it.args == nil {
		it.args = make([]any, len(columns)+2)
	}
	var err error
	for i, col := range columns {
		if col.ReadOnly || col.Version != dialects.NotVersion || b.verb == dialects.BulkDelete && !col.Key {
			continue
		}
		f := &b.c.m.fields[i]
		if it.args[i], err = f.codec.bind(f.at(it.row)); err != nil {
			return fmt.Errorf("column %s: %w", col.Name, err)
		}
	}
	version := &b.c.version.field.codec
	if b.verb != dialects.BulkInsert {
		it.args[len(columns)], err = version.bind(pointer(expected))
	}
	if err == nil && b.verb != dialects.BulkDelete {
		it.args[len(columns)+1], err = version.bind(pointer(it.next))
	}
	return err
}

// arg returns what a placeholder is bound to.
func (it *bulkItem[T, K]) arg(a dialects.Arg) any {
	switch a.Source {
	case dialects.Expected:
		return it.args[len(it.args)-2]
	case dialects.Next:
		return it.args[len(it.args)-1]
	default:
		return it.args[a.Column]
	}
}

// settle runs the rows until their outcomes are known, and returns the error of
// the call as a whole, if there is one.
func (b *bulk[T, K]) settle(ctx context.Context, part []*bulkItem[T, K]) error {
	if b.tx != nil {
		return b.joined(ctx, part)
	}
	a := b.c.db.opts.Retry.Start()
	var w *watch
	if b.c.db.opts.Observer != nil {
		w = &watch{observer: b.c.db.opts.Observer, subject: b.subject(), attempts: &a}
	}
	for down := false; ; {
		reset(part)
		f := b.attempt(ctx, part, down)
		if f.err == nil {
			w.attempt(ctx, b.failed(part))
			return nil
		}
		w.attempt(ctx, f.err)
		down = f.outcome == dialects.Down
		err := f.next(ctx, &a)
		w.retried(ctx, f.err, err)
		if err != nil {
			return b.dissect(ctx, part, f, err)
		}
	}
}

func reset[T any, K comparable](part []*bulkItem[T, K]) {
	for _, it := range part {
		it.state, it.err = missing, nil
	}
}

// dissect finds the rows that made the database refuse all: those that exist, for
// an insert, and others by halves.
func (b *bulk[T, K]) dissect(ctx context.Context, part []*bulkItem[T, K], f failure, err error) error {
	class := b.c.db.Classify(f.err)
	if b.verb == dialects.BulkInsert && f.outcome == dialects.Refused && class == dialects.Duplicate {
		rest := b.duplicates(ctx, part, f.err.(*OpError).Err) //nolint:errorlint,forcetypeassert // made by judge, never wrapped
		switch {
		case len(rest) == len(part):
		case len(rest) == 0 || b.mode == AllOrNothing:
			return nil
		default:
			return b.settle(ctx, rest)
		}
	}
	refused := f.outcome == dialects.Refused &&
		(class == dialects.Duplicate || class == dialects.Overflow || class == dialects.Rejected)
	if b.mode == AllOrNothing || !refused {
		if len(part) == len(b.items) {
			return err
		}
	} else if len(part) > 1 {
		half := len(part) / 2
		return errors.Join(b.settle(ctx, part[:half]), b.settle(ctx, part[half:]))
	}
	if op, ok := err.(*OpError); ok && len(part) == 1 { //nolint:errorlint // made by failure, never wrapped
		op.Key = part[0].key
	}
	for _, it := range part {
		it.err = err
	}
	return nil
}

// attempt runs the rows once.
func (b *bulk[T, K]) attempt(ctx context.Context, part []*bulkItem[T, K], afterOutage bool) failure {
	conn, err := b.c.writeConn(ctx, afterOutage)
	if err != nil {
		return b.failure(ctx, dialects.Connecting, err)
	}
	u := unit{db: b.c.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	w, err := b.way(ctx, conn)
	if err != nil {
		return b.failure(ctx, dialects.Connecting, err)
	}
	if done, f := w.quick(ctx, &u, part); done {
		return f
	}
	reset(part)
	err = u.run(ctx, func() (commit bool, err error) {
		err = w.write(ctx, conn, part)
		return b.mode == BestEffort || !anyFailed(part), err
	})
	if err != nil {
		return b.failure(ctx, u.phase, err)
	}
	return failure{}
}

// joined runs the rows once, in the caller's transaction.
func (b *bulk[T, K]) joined(ctx context.Context, part []*bulkItem[T, K]) error {
	if err := b.tx.usable(b.subject()); err != nil {
		return err
	}
	reset(part)
	w, err := b.way(ctx, b.tx.q)
	if err == nil {
		err = w.write(ctx, b.tx.q, part)
	}
	failed := b.failed(part)
	if err != nil {
		if ownKind(err) != ErrUsage { //nolint:errorlint // identity is meant
			b.tx.failed.Store(true)
		}
		failed = b.failure(ctx, dialects.InTx, err).err
	} else if failed != nil && b.mode == AllOrNothing && anyWritten(part) {
		b.tx.failed.Store(true)
	}
	if o := b.c.db.opts.Observer; o != nil {
		(&watch{observer: o, subject: b.subject(), attempts: &retry.Attempts{}}).attempt(ctx, failed)
	}
	if err == nil {
		return nil
	}
	return failed
}

func anyWritten[T any, K comparable](part []*bulkItem[T, K]) bool {
	for _, it := range part {
		if it.state == dialects.Written {
			return true
		}
	}
	return false
}
