package sqldb_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/sqldb"
)

func open(t *testing.T) *sql.DB {
	t.Helper()
	pool, err := sql.Open("sqlite", dbtest.SQLite(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	return pool
}

// Callers of a single connection take turns, and stop waiting with their
// context. Giving back needs no server, so the nil *pgx.Conn does.
func TestFromConnTakesTurns(t *testing.T) {
	t.Parallel()
	for name, transport := range map[string]func(*testing.T) dialects.DB{
		"sqldb": func(t *testing.T) dialects.DB {
			c, err := open(t).Conn(context.Background())
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, c.Close()) })
			return sqldb.FromConn(c)
		},
		"pgxdb": func(*testing.T) dialects.DB { return pgxdb.FromConn((*pgx.Conn)(nil)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				db := transport(t)
				first, err := db.Conn(t.Context())
				require.NoError(t, err)

				ctx, cancel := context.WithCancelCause(t.Context())
				gaveUp := make(chan error)
				go func() {
					_, err := db.Conn(ctx)
					gaveUp <- err
				}()
				turn := make(chan dialects.Conn)
				go func() {
					c, err := db.Conn(context.WithoutCancel(ctx))
					if err != nil {
						c = nil
					}
					turn <- c
				}()
				synctest.Wait() // both wait
				select {
				case <-turn:
					require.Fail(t, "the connection was lent twice")
				default:
				}
				why := errors.New("no patience")
				cancel(why)
				require.ErrorIs(t, <-gaveUp, why)

				first.Release(false)
				second := <-turn
				require.NotNil(t, second)
				second.Release(false)
				third, err := db.Conn(t.Context())
				require.NoError(t, err)
				third.Release(false)
			})
		})
	}
}

// A discarded connection is gone for good, and nobody waits for it.
func TestFromConnDiscard(t *testing.T) {
	t.Parallel()
	c, err := open(t).Conn(t.Context())
	require.NoError(t, err)
	db := sqldb.FromConn(c)
	lent, err := db.Conn(t.Context())
	require.NoError(t, err)
	lent.Release(true)
	lent, err = db.Conn(t.Context())
	require.NoError(t, err)
	_, err = lent.Exec(t.Context(), "SELECT 1", nil)
	require.ErrorIs(t, err, sql.ErrConnDone)
	lent.Release(false)
}

// A discarded connection of a pool takes its open transaction with it; one that
// is released is used again.
func TestRelease(t *testing.T) {
	t.Parallel()
	pool := open(t)
	pool.SetMaxOpenConns(1)
	db := sqldb.New(pool)
	_, err := pool.Exec("CREATE TABLE t (n INT)")
	require.NoError(t, err)
	for _, discard := range []bool{true, false} {
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		require.NoError(t, c.Begin(t.Context(), "BEGIN IMMEDIATE"))
		res, err := c.Exec(t.Context(), "INSERT INTO t VALUES (?)", []any{1})
		require.NoError(t, err)
		require.EqualValues(t, 1, res.RowsAffected)
		if !discard {
			require.NoError(t, c.Rollback(t.Context()))
		}
		c.Release(discard)
		require.Equal(t, 0, pool.Stats().InUse)
	}
	var n int
	require.NoError(t, pool.QueryRow("SELECT count(*) FROM t").Scan(&n))
	require.Zero(t, n)
}

func TestJoin(t *testing.T) {
	t.Parallel()
	pool := open(t)
	db := sqldb.New(pool)
	tx, err := pool.Begin()
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // only read
	q, err := db.Join(tx)
	require.NoError(t, err)
	rows, err := q.Query(t.Context(), "SELECT 1 UNION SELECT 2", nil)
	require.NoError(t, err)
	n := 0
	for rows.Next() {
		n++
	}
	rows.Close()
	require.NoError(t, rows.Err())
	require.Equal(t, 2, n)
	for _, wrong := range []any{nil, 1, pool, (*sql.Tx)(nil), (*sql.Conn)(nil)} {
		_, err := db.Join(wrong)
		require.ErrorContains(t, err, "want a *sql.Tx, or a *sql.Conn with an open transaction")
	}
}
