package occ_test

import (
	"context"
	"database/sql"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

// bulkSite is a database for the benchmark, and its best loop of single versioned
// updates in one transaction.
type bulkSite struct {
	transport dialects.DB
	dialect   dialects.Dialect
	loop      func(ctx context.Context, rows []Account) error
	analyze   string // tells the planner about the rows, as a table in use has been
}

const bulkTable = "CREATE TABLE accounts (id BIGINT PRIMARY KEY, owner VARCHAR(40) NOT NULL, balance BIGINT NOT NULL, version BIGINT NOT NULL)"

func bulkPostgres(dsnOf func(testing.TB) string, delay time.Duration) func(b testing.TB) bulkSite {
	return func(b testing.TB) bulkSite {
		dsn, proxy := dsnOf(b), (*dbtest.Proxy)(nil)
		if delay > 0 {
			proxy, dsn = dbtest.Through(b, dsn)
		}
		pool, err := pgxpool.New(b.Context(), dsn)
		require.NoError(b, err)
		b.Cleanup(pool.Close)
		_, err = pool.Exec(b.Context(), bulkTable+" WITH (fillfactor = 50)")
		require.NoError(b, err)
		if delay > 0 {
			proxy.Delay(delay)
		}
		loop := func(ctx context.Context, rows []Account) error {
			tx, err := pool.Begin(ctx)
			if err != nil {
				return err
			}
			defer func() { _ = tx.Rollback(ctx) }()
			for i := range rows {
				a := &rows[i]
				err := tx.QueryRow(ctx, `UPDATE accounts SET owner = $1, balance = $2, version = version + 1 WHERE id = $3 AND version = $4 RETURNING version`,
					a.Owner, a.Balance, a.ID, a.Version).Scan(&a.Version)
				if err != nil {
					return err
				}
			}
			return tx.Commit(ctx)
		}
		return bulkSite{pgxdb.New(pool), postgres.New(), loop, "VACUUM ANALYZE accounts"}
	}
}

// preparedLoop is the best loop through database/sql: one prepared statement, on
// one connection.
func preparedLoop(pool *sql.DB, begin string) func(ctx context.Context, rows []Account) error {
	return func(ctx context.Context, rows []Account) error {
		conn, err := pool.Conn(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if _, err := conn.ExecContext(ctx, begin); err != nil {
			return err
		}
		st, err := conn.PrepareContext(ctx, "UPDATE accounts SET owner = ?, balance = ?, version = version + 1 WHERE id = ? AND version = ?")
		if err != nil {
			return err
		}
		defer func() { _ = st.Close() }()
		for i := range rows {
			a := &rows[i]
			res, err := st.ExecContext(ctx, a.Owner, a.Balance, a.ID, a.Version)
			if err != nil {
				return err
			}
			if n, err := res.RowsAffected(); err != nil || n != 1 {
				return fmt.Errorf("%d rows: %w", n, err)
			}
			a.Version++
		}
		_, err = conn.ExecContext(ctx, "COMMIT")
		return err
	}
}

func bulkMariaDB(b testing.TB) bulkSite {
	pool := dbtest.Open(b, "mysql", dbtest.MariaDB(b)+"&interpolateParams=true")
	_, err := pool.ExecContext(b.Context(), bulkTable)
	require.NoError(b, err)
	return bulkSite{sqldb.New(pool), mariadb.New(), preparedLoop(pool, "START TRANSACTION"), "ANALYZE TABLE accounts"}
}

func bulkSQLite(b testing.TB) bulkSite {
	pool := dbtest.Open(b, "sqlite", dbtest.SQLite(b))
	_, err := pool.ExecContext(b.Context(), bulkTable)
	require.NoError(b, err)
	return bulkSite{sqldb.New(pool), sqlite.New(), preparedLoop(pool, "BEGIN IMMEDIATE"), "ANALYZE accounts"}
}

// BenchmarkUpdateMany compares UpdateMany of 1,000 rows with the best loop of
// single versioned updates in one transaction, in turns.
//
//	go test ./occ -run '^$' -bench UpdateMany -benchtime 1x
func BenchmarkUpdateMany(b *testing.B) {
	const n = 1000
	for _, s := range []struct {
		name   string
		open   func(testing.TB) bulkSite
		rounds int
	}{
		{"postgres", bulkPostgres(dbtest.PostgresTCP, 0), 30}, // on loopback
		{"postgres-socket", bulkPostgres(dbtest.Postgres, 0), 30},
		{"postgres-1ms", bulkPostgres(dbtest.PostgresTCP, time.Millisecond), 5},
		{"mariadb", bulkMariaDB, 20},
		{"sqlite", bulkSQLite, 40},
	} {
		b.Run(s.name, func(b *testing.B) {
			ctx, site := b.Context(), s.open(b)
			accounts, err := occ.NewRepository[Account, int64](occ.New(site.transport, site.dialect, nil), "accounts", nil)
			require.NoError(b, err)
			rows := fill(b, accounts, n)
			conn, err := site.transport.Conn(ctx)
			require.NoError(b, err)
			_, err = conn.Exec(ctx, site.analyze, nil)
			conn.Release(false)
			require.NoError(b, err)
			ways := []func() error{
				func() error { return site.loop(ctx, rows) },
				func() error { _, err := accounts.UpdateMany(ctx, rows, occ.AllOrNothing); return err },
				func() error { _, err := accounts.UpdateMany(ctx, rows, occ.BestEffort); return err },
			}
			times := make([][]time.Duration, len(ways))
			for round := range s.rounds + 2 {
				for w := range ways {
					w = (w + round) % len(ways)
					for i := range rows {
						rows[i].Balance++
					}
					start := time.Now()
					require.NoError(b, ways[w]())
					if took := time.Since(start); round > 1 { // the first rounds connect and prepare
						times[w] = append(times[w], took)
					}
				}
			}
			for b.Loop() { //nolint:revive // the measurement has its own rounds
			}
			loop, all, best := middle(times[0]), middle(times[1]), middle(times[2])
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(n/loop*1e9, "loop-rows/s")
			b.ReportMetric(n/all*1e9, "rows/s")
			b.ReportMetric(loop/all, "ratio")
			b.ReportMetric(loop/best, "ratio-best-effort")
		})
	}
}
