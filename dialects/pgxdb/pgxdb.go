// Package pgxdb is the native transport over pgx v5: a pool ([New]), a single
// connection ([FromConn]), and the caller's own pgx.Tx through occ.Join.
//
// Statements run on an acquired connection in pgx's own query mode: by default
// prepared once per connection, with binary parameters and results. The
// transport never consults pgconn.SafeToRetry: up to v5.12 it is true for some
// commands that the server ran.
//
// Behind a pooler that lends server connections per transaction (pgbouncer,
// RDS Proxy) prepared statements get lost. There, use
// [DB.WithExecMode] with pgx.QueryExecModeCacheDescribe, or set
// default_query_exec_mode=cache_describe in the connection string.
package pgxdb

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/occkit/occkit/dialects"
)

// New returns the transport over a pool. The pool stays the caller's: its
// limits hold, and the caller closes it.
func New(pool *pgxpool.Pool) *DB { return &DB{pool: pool} }

// DB is the transport over a *pgxpool.Pool. It is safe for concurrent use.
type DB struct {
	pool *pgxpool.Pool
	mode *pgx.QueryExecMode // nil: the connection's default
}

// WithExecMode returns a transport over the same pool that runs every statement
// with bound arguments in the given mode.
func (d *DB) WithExecMode(mode pgx.QueryExecMode) *DB {
	return &DB{pool: d.pool, mode: &mode}
}

// Conn acquires a connection of the pool.
func (d *DB) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := d.pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	if d.mode != nil {
		return moded{pooled{c}, *d.mode}, nil
	}
	return pooled{c}, nil
}

// Join takes a pgx.Tx, a *pgx.Conn with an open transaction, or a
// [dialects.Querier].
func (d *DB) Join(tx any) (dialects.Querier, error) { return join(tx, d.mode) }

// FromConn returns the transport over one connection, outside of any
// transaction. Concurrent callers take turns. The connection stays the
// caller's, but for one case: when an error leaves its state unknown it is
// closed, and every later use fails.
func FromConn(c *pgx.Conn) *Conn {
	return &Conn{c: c, free: make(chan struct{}, 1)}
}

// Conn is the transport over a single *pgx.Conn. It is safe for concurrent use.
type Conn struct {
	c    *pgx.Conn
	free chan struct{} // holds one element while the connection is lent
}

// Conn waits for the connection to be free.
func (s *Conn) Conn(ctx context.Context) (dialects.Conn, error) {
	select {
	case s.free <- struct{}{}: // at once, which costs less than to be ready to wait
		return lent{s}, nil
	default:
	}
	select {
	case s.free <- struct{}{}:
		return lent{s}, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Join takes what [DB.Join] takes.
func (s *Conn) Join(tx any) (dialects.Querier, error) { return join(tx, nil) }

// executor is what *pgx.Conn and pgx.Tx share.
type executor interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

func join(tx any, mode *pgx.QueryExecMode) (dialects.Querier, error) {
	switch tx := tx.(type) {
	case *pgx.Conn: // before executor: a typed nil must not pass
		if tx != nil {
			return joined{tx, mode}, nil
		}
	case pgx.Tx:
		return joined{tx, mode}, nil
	case dialects.Querier:
		return tx, nil
	}
	return nil, fmt.Errorf("pgxdb: cannot join a %T: want a pgx.Tx, or a *pgx.Conn with an open transaction", tx)
}

// joined runs statements in the caller's transaction.
type joined struct {
	e    executor
	mode *pgx.QueryExecMode
}

func (j joined) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	return j.e.Query(ctx, text, withMode(j.mode, args)...)
}

func (j joined) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	return exec(ctx, j.e, text, withMode(j.mode, args))
}

func withMode(mode *pgx.QueryExecMode, args []any) []any {
	if mode == nil || len(args) == 0 {
		return args
	}
	return append([]any{*mode}, args...)
}

