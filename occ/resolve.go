package occ

import (
	"context"
	"errors"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// resolve writes in an explicit transaction that locks the row first, so that
// what it finds is exactly what the write met. It is the slow path after a write
// that matched no row. A row that now has the expected version after all was
// deleted and inserted in between: the write is then done here.
func (w *writing[T, K]) resolve(ctx context.Context, u *unit) failure {
	var found failure
	err := u.run(ctx, func() (commit bool, err error) {
		found, err = w.locked(ctx, u.conn)
		return found.err == nil, err
	})
	if err != nil {
		return w.failure(ctx, u.phase, err)
	}
	return found
}

// locked reads the row under a lock, writes it if the version is right, and
// tells what stood in the way otherwise.
func (w *writing[T, K]) locked(ctx context.Context, q dialects.Querier) (failure, error) {
	stale, err := w.compare(ctx, q, &w.c.lock)
	if err != nil || stale.err != nil {
		return stale, err
	}
	if f, err := w.writeLocked(ctx, q); err != nil || f.err != nil {
		return f, err
	}
	return w.verify(ctx, q)
}

// writeLast is locked for a row that has been read under its lock already. What is
// written is committed, if it was the end of the transaction: then it went with COMMIT.
func (w *writing[T, K]) writeLast(ctx context.Context, u *unit) (failure, error) {
	if w.c.readBack {
		f, err := w.writeLocked(ctx, u.conn)
		if err != nil || f.err != nil {
			return f, err
		}
		return w.verify(ctx, u.conn)
	}
	if err := w.c.bindRow(w.b, w.st, w.row); err != nil {
		return failure{}, &notSentError{err}
	}
	call := dialects.Call{Text: w.st.Text, Args: w.b.args}
	switch {
	case w.st.Plain != "" && w.c.plain.Load():
		call.Text = w.st.Plain
	case len(w.st.Returns) > 0:
		call.Dest = []any{w.b.returned.Addr().Interface()}
	}
	n, err := u.finish(ctx, call)
	switch {
	case unsupported(err):
		return w.writeLocked(ctx, u.conn)
	case err != nil:
		return failure{}, err
	case n == 0:
		return w.refuse(ErrSuppressed), nil
	case n > 1:
		return w.several(), nil
	case call.Dest != nil:
		w.b.next.Set(w.b.returned)
	}
	return failure{}, nil
}

// writeLocked writes a row that is locked and at the version that is expected: nobody
// was faster.
func (w *writing[T, K]) writeLocked(ctx context.Context, q dialects.Querier) (failure, error) {
	n, err := w.c.writeRow(ctx, q, w.b, w.st, w.row)
	switch {
	case err != nil:
		return failure{}, err
	case n == 0:
		return w.refuse(ErrSuppressed), nil
	case n > 1:
		return w.refuse(ErrNotUnique), nil
	}
	return failure{}, nil
}

// compare reads the current row and tells how it differs from what the caller
// expects: not at all (the zero failure), in its version, or by being gone.
func (w *writing[T, K]) compare(ctx context.Context, q dialects.Querier, st *dialects.Statement) (failure, error) {
	current := new(T)
	cv := reflect.ValueOf(current).Elem()
	found, err := w.c.selectRow(ctx, q, w.b, st, w.key, cv)
	if err != nil {
		return failure{}, err
	}
	if !found && w.snapshot {
		return w.refuse(ErrGone), nil
	}
	if !found {
		return w.missing(ctx, q)
	}
	actual := w.c.version.field.of(cv)
	if w.c.version.same(actual, w.b.expected) {
		return failure{}, nil
	}
	return failure{&Conflict[T]{
		Subject: w.subject(), Expected: w.b.expected.Interface(), Actual: actual.Interface(), Current: current,
	}, dialects.Refused}, nil
}

// missing tells a row that is gone from one that row security hides from
// writers: a plain read shows the latter. In the caller's own transaction a plain
// read may show a snapshot from before the row went, and proves nothing.
func (w *writing[T, K]) missing(ctx context.Context, q dialects.Querier) (failure, error) {
	found, err := w.c.selectRow(ctx, q, w.b, &w.c.sel, w.key, reflect.ValueOf(new(T)).Elem())
	if err != nil {
		return failure{}, err
	}
	if found {
		return w.refuse(ErrSuppressed), nil
	}
	return w.refuse(ErrGone), nil
}

// absent is missing for an operation that expected no version: a row that is gone
// was never found.
func (w *writing[T, K]) absent(ctx context.Context, q dialects.Querier) (failure, error) {
	f, err := w.missing(ctx, q)
	if err == nil && errors.Is(f.err, ErrGone) {
		f.err = &OpError{Subject: w.subject(), Kind: ErrNotFound}
	}
	return f, err
}

// verify reads back what was written, if the repository asks for it. A version
// that has not moved was not written.
func (w *writing[T, K]) verify(ctx context.Context, q dialects.Querier) (failure, error) {
	if !w.c.readBack || w.st == &w.c.remove {
		return failure{}, nil
	}
	if err := w.readVersion(ctx, q); err != nil {
		return failure{}, err
	}
	if w.c.version.same(w.b.next, w.b.expected) {
		return w.refuse(ErrSuppressed), nil
	}
	return failure{}, nil
}

// readVersion takes the version from the table, after triggers had their say.
func (w *writing[T, K]) readVersion(ctx context.Context, q dialects.Querier) error {
	written := reflect.ValueOf(new(T)).Elem()
	found, err := w.c.selectRow(ctx, q, w.b, &w.c.sel, w.key, written)
	if err == nil && !found {
		err = errVanished
	}
	if err == nil {
		w.b.next.Set(w.c.version.field.of(written))
	}
	return err
}
