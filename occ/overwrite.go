package occ

import (
	"context"
	"reflect"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// Overwrite writes all columns of a row whatever its version is: somebody else's
// change is lost, on purpose. The row must exist, its version moves on as with
// any write, and the observer is told the reason. *row gets the new version.
//
// The row is locked, its version read and then checked like everywhere: there is
// no statement in this package that writes without a version predicate.
func (r *Repository[T, K]) Overwrite(ctx context.Context, row *T, reason string) error {
	const op = "overwrite"
	if err := r.begin(ctx, op); err != nil {
		return err
	}
	if r.unit != nil {
		return r.core.usage(op, "a unit of work validates what it writes; overwrite outside of it")
	}
	if row == nil {
		return r.core.usage(op, "the row is nil")
	}
	if reason == "" {
		return r.core.usage(op, "an overwrite needs a reason")
	}
	c := r.core
	w := &writing[T, K]{c: c, op: op, st: &c.update, row: reflect.ValueOf(row).Elem(), b: c.take()}
	defer c.give(w.b)
	w.key = c.keys.of(w.row)
	if r.tx != nil {
		return w.joinedOverwrite(ctx, r.tx, reason)
	}
	watch, err := w.until(ctx, w.overwriteOnce)
	if err == nil {
		watch.event(ctx, observe.Overwrite, reason, nil)
	}
	return err
}

func (w *writing[T, K]) overwriteOnce(ctx context.Context) failure {
	conn, err := w.c.db.conn(ctx, w.afterOutage)
	if err != nil {
		return w.failure(ctx, dialects.Connecting, err)
	}
	u := unit{db: w.c.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	var found failure
	err = u.run(ctx, func() (commit bool, err error) {
		found, err = w.overLocked(ctx, conn)
		return found.err == nil, err
	})
	if err != nil {
		return w.failure(ctx, u.phase, err)
	}
	return found
}

// overLocked locks the row, takes its version for the expected one and writes.
func (w *writing[T, K]) overLocked(ctx context.Context, q dialects.Querier) (failure, error) {
	current := reflect.ValueOf(new(T)).Elem()
	found, err := w.c.selectRow(ctx, q, w.b, &w.c.lock, w.key, current)
	if err != nil {
		return failure{}, err
	}
	if !found {
		return failure{&OpError{Subject: w.subject(), Kind: ErrGone}, dialects.Refused}, nil
	}
	if err := w.prepare(w.c.version.field.of(current)); err != nil {
		return failure{err, dialects.Refused}, nil //nolint:nilerr // the failure holds it
	}
	return w.locked(ctx, q)
}

func (w *writing[T, K]) joinedOverwrite(ctx context.Context, tx *joined, reason string) error {
	w.snapshot = true
	if err := tx.usable(w.subject()); err != nil {
		return err
	}
	f, err := w.overLocked(ctx, tx.q)
	if err != nil {
		f = w.joinedFailure(ctx, tx, err)
	}
	if f.err == nil {
		w.c.watch(w.op, w.key, &retry.Attempts{}).event(ctx, observe.Overwrite, reason, nil)
	}
	return f.err
}
