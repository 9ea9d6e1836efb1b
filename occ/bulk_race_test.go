package occ_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

// waiters is how each engine counts the statements that wait for a lock. MariaDB's
// innodb_trx would tell more, but shows the same old state to whoever looks more
// often than every 100 ms.
var waiters = map[string]string{
	"postgres": "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%accounts%' AND datname = current_database()",
	"mariadb": "SELECT count(*) FROM information_schema.processlist p, information_schema.global_status s" +
		" WHERE p.db = DATABASE() AND p.id <> CONNECTION_ID() AND p.info LIKE '%accounts%'" +
		" AND s.variable_name = 'INNODB_ROW_LOCK_CURRENT_WAITS' AND s.variable_value + 0 > 0",
}

// begun returns a connection in an open writing transaction.
func begun(t *testing.T, db *occ.DB) dialects.Conn {
	t.Helper()
	conn, err := dbTransport(t, db).Conn(t.Context())
	require.NoError(t, err)
	begin := "BEGIN"
	if b, ok := db.Dialect().(dialects.Beginner); ok {
		begin = b.Begin()
	}
	require.NoError(t, conn.Begin(t.Context(), begin))
	return conn
}

// awaitWaiter returns when a statement waits for a lock; at once on a database
// where nobody can look.
func awaitWaiter(t *testing.T, db *occ.DB) {
	t.Helper()
	text, ok := waiters[db.Dialect().Name()]
	if !ok {
		return
	}
	require.Eventually(t, func() bool {
		conn, err := dbTransport(t, db).Conn(t.Context())
		if err != nil {
			return false
		}
		defer conn.Release(false)
		rows, err := conn.Query(t.Context(), text, nil)
		if err != nil {
			return false
		}
		defer rows.Close()
		var n int64
		return rows.Next() && rows.Scan(&n) == nil && n > 0
	}, 20*time.Second, 20*time.Millisecond)
}

// TestUpdateManyWaits: another transaction holds rows of the call and then
// commits. What counts is what it made of them.
func TestUpdateManyWaits(t *testing.T) {
	t.Parallel()
	for _, mode := range []occ.BulkMode{occ.AllOrNothing, occ.BestEffort} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			eachEngine(t, 4, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
				rows := fill(t, accounts, 5)
				other := begun(t, db)
				defer other.Release(true)
				for _, text := range []string{
					"UPDATE accounts SET owner = 'other', version = version + 1 WHERE id IN (1, 4)",
					"DELETE FROM accounts WHERE id = 3",
				} {
					_, err := other.Exec(t.Context(), text, nil)
					require.NoError(t, err)
				}
				rows[4].Version = 2 // the caller knows already
				var outcomes []occ.Outcome
				var err error
				var done sync.WaitGroup
				done.Go(func() { outcomes, err = accounts.UpdateMany(t.Context(), rows, mode) })
				awaitWaiter(t, db)
				require.NoError(t, other.Commit(t.Context()))
				done.Wait()
				require.ErrorIs(t, err, occ.ErrConflict)
				var conflict *occ.Conflict[Account]
				require.ErrorAs(t, outcomes[1].Err, &conflict)
				require.Equal(t, &Account{1, "other", 10, 2}, conflict.Current)
				require.ErrorIs(t, outcomes[3].Err, occ.ErrGone)
				table := all(t, accounts)
				if mode == occ.AllOrNothing {
					require.ErrorIs(t, outcomes[4].Err, occ.ErrNotApplied)
					require.Equal(t, int64(1), table[0].Version)
					return
				}
				for _, i := range []int{0, 2, 4} {
					require.NoError(t, outcomes[i].Err)
					require.Equal(t, rows[i], table[rows[i].ID])
				}
				require.Equal(t, int64(3), rows[4].Version)
			})
		})
	}
}

// TestUpdateManyDoesNotDeadlock: calls of overlapping rows in any order wait for
// each other and end. Each of them counts on every row that it wins.
func TestUpdateManyDoesNotDeadlock(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			transport, dialect, exec := e.open(t, 8)
			exec(bulkTable)
			var mu sync.Mutex
			retries := 0
			db := occ.New(transport, dialect, &occ.Options{Observer: observe.Func(func(_ context.Context, e observe.Event) {
				if e.Kind == observe.Retry {
					mu.Lock()
					retries++
					mu.Unlock()
				}
			})})
			accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
			require.NoError(t, err)
			fill(t, accounts, 200)
			won := make([]int64, 8)
			var done sync.WaitGroup
			for worker := range won {
				done.Go(func() {
					for range 10 {
						mine := make([]Account, 0, 120)
						for id, a := range all(t, accounts) {
							if int(id)%8 != worker || id%3 == 0 {
								a.Balance++
								mine = append(mine, a)
							}
						}
						rand.Shuffle(len(mine), func(i, j int) { mine[i], mine[j] = mine[j], mine[i] })
						outcomes, _ := accounts.UpdateMany(ctx, mine, occ.BestEffort)
						for _, o := range outcomes {
							switch o.Err.(type) { //nolint:errorlint // identity is meant
							case nil:
								won[worker]++
							case *occ.Conflict[Account]:
							default:
								t.Error(o.Err)
							}
						}
					}
				})
			}
			done.Wait()
			var versions, balances, wins int64
			for _, a := range all(t, accounts) {
				versions += a.Version - 1
				balances += a.Balance - 10
			}
			for _, n := range won {
				wins += n
			}
			require.Equal(t, wins, versions)
			require.Equal(t, wins, balances)
			if e.name != "sqlite" { // where all writers wait for one lock, for so long
				require.Zero(t, retries, "somebody deadlocked")
			}
		})
	}
}

