// Package sqldb is the transport over [database/sql]: any driver, a pool
// ([New]), a single connection ([FromConn]), and the caller's own *sql.Tx or
// *sql.Conn through occ.Join.
//
// Every statement runs on a pinned connection. A *sql.DB repeats a statement up
// to three times when its driver says driver.ErrBadConn, and some drivers say
// that of statements that ran; a pinned connection never repeats. Transaction
// control is sent as text, so that COMMIT honours its context on drivers whose
// Commit takes none, and so that a dialect chooses how a transaction begins.
package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
)

// New returns the transport over a pool. The pool stays the caller's: its
// limits hold, and the caller closes it.
func New(db *sql.DB) *DB { return &DB{db: db} }

// DB is the transport over a *sql.DB. It is safe for concurrent use.
type DB struct{ db *sql.DB }

// Conn returns a connection of the pool.
func (d *DB) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := d.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{c: c}, nil
}

// Join takes a *sql.Tx, a *sql.Conn with an open transaction, or a
// [dialects.Querier].
func (d *DB) Join(tx any) (dialects.Querier, error) { return join(tx) }

// FromConn returns the transport over one connection, outside of any
// transaction. Concurrent callers take turns. The connection stays the
// caller's, but for one case: when an error leaves its state unknown it is
// closed, and every later use fails.
func FromConn(c *sql.Conn) *Conn {
	return &Conn{c: c, free: make(chan struct{}, 1)}
}

// Conn is the transport over a single *sql.Conn. It is safe for concurrent use.
type Conn struct {
	c    *sql.Conn
	free chan struct{} // holds one element while the connection is lent
}

// Conn waits for the connection to be free.
func (s *Conn) Conn(ctx context.Context) (dialects.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case s.free <- struct{}{}:
		return lent{&conn{c: s.c}, s}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Join takes what [DB.Join] takes.
func (s *Conn) Join(tx any) (dialects.Querier, error) { return join(tx) }

// lent is the connection of a [Conn] while one caller has it.
type lent struct {
	*conn
	owner *Conn
}

func (l lent) Release(discard bool) {
	if discard {
		l.conn.Release(true)
	}
	<-l.owner.free
}

func join(tx any) (dialects.Querier, error) {
	switch tx := tx.(type) {
	case *sql.Tx:
		if tx != nil {
			return querier{tx}, nil
		}
	case *sql.Conn:
		if tx != nil {
			return &conn{c: tx}, nil
		}
	case dialects.Querier:
		return tx, nil
	}
	return nil, fmt.Errorf("sqldb: cannot join a %T: want a *sql.Tx, or a *sql.Conn with an open transaction", tx)
}

// executor is what *sql.Conn and *sql.Tx share.
type executor interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func query(ctx context.Context, e executor, text string, args []any) (dialects.Rows, error) {
	r, err := e.QueryContext(ctx, text, args...) //nolint:sqlclosecheck,rowserrcheck // the caller of Query closes and checks
	if err != nil {
		return nil, err
	}
	return rows{r, nil}, nil
}

func exec(ctx context.Context, e executor, text string, args []any) (dialects.Result, error) {
	r, err := e.ExecContext(ctx, text, args...)
	if err != nil {
		return dialects.Result{}, err
	}
	n, err := r.RowsAffected()
	if err != nil {
		n = -1
	}
	id, err := r.LastInsertId()
	if err != nil {
		id = 0
	}
	return dialects.Result{RowsAffected: n, LastInsertID: id}, nil
}

// querier runs statements in the caller's transaction.
type querier struct{ tx *sql.Tx }

func (q querier) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	return query(ctx, q.tx, text, args)
}

func (q querier) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	return exec(ctx, q.tx, text, args)
}

// conn is a pinned connection.
type conn struct {
	c *sql.Conn
	// failed: a statement of the transaction met an error. database/sql does not
	// show how a server answers COMMIT, and PostgreSQL answers that of a failed
	// transaction with a ROLLBACK that looks like success.
	failed bool
}

func (c *conn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	r, err := c.c.QueryContext(ctx, text, args...) //nolint:sqlclosecheck,rowserrcheck // the caller of Query closes and checks
	if err != nil {
		c.failed = true
		return nil, unsent(err)
	}
	return rows{r, c}, nil
}

func (c *conn) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	r, err := exec(ctx, c.c, text, args)
	c.failed = c.failed || err != nil
	return r, unsent(err)
}

// unsent marks the error of a connection that is closed already.
func unsent(err error) error {
	if errors.Is(err, sql.ErrConnDone) {
		return fmt.Errorf("%w: %w", dialects.ErrNotSent, err)
	}
	return err
}

func (c *conn) Begin(ctx context.Context, text string) error {
	c.failed = false
	_, err := c.c.ExecContext(ctx, text)
	return unsent(err)
}

// Commit does not send COMMIT after a statement that failed: the transaction is
// rolled back on every database alike.
func (c *conn) Commit(ctx context.Context) error {
	if c.failed {
		return errors.Join(dialects.ErrRolledBack, c.Rollback(ctx))
	}
	_, err := c.c.ExecContext(ctx, "COMMIT")
	return err
}

func (c *conn) Rollback(ctx context.Context) error {
	_, err := c.c.ExecContext(ctx, "ROLLBACK")
	return err
}

func (c *conn) Release(discard bool) {
	if discard {
		// database/sql has no other way to close a pooled connection for good.
		_ = c.c.Raw(func(any) error { return driver.ErrBadConn })
	}
	_ = c.c.Close()
}

// rows gives *sql.Rows the shape of [dialects.Rows].
type rows struct {
	*sql.Rows
	conn *conn // nil in the caller's transaction
}

func (r rows) Close() {
	_ = r.Rows.Close()
	if r.conn != nil && r.Err() != nil {
		r.conn.failed = true
	}
}
