package occ

import (
	"context"
	"errors"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/retry"
)

// joined writes in the caller's transaction, once, and leaves the row alone.
func (w *writing[T, K]) joined(ctx context.Context, tx *joined) error {
	w.snapshot = true
	if err := tx.usable(w.subject()); err != nil {
		return err
	}
	n, err := w.c.writeRow(ctx, tx.q, w.b, w.st, w.row)
	var f failure
	switch {
	case err == nil && n == 1:
		if f, err = w.verify(ctx, tx.q); err == nil && f.err == nil {
			return nil
		}
	case err == nil && n > 1:
		tx.failed.Store(true)
		f = w.refuse(ErrNotUnique)
	case err == nil:
		if f, err = w.compare(ctx, tx.q, &w.c.lock); err == nil && f.err == nil {
			f = w.unexplained()
		}
	}
	if err != nil {
		f = w.joinedFailure(ctx, tx, err)
	}
	watch := w.c.watch(w.op, w.key, &retry.Attempts{})
	watch.attempt(ctx, f.err)
	return f.err
}

// unexplained is a write in the caller's transaction that matched no row although
// the version is right.
func (w *writing[T, K]) unexplained() failure {
	if w.c.version.kind == dialects.Xmin {
		return failure{&OpError{Subject: w.subject(), Kind: ErrUsage, Err: errXminTwice}, dialects.Refused}
	}
	return w.refuse(ErrSuppressed)
}

// errXminTwice: see [dialects.Xmin].
var errXminTwice = errors.New("this transaction has written the row already, and xmin cannot tell its writes apart: " +
	"write each row once per transaction, or use a counter version")

// joinedFailure ends the caller's transaction for this package. A lost race that
// came as an error is a conflict like any other, without the current row: the
// server answers no more questions in this transaction.
func (w *writing[T, K]) joinedFailure(ctx context.Context, tx *joined, err error) failure {
	if ownKind(err) != ErrUsage { //nolint:errorlint // identity is meant
		tx.failed.Store(true)
	}
	if w.c.db.Classify(err) == dialects.Conflict {
		return failure{w.conflictOf(err), dialects.Refused}
	}
	return w.failure(ctx, dialects.InTx, err)
}