// TestUpdateManyBeyondParameters: more rows than any statement has parameters for.
func TestUpdateManyBeyondParameters(t *testing.T) {
	t.Parallel()
	eachEngine(t, 2, func(t *testing.T, _ *occ.DB, accounts *occ.Repository[Account, int64]) {
		const n = 5000
		rows := fill(t, accounts, n)
		rand.Shuffle(n, func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
		for i := range rows {
			rows[i].Balance = rows[i].ID
		}
		stale := rows[n-1]
		require.NoError(t, accounts.Update(t.Context(), &stale))
		before := all(t, accounts)
		outcomes, err := accounts.UpdateMany(t.Context(), rows, occ.AllOrNothing)
		require.ErrorIs(t, err, occ.ErrConflict)
		require.ErrorIs(t, outcomes[n-1].Err, occ.ErrConflict)
		require.ErrorIs(t, outcomes[0].Err, occ.ErrNotApplied)
		require.Equal(t, before, all(t, accounts))
		rows[n-1] = stale
		_, err = accounts.UpdateMany(t.Context(), rows, occ.AllOrNothing)
		require.NoError(t, err)
		table := all(t, accounts)
		for _, a := range rows {
			require.Equal(t, a, table[a.ID])
			require.Equal(t, a.ID, a.Balance)
		}
		_, err = accounts.DeleteMany(t.Context(), rows, occ.AllOrNothing)
		require.NoError(t, err)
		require.Empty(t, all(t, accounts))
	})
}

// TestBulkJoined: everything happens in the caller's transaction, and rows stay.
func TestBulkJoined(t *testing.T) {
	t.Parallel()
	eachEngine(t, 2, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		held := mixed(t, accounts)
		given, before := append([]Account(nil), held...), all(t, accounts)
		conn := begun(t, db)
		defer conn.Release(true)
		in := accounts.In(occ.Join(conn))
		outcomes, err := in.UpdateMany(t.Context(), held, occ.AllOrNothing)
		require.ErrorIs(t, err, occ.ErrConflict)
		require.ErrorIs(t, outcomes[0].Err, occ.ErrNotApplied)
		outcomes, err = in.UpdateMany(t.Context(), held, occ.BestEffort)
		require.ErrorIs(t, err, occ.ErrConflict)
		require.Equal(t, int64(2), outcomes[0].Version, "AllOrNothing had written nothing")
		_, err = in.InsertMany(t.Context(), []Account{{ID: 70}, {ID: 71}}, occ.AllOrNothing)
		require.NoError(t, err)
		require.Equal(t, given, held)
		_, err = in.InsertMany(t.Context(), []Account{{ID: 72}, {ID: 70}}, occ.AllOrNothing)
		require.ErrorIs(t, err, occ.ErrDuplicate)
		_, err = in.DeleteMany(t.Context(), held[:1], occ.AllOrNothing)
		require.ErrorIs(t, err, occ.ErrPoisoned)
		require.NoError(t, conn.Rollback(t.Context()))
		require.Equal(t, before, all(t, accounts))
	})
}

// TestBulkAmbiguous: the reply is lost, nobody knows.
func TestBulkAmbiguous(t *testing.T) {
	t.Parallel()
	for name, s := range map[string]struct {
		driver, dsn string
		dialect     dialects.Dialect
	}{
		"postgres": {"pgx", dbtest.PostgresTCP(t), postgres.New()},
		"mariadb":  {"mysql", dbtest.MariaDBTCP(t), mariadb.New()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			proxy, dsn := dbtest.Through(t, s.dsn)
			pool := dbtest.Open(t, s.driver, dsn)
			_, err := pool.Exec(bulkTable)
			require.NoError(t, err)
			db := occ.New(sqldb.New(pool), s.dialect, &occ.Options{CommitTimeout: 2 * time.Second})
			accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
			require.NoError(t, err)
			rows := fill(t, accounts, 3)
			_, err = accounts.UpdateMany(t.Context(), rows, occ.AllOrNothing)
			require.NoError(t, err)
			given := append([]Account(nil), rows...)
			unlucky := occ.New(lossy{sqldb.New(pool), proxy}, s.dialect, &occ.Options{CommitTimeout: 2 * time.Second})
			accounts, err = occ.NewRepository[Account, int64](unlucky, "accounts", nil)
			require.NoError(t, err)
			outcomes, err := accounts.UpdateMany(t.Context(), rows, occ.AllOrNothing)
			require.ErrorIs(t, err, occ.ErrAmbiguous)
			var ambiguous *occ.AmbiguousError
			require.ErrorAs(t, err, &ambiguous)
			for _, o := range outcomes {
				require.Equal(t, occ.Outcome{Err: err}, o)
			}
			require.Equal(t, given, rows)
		})
	}
}

// lossy loses the reply to whatever makes a bulk update final.
type lossy struct {
	dialects.DB
	proxy *dbtest.Proxy
}

func (l lossy) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := l.DB.Conn(ctx)
	return lossyConn{c, l.proxy}, err
}

type lossyConn struct {
	dialects.Conn
	proxy *dbtest.Proxy
}

func (c lossyConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	if len(text) > 4 && text[:4] == "WITH" && len(args) > 1 {
		c.proxy.CutReplies()
	}
	return c.Conn.Query(ctx, text, args)
}

func (c lossyConn) Commit(ctx context.Context) error {
	c.proxy.CutReplies()
	return c.Conn.Commit(ctx)
}
