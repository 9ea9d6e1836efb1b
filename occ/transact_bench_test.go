package occ_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
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
	"github.com/occkit/occkit/occ"
)

// stepwise hides what makes one round trip possible, so that the same unit
// commits with one statement per round trip.
type stepwise struct{ dialects.DB }

func (s stepwise) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := s.DB.Conn(ctx)
	return plainConn{c}, err
}

type plainConn struct{ dialects.Conn }

// plainMariaDB is the dialect without its compound statement.
type plainMariaDB struct {
	dialects.Dialect
	dialects.LockingReader
	dialects.ShareLocker
	dialects.Beginner
}

// distant is a server that answers after a delay, and two ways to commit there.
type distant struct {
	transport     dialects.DB
	dialect       dialects.Dialect
	ping          func(ctx context.Context) error
	once, stepped *occ.DB
}

const eachWay = time.Millisecond

func distantPostgres(b testing.TB) distant {
	proxy, dsn := dbtest.Through(b, dbtest.PostgresTCP(b))
	pool, err := pgxpool.New(b.Context(), dsn)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), "CREATE TABLE accounts (id BIGINT PRIMARY KEY, owner TEXT NOT NULL, balance BIGINT NOT NULL, version BIGINT NOT NULL)")
	require.NoError(b, err)
	proxy.Delay(eachWay)
	return distant{
		pgxdb.New(pool), postgres.New(), func(ctx context.Context) error { _, err := pool.Exec(ctx, "SELECT 1"); return err },
		occ.New(pgxdb.New(pool), postgres.New(), nil), occ.New(stepwise{pgxdb.New(pool)}, postgres.New(), nil),
	}
}

func distantMariaDB(b testing.TB) distant {
	m := mariadb.New()
	proxy, dsn := dbtest.Through(b, dbtest.MariaDBTCP(b))
	pool, err := sql.Open("mysql", dsn+"&interpolateParams=true")
	require.NoError(b, err)
	b.Cleanup(func() { _ = pool.Close() })
	pool.SetMaxIdleConns(4)
	_, err = pool.ExecContext(b.Context(), "CREATE TABLE accounts (id BIGINT PRIMARY KEY, owner VARCHAR(40) NOT NULL, balance BIGINT NOT NULL, version BIGINT NOT NULL)")
	require.NoError(b, err)
	proxy.Delay(eachWay)
	return distant{
		sqldb.New(pool), m, func(ctx context.Context) error { _, err := pool.ExecContext(ctx, "SELECT 1"); return err },
		occ.New(sqldb.New(pool), m, nil), occ.New(sqldb.New(pool), plainMariaDB{m, m, m, m}, nil),
	}
}

// commitTime is the median time that a unit takes which writes n rows of known
// versions, so that it consists of nothing but its commit.
func commitTime(tb testing.TB, db *occ.DB, rows []Account) func() time.Duration {
	accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
	require.NoError(tb, err)
	return func() time.Duration {
		start := time.Now()
		err := db.Transact(tb.Context(), func(tx *occ.Tx) error {
			var errs []error
			for i := range rows {
				errs = append(errs, accounts.In(tx).Update(tb.Context(), &rows[i]))
			}
			return errors.Join(errs...)
		})
		require.NoError(tb, err)
		return time.Since(start)
	}
}

// seed inserts n accounts and returns them.
func seed(tb testing.TB, db *occ.DB, n int) []Account {
	accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
	require.NoError(tb, err)
	rows := make([]Account, n)
	for i := range rows {
		rows[i] = Account{ID: int64(i), Owner: fmt.Sprint(i), Balance: 100}
		require.NoError(tb, accounts.Insert(tb.Context(), &rows[i]))
	}
	return rows
}

