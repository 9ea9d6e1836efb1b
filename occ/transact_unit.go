package occ

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/occkit/occkit/dialects"
)

// attemptUnit runs body once and commits what it buffered.
func (db *DB) attemptUnit(ctx context.Context, s Subject, afterOutage bool, body func(tx *Tx) error) (*Tx, failure) {
	tx := &Tx{db: db, afterOutage: afterOutage, rows: map[rowID]member{}, owners: map[any]member{}}
	tx.ctx = context.WithValue(ctx, unitKey{db}, tx)
	if err := tx.run(body); err != nil {
		return tx, failure{err, dialects.Refused}
	}
	if err := tx.half(); err != nil {
		return tx, failure{&OpError{Subject: s, Err: fmt.Errorf("not applied, because a unit that joined this one %w", err)}, dialects.Refused}
	}
	return tx, tx.commit(ctx, s)
}

// half returns why the unit may hold half of what a unit that joined it wanted.
func (tx *Tx) half() error {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	switch {
	case tx.joins > 0:
		return errStillJoined
	case tx.spoiled != nil:
		return fmt.Errorf("failed: %w", tx.spoiled)
	default:
		return nil
	}
}

// Tx is a unit of work: see [DB.Transact]. It is a [Scope] for repositories. Its
// methods are safe for concurrent use by the goroutines of one body.
type Tx struct {
	db  *DB
	ctx context.Context //nolint:containedctx // lives exactly as long as the call of body

	afterOutage bool // the last run found the server unavailable

	mu      sync.Mutex
	rows    map[rowID]member // several ids may stand for one row
	members []member         // in the order in which they came in
	owners  map[any]member   // the caller's variables -> the row that they held last
	writes  int              // how many there were so far
	execs   []call
	after   []func()
	relaxed bool
	joins   int   // how many units that have joined are running
	spoiled error // why the unit must not be committed
	ended   bool
}

// rowID identifies a row within a unit.
type rowID struct {
	core any // *core[T, K]: one for each repository
	key  any // K
}

// call is a statement of the caller's own.
type call struct {
	text string
	args []any
}

// unitKey is where a context keeps its unit of db.
type unitKey struct{ db *DB }

// unitOf returns the unit of db that ctx belongs to, or nil. A unit that has ended
// has no context any more.
func unitOf(ctx context.Context, db *DB) *Tx {
	if tx, ok := ctx.Value(unitKey{db}).(*Tx); ok && tx.add(func() {}) == nil {
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

var (
	errJoinPanicked = errors.New("it panicked")
	errStillJoined  = fmt.Errorf("is still running: %w", ErrUsage)
)

// join calls the body of a unit that joins this one. What it buffered before it
// failed is half of something.
func (tx *Tx) join(body func(tx *Tx) error) (err error) {
	if err := tx.add(func() { tx.joins++ }); err != nil {
		return err
	}
	failed := errJoinPanicked
	defer func() {
		tx.mu.Lock()
		defer tx.mu.Unlock()
		if tx.joins--; failed != nil && tx.spoiled == nil {
			tx.spoiled = failed
		}
	}()
	failed = body(tx)
	return failed
}

// Context returns the context of the unit. Passed on to functions that begin a
// unit of their own it lets them join this one; passed to a repository that is
// not bound to the unit it is an error, because what that wrote would not be
// part of the unit.
func (tx *Tx) Context() context.Context { return tx.ctx }

// Exec adds a statement of the caller's own to the unit, with the database's own
// placeholders: an outbox row, an audit record. It runs in the commit, after the
// writes, and not at all if a row is stale. It must be one statement, and none
// that ends a transaction, which on MySQL and MariaDB any DDL does.
func (tx *Tx) Exec(text string, args ...any) error {
	bound, err := values(args)
	if err != nil {
		return &OpError{Subject: Subject{Op: "exec"}, Kind: ErrUsage, Err: err}
	}
	return tx.add(func() { tx.execs = append(tx.execs, call{text, bound}) })
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
//
// A unit that has joined another one cannot relax it: that is [ErrUsage].
func (tx *Tx) Relaxed() error {
	var err error
	ended := tx.add(func() {
		if tx.joins > 0 {
			err = fmt.Errorf("occ: %w", errRelaxJoined)
			return
		}
		tx.relaxed = true
	})
	return firstOf(ended, err)
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
	errUnitEnded   = fmt.Errorf("%w: the unit of work has ended; it is valid only inside of its body", ErrUsage)
	errOutside     = fmt.Errorf("%w: this is not bound to the unit of work that the context belongs to: use In(tx), or tx.Exec", ErrUsage)
	errRelaxJoined = fmt.Errorf("%w: a unit that has joined another one cannot relax it: the outer body can", ErrUsage)
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
