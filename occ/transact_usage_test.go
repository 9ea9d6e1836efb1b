package occ_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
)

// openTransactions is how each engine counts the transactions of other clients;
// an autovacuum of the table is none of theirs.
var openTransactions = map[string]string{
	"postgres": "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()" +
		" AND backend_type = 'client backend' AND xact_start IS NOT NULL",
	"mariadb": "SELECT count(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p ON p.id = t.trx_mysql_thread_id" +
		" WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID()",
}

// requireNoTransaction asks the server, again for a while: MariaDB answers from a
// copy that it renews ten times a second. What a unit held, it would hold for good.
func requireNoTransaction(t *testing.T, db *occ.DB) {
	t.Helper()
	text, ok := openTransactions[db.Dialect().Name()]
	if !ok {
		return // a writer would be in the way of the next one
	}
	conn, err := dbTransport(t, db).Conn(t.Context())
	require.NoError(t, err)
	defer conn.Release(false)
	count := func() (n int64) {
		rows, err := conn.Query(t.Context(), text, nil)
		require.NoError(t, err)
		defer rows.Close()
		require.True(t, rows.Next())
		require.NoError(t, rows.Scan(&n))
		return n
	}
	n := count()
	for end := time.Now().Add(5 * time.Second); n > 0 && time.Now().Before(end); {
		n = count()
	}
	require.Zero(t, n, "the server has open transactions")
}

// TestThinkTime: many units think at once on a small pool, because none holds a
// connection meanwhile, nor a transaction. At full length each thinks for a second.
func TestThinkTime(t *testing.T) {
	t.Parallel()
	eachEngine(t, 2, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		const units = 64
		ctx := t.Context()
		for id := range int64(units) {
			require.NoError(t, accounts.Insert(ctx, &Account{ID: id, Owner: "x"}))
		}
		var thinking, all sync.WaitGroup
		thinking.Add(units)
		decide := make(chan struct{})
		errs := make([]error, units)
		for id := range int64(units) {
			all.Go(func() {
				errs[id] = db.Transact(ctx, func(tx *occ.Tx) error {
					a, err := accounts.In(tx).Get(ctx, id)
					if err != nil {
						return err
					}
					thinking.Done()
					<-decide
					<-time.After(time.Duration(scaled(0, 1000)) * time.Millisecond)
					a.Balance++
					return accounts.In(tx).Update(ctx, &a)
				})
			})
		}
		thinking.Wait() // all 64 are in the middle of their bodies, on two connections
		_, err := accounts.Mutate(ctx, 0, func(a *Account) error { a.Owner = "y"; return nil })
		require.NoError(t, err, "the pool is free")
		requireNoTransaction(t, db)
		thinking.Add(1) // unit 0 will run again
		close(decide)
		all.Wait()
		require.NoError(t, errors.Join(errs...))
		a, err := accounts.Get(ctx, 0)
		require.NoError(t, err)
		require.Equal(t, Account{0, "y", 1, 3}, a)
	})
}

func TestTransactUsage(t *testing.T) {
	t.Parallel()
	eachEngine(t, 1, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		ctx := t.Context()
		require.NoError(t, accounts.Insert(ctx, &Account{ID: 1, Owner: "x", Balance: 10}))
		var ended *occ.Tx
		inner := 0
		err := db.Transact(ctx, func(tx *occ.Tx) error {
			ended = tx
			_, err := accounts.Get(tx.Context(), 1)
			require.ErrorIs(t, err, occ.ErrUsage, "outside of the unit, inside of its body")
			require.ErrorContains(t, err, "In(tx)")
			require.ErrorIs(t, accounts.Update(tx.Context(), &Account{ID: 1, Version: 1}), occ.ErrUsage)
			return db.Transact(tx.Context(), func(nested *occ.Tx) error {
				inner++
				require.Same(t, tx, nested)
				_, err := accounts.In(nested).Mutate(ctx, 1, func(a *Account) error { a.Balance++; return nil })
				return err
			})
		})
		require.NoError(t, err)
		require.Equal(t, 1, inner)
		_, err = accounts.In(ended).Get(ctx, 1)
		require.ErrorIs(t, err, occ.ErrUsage)
		require.ErrorIs(t, ended.Exec("DELETE FROM accounts"), occ.ErrUsage)

		require.PanicsWithValue(t, "boom", func() {
			_ = db.Transact(ctx, func(tx *occ.Tx) error {
				_, _ = accounts.In(tx).Get(ctx, 1)
				panic("boom")
			})
		})
		a, err := accounts.Get(ctx, 1) // on the only connection
		require.NoError(t, err)
		require.Equal(t, int64(11), a.Balance)

		canceled, cancel := context.WithCancel(ctx)
		err = db.Transact(canceled, func(tx *occ.Tx) error {
			require.NoError(t, accounts.In(tx).Update(ctx, &a))
			cancel()
			return nil
		})
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorContains(t, err, "not applied")
		require.Equal(t, int64(2), a.Version)
	})
}

// TestTransactNamesEveryStaleRow: all conflicts are named, and a version that
// came from outside of the unit is not retried.
func TestTransactNamesEveryStaleRow(t *testing.T) {
	t.Parallel()
	eachEngine(t, 2, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for id := range int64(4) {
			require.NoError(t, accounts.Insert(ctx, &Account{ID: id, Owner: "x", Balance: id}))
		}
		runs := 0
		stop := errors.New("enough")
		var stale *occ.UnitConflict
		db2 := occ.New(dbTransport(t, db), db.Dialect(), &occ.Options{Observer: conflictsTo(&stale)})
		in2, err := occ.NewRepository[Account, int64](db2, "accounts", nil)
		require.NoError(t, err)
		err = db2.Transact(ctx, func(tx *occ.Tx) error {
			if runs++; runs > 1 {
				return stop
			}
			in := in2.In(tx)
			for id := range int64(4) {
				a, err := in.Get(ctx, id)
				require.NoError(t, err)
				if id%2 == 0 {
					require.NoError(t, in.Update(ctx, &a))
				}
			}
			for id := range int64(3) { // 0 and 2 are written by the unit, 1 is only read
				_, err := accounts.Mutate(ctx, id, func(a *Account) error { a.Balance += 10; return nil })
				require.NoError(t, err)
			}
			return nil
		})
		require.ErrorIs(t, err, stop)
		require.NotNil(t, stale)
		require.Len(t, stale.Rows, 3)
		var first *occ.Conflict[Account]
		require.ErrorAs(t, stale.Rows[0], &first)
		require.Equal(t, Account{0, "x", 10, 2}, *first.Current)

		runs = 0
		err = db.Transact(ctx, func(tx *occ.Tx) error {
			runs++
			return accounts.In(tx).Update(ctx, &Account{ID: 3, Owner: "late", Version: 0})
		})
		require.ErrorIs(t, err, occ.ErrConflict)
		require.Equal(t, 1, runs, "the body would decide the same again")
	})
}
