package occ_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

// engine is a database that unit tests run on.
type engine struct {
	name string
	open func(t testing.TB, conns int) (dialects.DB, dialects.Dialect, func(text string))
}

func engines() []engine {
	viaSQL := func(driver string, dsn func(testing.TB) string, d dialects.Dialect) func(testing.TB, int) (dialects.DB, dialects.Dialect, func(string)) {
		return func(t testing.TB, conns int) (dialects.DB, dialects.Dialect, func(string)) {
			pool := dbtest.Open(t, driver, dsn(t))
			pool.SetMaxOpenConns(conns)
			pool.SetMaxIdleConns(conns)
			return sqldb.New(pool), d, func(text string) {
				_, err := pool.Exec(text)
				require.NoError(t, err)
			}
		}
	}
	return []engine{
		{"sqlite", viaSQL("sqlite", dbtest.SQLite, sqlite.New())},
		{"mariadb", viaSQL("mysql", dbtest.MariaDB, mariadb.New())},
		{"postgres-sqldb", viaSQL("pgx", dbtest.Postgres, postgres.New())},
		{"postgres-pgxdb", func(t testing.TB, conns int) (dialects.DB, dialects.Dialect, func(string)) {
			cfg, err := pgxpool.ParseConfig(dbtest.Postgres(t))
			require.NoError(t, err)
			cfg.MaxConns = int32(conns)
			pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
			require.NoError(t, err)
			t.Cleanup(pool.Close)
			return pgxdb.New(pool), postgres.New(), func(text string) {
				_, err := pool.Exec(context.Background(), text)
				require.NoError(t, err)
			}
		}},
	}
}

// transports finds the transport that a test's DB was made of, to make another
// DB with other options.
var transports sync.Map // *occ.DB -> dialects.DB

func dbTransport(t *testing.T, db *occ.DB) dialects.DB {
	t.Helper()
	transport, ok := transports.Load(db)
	require.True(t, ok)
	return transport.(dialects.DB)
}

// conflictsTo keeps the last conflict of a unit.
func conflictsTo(stale **occ.UnitConflict) observe.Observer {
	return observe.Func(func(_ context.Context, e observe.Event) {
		if e.Kind == observe.Conflict {
			errors.As(e.Err, stale)
		}
	})
}

// eachEngine runs a test on every engine, with its own accounts table.
func eachEngine(t *testing.T, conns int, run func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64])) {
	t.Helper()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			transport, dialect, exec := e.open(t, conns)
			exec("CREATE TABLE accounts (id BIGINT PRIMARY KEY, owner VARCHAR(40) NOT NULL, balance BIGINT NOT NULL, version BIGINT NOT NULL)")
			db := occ.New(transport, dialect, nil)
			transports.Store(db, transport)
			accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
			require.NoError(t, err)
			run(t, db, accounts)
		})
	}
}

