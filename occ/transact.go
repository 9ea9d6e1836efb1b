package occ

import (
	"context"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
)

// Transact runs body as one optimistic unit of work over any number of rows of
// this database: all of it takes effect, or nothing.
//
// While body runs, no transaction is open and no connection is held (Kung and
// Robinson, "On Optimistic Methods for Concurrency Control", 1981). Repositories
// bound with In(tx) remember the version of every row that body reads, and buffer
// what it writes; a second read of a row returns the buffered state. The commit
// is one short database transaction that locks and validates every row read,
// applies every write, in one order for all units, and commits. When a row has
// changed, nothing is applied, and body runs again on fresh reads as the retry
// policy says; so body should do nothing but read, decide and write through tx.
//
// Because all reads are validated, decisions on rows that are only read are safe
// (no write skew among the rows read). A row that body looked for and did not
// find is looked for again, but between that and COMMIT someone else can insert
// it, unless this unit inserts it too. Rows that match a condition (Find) are
// validated one by one; that no further row matches is not. Where such a rule
// matters, let all writers [Repository.Touch] one parent row.
//
// During body, reads may see one row before and another after somebody's commit;
// such a body runs again. Its error ends the unit at once and comes back as it
// is, decided on reads that nobody has validated. A cancelled context before the
// commit applies nothing; the commit itself does not end with ctx, and answers
// applied, not applied, or [*AmbiguousError]. Exhausted attempts hold a
// [*UnitConflict] that names every stale row. Rows given to Update and the like
// get their new version once the commit is known, unless their variables hold
// other rows by then.
//
// Rows that exist are locked in the order of table and key, then new rows are
// inserted. Where a constraint does not allow that, because of foreign keys or a
// unique value that moves, all rows are locked first and then written in the
// order of body.
//
// A Transact inside of body, with the context of tx, joins the outer unit and
// never loops by itself. When it fails the outer unit cannot be committed, also
// if its body goes on.
func (db *DB) Transact(ctx context.Context, body func(tx *Tx) error) error {
	if db.err != nil {
		return db.err
	}
	if body == nil {
		return &OpError{Subject: Subject{Op: "transact"}, Kind: ErrUsage, Err: errors.New("the body is nil")}
	}
	if outer := unitOf(ctx, db); outer != nil {
		return outer.join(body)
	}
	s := Subject{Op: "transact"}
	a := db.opts.Retry.Start()
	var w *watch
	if db.opts.Observer != nil {
		w = &watch{observer: db.opts.Observer, subject: s, attempts: &a}
	}
	var afterOutage bool
	for {
		tx, f := db.attemptUnit(ctx, s, afterOutage, body)
		afterOutage = f.outcome == dialects.Down
		w.attempt(ctx, f.err)
		if f.err == nil {
			for _, hook := range tx.after {
				hook()
			}
			return nil
		}
		err := f.next(ctx, &a)
		w.retried(ctx, f.err, err)
		if err != nil {
			return err
		}
	}
}

// TransactValue is [DB.Transact] for a body with a result, which comes back only
// from the run that was committed.
func TransactValue[R any](ctx context.Context, db *DB, body func(tx *Tx) (R, error)) (R, error) {
	var result R
	err := db.Transact(ctx, func(tx *Tx) (err error) {
		result, err = body(tx)
		return err
	})
	if err != nil {
		var none R
		return none, err
	}
	return result, nil
}

// UnitConflict tells which rows of a unit of work were stale. Nothing was
// written. It is [ErrConflict].
type UnitConflict struct {
	// Rows has a [*Conflict] or an [*OpError] for each stale row, in the order
	// of the commit.
	Rows []error
}

// Error returns "occ: transact: 2 rows are stale: ...".
func (c *UnitConflict) Error() string {
	rows := "1 row is stale"
	if len(c.Rows) != 1 {
		rows = fmt.Sprintf("%d rows are stale", len(c.Rows))
	}
	return fmt.Sprintf("occ: transact: %s: %v", rows, errors.Join(c.Rows...))
}

// Is reports whether target is [ErrConflict].
func (c *UnitConflict) Is(target error) bool { return target == ErrConflict }

// Unwrap returns the errors of the rows.
func (c *UnitConflict) Unwrap() []error { return c.Rows }