func exec(ctx context.Context, e executor, text string, args []any) (dialects.Result, error) {
	tag, err := e.Exec(ctx, text, args...)
	if err != nil {
		return dialects.Result{}, err
	}
	return dialects.Result{RowsAffected: tag.RowsAffected()}, nil
}

func commit(ctx context.Context, c *pgx.Conn) error {
	tag, err := c.Exec(ctx, "COMMIT")
	if err == nil && tag.String() == "ROLLBACK" {
		return dialects.ErrRolledBack
	}
	return err
}

// pooled is a connection of the pool. It has the size of a pointer, so that
// making it a dialects.Conn allocates nothing.
type pooled struct{ c *pgxpool.Conn }

func (p pooled) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	return p.c.Conn().Query(ctx, text, args...)
}

func (p pooled) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	return exec(ctx, p.c.Conn(), text, args)
}

func (p pooled) Begin(ctx context.Context, text string) error {
	_, err := p.c.Conn().Exec(ctx, text)
	return err
}

func (p pooled) Commit(ctx context.Context) error { return commit(ctx, p.c.Conn()) }

func (p pooled) Rollback(ctx context.Context) error {
	_, err := p.c.Conn().Exec(ctx, "ROLLBACK")
	return err
}

func (p pooled) Release(discard bool) {
	if discard {
		closeNow(p.c.Conn())
	}
	p.c.Release() // the pool drops connections that are closed or not idle
}

// moded is a pooled connection with a query mode of its own.
type moded struct {
	pooled
	mode pgx.QueryExecMode
}

func (m moded) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	return m.pooled.Query(ctx, text, withMode(&m.mode, args))
}

func (m moded) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	return m.pooled.Exec(ctx, text, withMode(&m.mode, args))
}

// lent is the connection of a [Conn] while one caller has it.
type lent struct{ owner *Conn }

func (l lent) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	return l.owner.c.Query(ctx, text, args...)
}

func (l lent) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	return exec(ctx, l.owner.c, text, args)
}

func (l lent) Begin(ctx context.Context, text string) error {
	_, err := l.owner.c.Exec(ctx, text)
	return err
}

func (l lent) Commit(ctx context.Context) error { return commit(ctx, l.owner.c) }

func (l lent) Rollback(ctx context.Context) error {
	_, err := l.owner.c.Exec(ctx, "ROLLBACK")
	return err
}

func (l lent) Release(discard bool) {
	if discard {
		closeNow(l.owner.c)
	}
	<-l.owner.free
}

// closeNow closes without waiting for the server: a context that is already
// done skips the farewell.
func closeNow(c *pgx.Conn) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Close(ctx)
}

// pipeline runs calls in one round trip. Between two synchronisation points the
// server runs everything as one implicit transaction.
// https://www.postgresql.org/docs/current/protocol-flow.html#PROTOCOL-FLOW-PIPELINING
func pipeline(ctx context.Context, c *pgx.Conn, calls []dialects.Call) error {
	var batch pgx.Batch
	for i := range calls {
		batch.Queue(calls[i].Text, calls[i].Args...)
	}
	results := c.SendBatch(ctx, &batch)
	for i := range calls {
		if err := take(results, &calls[i]); err != nil {
			_ = results.Close()
			return err
		}
	}
	return results.Close() // the commit's own error, if there is one
}

func take(results pgx.BatchResults, call *dialects.Call) error {
	if call.Dest == nil {
		tag, err := results.Exec()
		call.Rows = tag.RowsAffected()
		return err
	}
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		call.Rows++
		if err := rows.Scan(call.Dest...); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (p pooled) Pipeline(ctx context.Context, calls []dialects.Call) error {
	return pipeline(ctx, p.c.Conn(), calls)
}

// Pipeline is not for connections with a mode of their own: pgx sends batches in
// the mode of the connection's configuration.
func (m moded) Pipeline(context.Context, []dialects.Call) error { return errors.ErrUnsupported }

func (l lent) Pipeline(ctx context.Context, calls []dialects.Call) error {
	return pipeline(ctx, l.owner.c, calls)
}
