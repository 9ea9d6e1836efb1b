package occ

import (
	"context"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
)

// BulkMode tells what becomes of the other rows when some rows of a call cannot
// be written.
type BulkMode uint8

const (
	// AllOrNothing writes every row or none.
	AllOrNothing BulkMode = iota
	// BestEffort writes the rows that can be written. It does not promise that
	// they are written by one transaction.
	BestEffort
)

// Outcome is what became of one row.
type Outcome struct {
	// Version is the version that the row got; nil for rows that were deleted or
	// not written.
	Version any
	// Err is nil when the row was written. Otherwise it is a [*Conflict] with
	// the current row, an [*OpError] that says why ([ErrGone], [ErrSuppressed],
	// [ErrDuplicate], [ErrOverflow]), or [ErrNotApplied] for a row that nothing
	// was wrong with. When the call failed as a whole it is the call's error.
	Err error
}

// ErrNotApplied says that nothing was wrong with the row; it was not written because of
// other rows of the same [AllOrNothing] call.
var ErrNotApplied = errors.New("not applied because of other rows")

// BulkError tells which rows of a call were not written, and why.
type BulkError struct {
	Subject
	// Mode is the mode of the call: after [AllOrNothing] no row was written.
	Mode BulkMode
	// Total is the number of rows of the call.
	Total int
	// Rows are the errors of the rows that were in the way, in the order of the
	// call; those that are [ErrNotApplied] are left out.
	Rows []error
}

// Error returns "occ: update many accounts: 3 of 1000 rows were not written: "
// and the first row's error.
func (e *BulkError) Error() string {
	verb := "were not written"
	if e.Mode == AllOrNothing {
		verb = "were in the way, none was written"
	}
	if len(e.Rows) == 0 {
		return fmt.Sprintf("occ: %s: no row was written", e.Subject)
	}
	return fmt.Sprintf("occ: %s: %d of %d rows %s: %v", e.Subject, len(e.Rows), e.Total, verb, e.Rows[0])
}

// Unwrap returns the errors of the rows, so that the error is [ErrConflict] when
// a row conflicted, [ErrGone] when one was gone, and so on.
func (e *BulkError) Unwrap() []error { return e.Rows }

// UpdateMany is [Repository.Update] for many rows, in a number of round trips that
// does not grow with them. It returns an outcome for each row, in the order given.
//
// The error is nil when every row was written. It is a [*BulkError] when rows were
// in the way, and the error of the whole call otherwise, as of a single write:
// refused, unavailable, or [*AmbiguousError]. In [AllOrNothing] mode no row is
// written unless all are; in [BestEffort] mode a row that the database refuses
// (a broken constraint) takes no other row with it. Each row that was written gets
// its new version, once that is known; no other row is changed.
//
// Rows are locked in the order of their keys. What the database proves to have
// undone (serialization failures, deadlocks, lock waits) is tried again under the
// retry policy; conflicts are not. Two rows with one key are [ErrUsage], no rows
// are no work.
//
// In a joined transaction everything is sent once, and rows are not changed. When
// an AllOrNothing call fails there after some rows were written, which only
// triggers and very long calls bring about, the scope is over: see [Join]. In a
// unit of work the rows are buffered like single writes.
func (r *Repository[T, K]) UpdateMany(ctx context.Context, rows []T, mode BulkMode) ([]Outcome, error) {
	return r.many(ctx, dialects.BulkUpdate, rows, mode)
}

// DeleteMany is [Repository.Delete] for many rows. Everything else is as with
// [Repository.UpdateMany]; no row is changed.
func (r *Repository[T, K]) DeleteMany(ctx context.Context, rows []T, mode BulkMode) ([]Outcome, error) {
	return r.many(ctx, dialects.BulkDelete, rows, mode)
}

// InsertMany is [Repository.Insert] for many rows. A row whose key exists is
// [ErrDuplicate] in its outcome, also in [AllOrNothing] mode, where nothing is
// inserted then; a duplicate of another constraint fails an AllOrNothing call as
// a whole. Rows get what the database decided: first versions, generated keys,
// readonly columns. Everything else is as with [Repository.UpdateMany].
//
// Rows whose keys the server generates, and calls whose rows leave different
// columns to it, are inserted one by one in one transaction, pipelined where the
// transport can: no database promises in which order it returns generated keys.
func (r *Repository[T, K]) InsertMany(ctx context.Context, rows []T, mode BulkMode) ([]Outcome, error) {
	return r.many(ctx, dialects.BulkInsert, rows, mode)
}
