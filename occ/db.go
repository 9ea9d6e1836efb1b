package occ

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/hotkey"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// Options are the choices of a [DB]. The zero value works.
type Options struct {
	// Retry bounds and paces attempts. Defaults to the zero policy, which suits
	// row conflicts. It is copied: what New finds in it is what counts. Where it
	// has no Pace or no Budget, the DB makes one for its operations.
	Retry *retry.Policy
	// Contention says how Mutate treats keys that many callers want at once.
	// Defaults to [hotkey.Auto].
	Contention hotkey.Policy
	// Breaker keeps operations from a server that cannot be reached. Defaults to
	// one of the DB's own, with the defaults; share one between the DBs of one
	// server, or turn it off, by giving it here.
	Breaker *retry.Breaker
	// Observer is told of attempts, conflicts and outcomes. Defaults to nobody.
	Observer observe.Observer
	// CommitTimeout bounds COMMIT and ROLLBACK, which do not end with the
	// caller's context. Defaults to 5 s.
	CommitTimeout time.Duration
	// Classify is asked before the dialect what an error means, so that errors
	// of proxies and forks can be taught. Defaults to nothing.
	Classify func(err error) (class dialects.Class, known bool)
	// Now is the clock of timestamp versions. Defaults to [time.Now].
	Now func() time.Time

	_ struct{} // no positional literals, so that fields may be added
}

// DB is a database: a transport, and the dialect that is spoken over it. It is
// safe for concurrent use and holds no connection of its own.
type DB struct {
	transport dialects.DB
	dialect   dialects.Dialect
	opts      Options
	begin     string
	err       error       // what was wrong with the arguments of New
	checked   atomic.Bool // the session's settings have been judged
}

// New returns the database behind a transport. Options may be nil. Arguments
// that cannot work are reported by [NewRepository] and by every method.
func New(transport dialects.DB, dialect dialects.Dialect, opts *Options) *DB {
	db := &DB{transport: transport, dialect: dialect, begin: "BEGIN"}
	if opts != nil {
		db.opts = *opts
	}
	if db.opts.CommitTimeout == 0 {
		db.opts.CommitTimeout = 5 * time.Second
	}
	db.opts.Retry = sharing(db.opts.Retry)
	if db.opts.Breaker == nil {
		db.opts.Breaker = new(retry.Breaker)
	}
	if db.opts.Now == nil {
		db.opts.Now = time.Now
	}
	if b, ok := dialect.(dialects.Beginner); ok {
		db.begin = b.Begin()
	}
	db.err = db.validate()
	return db
}

func (db *DB) validate() error {
	switch {
	case db.transport == nil:
		return fmt.Errorf("%w: occ.New needs a transport, such as sqldb.New(db)", ErrUsage)
	case db.dialect == nil:
		return fmt.Errorf("%w: occ.New needs a dialect, such as postgres.New()", ErrUsage)
	case db.opts.CommitTimeout < 0:
		return fmt.Errorf("%w: Options.CommitTimeout is negative", ErrUsage)
	}
	if err := db.opts.Retry.Validate(); err != nil {
		return fmt.Errorf("%w: Options.Retry: %w", ErrUsage, err)
	}
	if err := db.opts.Contention.Validate(); err != nil {
		return fmt.Errorf("%w: Options.Contention: %w", ErrUsage, err)
	}
	if err := db.opts.Breaker.Validate(); err != nil {
		return fmt.Errorf("%w: Options.Breaker: %w", ErrUsage, err)
	}
	return nil
}

// Dialect returns the dialect that the database speaks.
func (db *DB) Dialect() dialects.Dialect { return db.dialect }

// Classify tells what an error of this database proves. It looks through
// wrapped errors.
func (db *DB) Classify(err error) dialects.Class {
	if db.opts.Classify != nil {
		if class, known := db.opts.Classify(err); known {
			return class
		}
	}
	return db.dialect.Classify(err)
}

// checkSession refuses settings under which versioned writes would be lost.
// All connections of a pool share their settings, so one is enough.
func (db *DB) checkSession(ctx context.Context, q dialects.Querier) error {
	checker, ok := db.dialect.(dialects.SessionChecker)
	if !ok {
		return nil
	}
	text, judge := checker.SessionCheck()
	rows, err := q.Query(ctx, text, nil)
	if err != nil {
		return err
	}
	defer rows.Close()
	var settings string
	if rows.Next() {
		err = rows.Scan(&settings)
	}
	rows.Close()
	if err = errors.Join(err, rows.Err()); err != nil {
		return err
	}
	if err := judge(settings); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return nil
}

// detached returns a context that outlives the caller's, for COMMIT and
// ROLLBACK.
func (db *DB) detached(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), db.opts.CommitTimeout)
}

// unit is one explicit transaction on a pinned connection.
type unit struct {
	db    *DB
	conn  dialects.Conn
	phase dialects.Phase // where an error of run happened
	dirty bool           // the connection's state is unknown: discard it
	ended bool           // by finish
}

// run begins, calls body and commits if body asks for it; otherwise, and after
// any error, it rolls back. A transaction that met an error is never committed.
func (u *unit) run(ctx context.Context, body func() (commit bool, err error)) error {
	u.phase = dialects.InTx
	if err := u.conn.Begin(ctx, u.db.begin); err != nil {
		class := u.db.Classify(err)
		u.dirty = class == dialects.Lost || class == dialects.Unknown
		return err
	}
	u.dirty = true // until proven clean; a panic of body leaves it so
	commit, err := body()
	if u.ended {
		return err
	}
	if err == nil && commit {
		if err = ctx.Err(); err == nil {
			return u.commit(ctx)
		}
	}
	u.rollback(ctx)
	return err
}

func (u *unit) commit(ctx context.Context) error {
	ctx, cancel := u.db.detached(ctx)
	defer cancel()
	u.phase = dialects.Commit
	err := u.conn.Commit(ctx)
	if err == nil {
		u.dirty = false
		return nil
	}
	u.failed(ctx, err)
	return err
}

// failed finds out what an error at the end of the transaction means.
func (u *unit) failed(ctx context.Context, err error) {
	class := u.db.Classify(err)
	if class.At(dialects.InTx) != dialects.Retry && class.At(u.phase) == dialects.Ambiguous {
		return
	}
	// The server answered. Some keep the transaction open when they refuse for
	// now (SQLite; a lock wait timeout): once rolled back, it is not applied.
	if u.rollback(ctx); !u.dirty && class == dialects.Busy {
		u.phase = dialects.InTx
	}
}

// finish runs the last statement of the transaction together with COMMIT, and
// returns how many rows it matched. The transaction has ended then, unless the error
// is [errors.ErrUnsupported]: then nothing was sent.
func (u *unit) finish(ctx context.Context, last dialects.Call) (int64, error) {
	p, ok := u.conn.(dialects.Pipeliner)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := u.db.detached(ctx)
	defer cancel()
	calls := []dialects.Call{last, {Text: "COMMIT"}}
	err := p.Pipeline(ctx, calls)
	if unsupported(err) {
		return 0, err
	}
	u.ended = true
	if err == nil {
		u.dirty = false
		return calls[0].Rows, nil
	}
	// An error of the statement is as definite as that of one that commits itself.
	if u.phase = dialects.Autocommit; calls[0].Rows > 0 {
		u.phase = dialects.Commit
	}
	u.failed(ctx, err)
	return 0, err
}

func (u *unit) rollback(ctx context.Context) {
	ctx, cancel := u.db.detached(ctx)
	defer cancel()
	if u.conn.Rollback(ctx) == nil {
		u.dirty = false
	}
}