func TestTransactAppliesAllOrNothing(t *testing.T) {
	t.Parallel()
	eachEngine(t, 1, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		ctx := t.Context()
		for id := range int64(3) {
			require.NoError(t, accounts.Insert(ctx, &Account{ID: id, Owner: "x", Balance: 10}))
		}
		runs, hooks := 0, 0
		var updated Account
		err := db.Transact(ctx, func(tx *occ.Tx) error {
			runs++
			in := accounts.In(tx)
			a, err := in.Get(ctx, 0)
			require.NoError(t, err)
			b, err := in.Get(ctx, 1)
			require.NoError(t, err)
			a.Balance, b.Balance = a.Balance-5, b.Balance+5
			require.NoError(t, in.Update(ctx, &a))
			require.NoError(t, in.Update(ctx, &b))
			again, err := in.Get(ctx, 0)
			require.NoError(t, err)
			require.Equal(t, int64(5), again.Balance, "a second read returns the buffered state")
			again.Owner = "ada"
			require.NoError(t, in.Patch(ctx, &again, "owner"))
			c, err := in.Get(ctx, 2)
			require.NoError(t, err)
			require.NoError(t, in.Delete(ctx, &c))
			require.NoError(t, in.Insert(ctx, &Account{ID: 7, Owner: "new"}))
			_, err = in.Get(ctx, 2)
			require.ErrorIs(t, err, occ.ErrNotFound)
			if runs == 1 { // somebody else is faster
				_, err := accounts.Mutate(ctx, 1, func(a *Account) error { a.Balance += 100; return nil })
				require.NoError(t, err)
			}
			require.NoError(t, tx.AfterCommit(func() { hooks++ }))
			require.Equal(t, int64(1), a.Version, "nothing changes before the outcome is known")
			updated = a
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, 2, runs)
		require.Equal(t, 1, hooks)
		rows, err := accounts.GetMany(ctx, []int64{0, 1, 2, 7})
		require.NoError(t, err)
		require.Equal(t, map[int64]Account{
			0: {0, "ada", 5, 2}, 1: {1, "x", 115, 3}, 7: {7, "new", 0, 1},
		}, rows)
		require.Equal(t, int64(1), updated.Version)

		boom := errors.New("boom")
		err = db.Transact(ctx, func(tx *occ.Tx) error {
			_, err := accounts.In(tx).Mutate(ctx, 0, func(a *Account) error { a.Balance = 0; return nil })
			require.NoError(t, err)
			return boom
		})
		require.Equal(t, boom, err)
		a, err := accounts.Get(ctx, 0)
		require.NoError(t, err)
		require.Equal(t, int64(5), a.Balance)
	})
}

// TestWriteSkew: two doctors are on call; each may leave if the other stays.
func TestWriteSkew(t *testing.T) {
	t.Parallel()
	eachEngine(t, 4, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		ctx := t.Context()
		for id := range int64(2) {
			require.NoError(t, accounts.Insert(ctx, &Account{ID: id, Owner: "doctor", Balance: 1}))
		}
		rounds := scaled(200, 10_000)
		violations, reruns := onCall(t, db, accounts, rounds, false)
		require.Zero(t, violations)
		require.Positive(t, reruns, "no round conflicted, so the test proved nothing")
		violations, _ = onCall(t, db, accounts, 200, true)
		require.Positive(t, violations, "relaxed units must show write skew, else the test cannot fail")
		t.Logf("%d rounds, %d conflicts, 0 violations; relaxed: %d violations in 200", rounds, reruns, violations)
	})
}

func onCall(t *testing.T, db *occ.DB, doctors *occ.Repository[Account, int64], rounds int, relaxed bool) (violations, reruns int) {
	t.Helper()
	ctx := t.Context()
	for range rounds {
		var runs atomic.Int64
		var both, done sync.WaitGroup
		both.Add(2)
		for me := range int64(2) {
			done.Go(func() {
				first := true
				err := db.Transact(ctx, func(tx *occ.Tx) error {
					runs.Add(1)
					if relaxed {
						if err := tx.Relaxed(); err != nil {
							return err
						}
					}
					in := doctors.In(tx)
					mine, err1 := in.Get(ctx, me)
					other, err2 := in.Get(ctx, 1-me)
					if first { // both decide on the same state
						first = false
						both.Done()
						both.Wait()
					}
					if err := errors.Join(err1, err2); err != nil {
						return err
					}
					if other.Balance == 0 {
						return nil
					}
					mine.Balance = 0
					return in.Update(ctx, &mine)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		done.Wait()
		rows, err := doctors.GetMany(ctx, []int64{0, 1})
		require.NoError(t, err)
		if rows[0].Balance+rows[1].Balance == 0 {
			violations++
		}
		reruns += int(runs.Load()) - 2
		for id := range int64(2) {
			_, err := doctors.Mutate(ctx, id, func(a *Account) error { a.Balance = 1; return nil })
			require.NoError(t, err)
		}
	}
	return violations, reruns
}
