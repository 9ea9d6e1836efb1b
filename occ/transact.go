package occ

import (
	"context"
	"errors"
	"fmt"
	"sync"

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
// is. A cancelled context before the commit applies nothing; the commit itself
// does not end with ctx, and answers applied, not applied, or [*AmbiguousError].
// Exhausted attempts hold a [*UnitConflict] that names every stale row. Rows
// given to Update and the like get their new version once the commit is known.
//
// A Transact inside of body, with the context of tx, joins the outer unit and
// never loops by itself.
func (db *DB) Transact(ctx context.Context, body func(tx *Tx) error) error {
	if db.err != nil {
		return db.err
	}
	if body == nil {
		return &OpError{Subject: Subject{Op: "transact"}, Kind: ErrUsage, Err: errors.New("the body is nil")}
	}
	if outer := unitOf(ctx, db); outer != nil {
		return body(outer)
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

// attemptUnit runs body once and commits what it buffered.
func (db *DB) attemptUnit(ctx context.Context, s Subject, afterOutage bool, body func(tx *Tx) error) (*Tx, failure) {
	tx := &Tx{db: db, afterOutage: afterOutage, rows: map[rowID]member{}}
	tx.ctx = context.WithValue(ctx, unitKey{}, tx)
	err := tx.run(body)
	if err != nil {
		return tx, failure{err, dialects.Refused}
	}
	return tx, tx.commit(ctx, s)
}

// Tx is a unit of work: see [DB.Transact]. It is a [Scope] for repositories. Its
// methods are safe for concurrent use by the goroutines of one body.
type Tx struct {
	db  *DB
	ctx context.Context //nolint:containedctx // lives exactly as long as the call of body

	afterOutage bool // the last run found the server unavailable

	mu      sync.Mutex
	rows    map[rowID]member
	execs   []call
	after   []func()
	relaxed bool
	ended   bool
}

// rowID identifies a row within a unit.
type rowID struct {
	core any // *core[T, K]: one for each repository
	key  any // K, or *T for a row whose key the server will generate
}

// call is a statement of the caller's own.
type call struct {
	text string
	args []any
}

type unitKey struct{}

// unitOf returns the unit of db that ctx belongs to, or nil.
func unitOf(ctx context.Context, db *DB) *Tx {
	if tx, ok := ctx.Value(unitKey{}).(*Tx); ok && tx.db == db {
		return tx
	}
	return nil
}

// run calls body, and ends the unit however body ends.
func (tx *Tx) run(body func(tx *Tx) error) error {
	defer func() {
		tx.mu.Lock()
		tx.ended = true
		tx.mu.Unlock()
	}()
	return body(tx)
}

// Context returns the context of the unit. Passed on to functions that begin a
// unit of their own it lets them join this one; passed to a repository that is
// not bound to the unit it is an error, because what that wrote would not be
// part of the unit.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Exec adds a statement of the caller's own to the unit, with the database's own
// placeholders: an outbox row, an audit record. It runs in the commit, after the
// writes, and not at all if a row is stale.
func (tx *Tx) Exec(text string, args ...any) error {
	return tx.add(func() { tx.execs = append(tx.execs, call{text, args}) })
}

// AfterCommit adds a function that runs once, after the commit is known to have
// happened: the place for effects outside of the database. Functions run in the
// order in which they were added, on the goroutine that called Transact.
func (tx *Tx) AfterCommit(hook func()) error {
	return tx.add(func() { tx.after = append(tx.after, hook) })
}

// Relaxed validates only the rows that the unit writes. It admits write skew:
// two units that each read both of two rows, and each write another one of them,
// both commit, although neither would have decided so after the other (Berenson
// et al., "A Critique of ANSI SQL Isolation Levels", 1995, A5B).
func (tx *Tx) Relaxed() error {
	return tx.add(func() { tx.relaxed = true })
}

func (tx *Tx) add(change func()) error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.ended {
		return fmt.Errorf("occ: %w", errUnitEnded)
	}
	change()
	return nil
}

var (
	errUnitEnded = fmt.Errorf("%w: the unit of work has ended; it is valid only inside of its body", ErrUsage)
	errOutside   = fmt.Errorf("%w: this repository is not bound to the unit of work that the context belongs to: use In(tx)", ErrUsage)
)

func (tx *Tx) bind(db *DB) (*joined, *Tx, error) {
	if tx == nil {
		return nil, nil, fmt.Errorf("%w: the unit of work is nil", ErrUsage)
	}
	if tx.db != db {
		return nil, nil, fmt.Errorf("%w: the unit of work belongs to another occ.DB", ErrUsage)
	}
	return nil, tx, nil
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
