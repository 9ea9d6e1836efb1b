package dialecttest_test

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/occkit/occkit/dialects"
)

// wrapped is a transport whose connections and joined transactions go through a
// wrapper of queriers.
type wrapped struct {
	dialects.DB
	querier func(q dialects.Querier, conn bool) dialects.Querier
	commit  func(ctx context.Context, c dialects.Conn) error
}

func (w wrapped) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := w.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return wrappedConn{c, w.querier(c, true), w.commit}, nil
}

func (w wrapped) Join(tx any) (dialects.Querier, error) {
	q, err := w.DB.(dialects.Joiner).Join(tx)
	if err != nil {
		return nil, err
	}
	return w.querier(q, false), nil
}

type wrappedConn struct {
	dialects.Conn
	q      dialects.Querier
	commit func(ctx context.Context, c dialects.Conn) error
}

func (c wrappedConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	return c.q.Query(ctx, text, args)
}

func (c wrappedConn) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	return c.q.Exec(ctx, text, args)
}

func (c wrappedConn) Commit(ctx context.Context) error {
	if c.commit != nil {
		return c.commit(ctx, c.Conn)
	}
	return c.Conn.Commit(ctx)
}

// oneRow reports one row affected, whatever happened.
type oneRow struct{ dialects.Querier }

func (q oneRow) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	r, err := q.Querier.Exec(ctx, text, args)
	r.RowsAffected = 1
	return r, err
}

func alwaysOneRow(db dialects.DB) dialects.DB {
	return wrapped{DB: db, querier: func(q dialects.Querier, _ bool) dialects.Querier { return oneRow{q} }}
}

// twice sends every write a second time, as a pool does that hides a broken
// connection.
type twice struct{ dialects.Querier }

func (q twice) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	if _, err := q.Querier.Exec(ctx, text, args); err != nil {
		return dialects.Result{}, err
	}
	return q.Querier.Exec(ctx, text, args)
}

func (q twice) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	if strings.HasPrefix(text, "UPDATE") {
		rows, err := q.Querier.Query(ctx, text, args)
		if err != nil {
			return nil, err
		}
		for rows.Next() {
		}
		rows.Close()
		if rows.Err() != nil {
			return nil, rows.Err()
		}
	}
	return q.Querier.Query(ctx, text, args)
}

func sendingTwice(db dialects.DB) dialects.DB {
	return wrapped{DB: db, querier: func(q dialects.Querier, _ bool) dialects.Querier { return twice{q} }}
}

// notCommitting answers COMMIT with a rollback, and says nothing about it.
func notCommitting(db dialects.DB) dialects.DB {
	return wrapped{
		DB:      db,
		querier: func(q dialects.Querier, _ bool) dialects.Querier { return q },
		commit:  func(ctx context.Context, c dialects.Conn) error { return c.Rollback(ctx) },
	}
}

// rowCache serves rows inside of transactions as it has seen them first, or
// outside of a transaction: what a cache or a lagging replica does to re-reads.
type rowCache struct {
	dialects.DB
	mu   sync.Mutex
	rows map[string][]any // statement and arguments -> one row
}

func caching(db dialects.DB) *rowCache { return &rowCache{DB: db, rows: map[string][]any{}} }

func (c *rowCache) Conn(ctx context.Context) (dialects.Conn, error) {
	conn, err := c.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &cachingConn{Conn: conn, q: cachingQuerier{conn, c}}, nil
}

func (c *rowCache) Join(tx any) (dialects.Querier, error) {
	q, err := c.DB.(dialects.Joiner).Join(tx)
	return cachingQuerier{q, c}, err
}

type cachingConn struct {
	dialects.Conn
	q    cachingQuerier
	inTx bool
}

func (c *cachingConn) Begin(ctx context.Context, text string) error {
	c.inTx = true
	return c.Conn.Begin(ctx, text)
}

func (c *cachingConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	if c.inTx {
		return c.q.Query(ctx, text, args)
	}
	return c.Conn.Query(ctx, text, args)
}

// cachingQuerier is a transaction that reads each row once.
type cachingQuerier struct {
	dialects.Querier
	cache *rowCache
}

func (q cachingQuerier) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	if !strings.HasPrefix(text, "SELECT") || !strings.HasSuffix(text, " = ?") {
		return q.Querier.Query(ctx, text, args)
	}
	q.cache.mu.Lock()
	defer q.cache.mu.Unlock()
	key := fmt.Sprint(text, args)
	row, ok := q.cache.rows[key]
	if !ok {
		var err error
		if row, err = q.read(ctx, text, args); err != nil || row == nil {
			return q.Querier.Query(ctx, text, args)
		}
		q.cache.rows[key] = row
	}
	marks := strings.TrimPrefix(strings.Repeat(", ?", len(row)), ", ")
	return q.Querier.Query(ctx, "SELECT "+marks, row)
}

// read returns the values of the only row, or nil.
func (q cachingQuerier) read(ctx context.Context, text string, args []any) ([]any, error) {
	rows, err := q.Querier.Query(ctx, text, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	if !rows.Next() {
		return nil, rows.Err()
	}
	values := make([]any, strings.Count(text[:strings.Index(text, " FROM ")], ",")+1)
	dest := make([]any, len(values))
	for i := range values {
		dest[i] = &values[i]
	}
	return values, rows.Scan(dest...)
}
