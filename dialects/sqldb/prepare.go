package sqldb

import (
	"context"
	"database/sql"

	"github.com/occkit/occkit/dialects"
)

// Prepare prepares a statement on the pinned connection.
func (c *conn) Prepare(ctx context.Context, text string) (dialects.Prepared, error) {
	return prepare(c.c.PrepareContext(ctx, text))
}

// Prepare prepares a statement in the caller's transaction.
func (q querier) Prepare(ctx context.Context, text string) (dialects.Prepared, error) {
	return prepare(q.tx.PrepareContext(ctx, text))
}

func prepare(stmt *sql.Stmt, err error) (dialects.Prepared, error) {
	if err != nil {
		return nil, err
	}
	return prepared{stmt}, nil
}

// prepared runs one statement, whatever text it is given.
type prepared struct{ stmt *sql.Stmt }

func (p prepared) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	return query(ctx, bound(p), text, args)
}

func (p prepared) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	return exec(ctx, bound(p), text, args)
}

func (p prepared) Close() error { return p.stmt.Close() }

// bound gives a prepared statement the shape of an executor.
type bound struct{ stmt *sql.Stmt }

func (b bound) QueryContext(ctx context.Context, _ string, args ...any) (*sql.Rows, error) {
	return b.stmt.QueryContext(ctx, args...)
}

func (b bound) ExecContext(ctx context.Context, _ string, args ...any) (sql.Result, error) {
	return b.stmt.ExecContext(ctx, args...)
}
