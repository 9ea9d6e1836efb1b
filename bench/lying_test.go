package bench_test

import (
	"context"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// lying acknowledges one update that it does not make.
type lying struct {
	dialects.DB
	updates int
}

const lie = 5 // which update: an early one, a busy machine makes few

func (l *lying) Conn(ctx context.Context) (dialects.Conn, error) {
	conn, err := l.DB.Conn(ctx)
	return lyingConn{conn, l}, err
}

type lyingConn struct {
	dialects.Conn
	db *lying // the pool has one connection: no race
}

func (c lyingConn) lies(text string) bool {
	if strings.HasPrefix(text, "UPDATE") {
		c.db.updates++
		return c.db.updates == lie
	}
	return false
}

func (c lyingConn) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	if c.lies(text) {
		return dialects.Result{RowsAffected: 1}, nil
	}
	return c.Conn.Exec(ctx, text, args)
}

// Query makes the update, reports its version, and takes it back.
func (c lyingConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	if !c.lies(text) {
		return c.Conn.Query(ctx, text, args)
	}
	if _, err := c.Conn.Exec(ctx, "SAVEPOINT truth", nil); err != nil {
		return nil, err
	}
	rows, err := c.Conn.Query(ctx, text, args)
	if err != nil {
		return nil, err
	}
	var version int64
	found := rows.Next() && rows.Scan(&version) == nil
	rows.Close()
	if !found {
		c.db.updates-- // a conflict: lie the next time
	}
	for _, text := range []string{"ROLLBACK TO truth", "RELEASE truth"} {
		if _, err := c.Conn.Exec(ctx, text, nil); err != nil {
			return nil, err
		}
	}
	return &oneRow{version: version, left: found}, nil
}

// oneRow is a result of one number, or of none.
type oneRow struct {
	version int64
	left    bool
}

func (r *oneRow) Next() bool {
	left := r.left
	r.left = false
	return left
}

func (r *oneRow) Scan(dest ...any) error {
	*dest[0].(*int64) = r.version
	return nil
}

func (r *oneRow) Err() error { return nil }
func (r *oneRow) Close()     {}