// classical is the transaction that unit replaces: every row locked and read,
// then written, one statement per round trip.
func classical(tb testing.TB, d distant, rows []Account) func() time.Duration {
	lock, err := d.dialect.(dialects.LockingReader).SelectForUpdate(accountsTable)
	require.NoError(tb, err)
	update, err := d.dialect.Update(accountsTable)
	require.NoError(tb, err)
	return func() time.Duration {
		ctx := tb.Context()
		conn, err := d.transport.Conn(ctx)
		require.NoError(tb, err)
		defer conn.Release(false)
		start := time.Now()
		require.NoError(tb, conn.Begin(ctx, d.dialect.(dialects.Beginner).Begin()))
		for i := range rows {
			var a Account
			got, err := conn.Query(ctx, lock.Text, []any{rows[i].ID})
			require.NoError(tb, err)
			require.True(tb, got.Next())
			require.NoError(tb, got.Scan(&a.ID, &a.Owner, &a.Balance, &a.Version))
			got.Close()
			args := []any{a.Owner, a.Balance, a.ID, a.Version}
			if len(update.Returns) == 0 {
				_, err = conn.Exec(ctx, update.Text, args)
				require.NoError(tb, err)
			} else {
				got, err = conn.Query(ctx, update.Text, args)
				require.NoError(tb, err)
				got.Close()
				require.NoError(tb, got.Err())
			}
			rows[i].Version = a.Version + 1
		}
		require.NoError(tb, conn.Commit(ctx))
		return time.Since(start)
	}
}

var accountsTable = &dialects.Table{Name: "accounts", Columns: []dialects.Column{
	{Name: "id", Key: true}, {Name: "owner"}, {Name: "balance"}, {Name: "version", Version: dialects.Counter},
}}

// trips are the medians of commits of n rows, in round trips.
type trips struct{ once, stepped, classical float64 }

// roundTrips measures the ways to commit n rows, in turns.
func roundTrips(tb testing.TB, d distant, n, rounds int) trips {
	rows := seed(tb, d.once, n)
	ping := func() time.Duration {
		start := time.Now()
		require.NoError(tb, d.ping(tb.Context()))
		return time.Since(start)
	}
	ways := []func() time.Duration{ping, commitTime(tb, d.once, rows), commitTime(tb, d.stepped, rows), classical(tb, d, rows)}
	times := make([][]time.Duration, len(ways))
	for i := range rounds + 1 {
		for w, way := range ways {
			if took := way(); i > 0 { // the first round connects and prepares
				times[w] = append(times[w], took)
			}
		}
	}
	trip := middle(times[0])
	return trips{middle(times[1]) / trip, middle(times[2]) / trip, middle(times[3]) / trip}
}

func middle(d []time.Duration) float64 {
	slices.Sort(d)
	return float64(d[len(d)/2])
}

// TestOneRoundTrip holds the one shot to what it is for. Times are compared with
// the round trip of the same run only.
func TestOneRoundTrip(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(testing.TB) distant{"postgres": distantPostgres, "mariadb": distantMariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := roundTrips(t, open(t), 10, 9)
			t.Logf("10 rows: %.2f round trips in one shot, %.1f stepwise, %.1f as a classical transaction", r.once, r.stepped, r.classical)
			require.Less(t, r.once, 6.0, "the commit took several round trips")
			require.Greater(t, r.stepped, 7.0, "the measurement does not see round trips")
		})
	}
}

// BenchmarkTransactDistant reports commits of 2 and 10 rows on a server at 1 ms
// each way, in round trips: in one shot, and with one statement per round trip.
func BenchmarkTransactDistant(b *testing.B) {
	for name, open := range map[string]func(testing.TB) distant{"postgres": distantPostgres, "mariadb": distantMariaDB} {
		for _, n := range []int{2, 10} {
			b.Run(fmt.Sprintf("%s/rows=%d", name, n), func(b *testing.B) {
				d := open(b)
				r := roundTrips(b, d, n, 40)
				for b.Loop() { //nolint:revive // the measurement has its own rounds
				}
				b.ReportMetric(r.once, "trips-one-shot")
				b.ReportMetric(r.stepped, "trips-stepwise")
				b.ReportMetric(r.classical, "trips-classical")
				b.ReportMetric(r.classical/r.once, "ratio")
			})
		}
	}
}
