package mariadb_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/retry"
)

var conflictRows = []row{
	{"finding 6: 1213 ends the transaction, what follows would be autocommit", TestServerDeadlock},
	{"finding 6: COMMIT of the dead transaction is no error", TestServerDeadlock},
	{"1213: the whole transaction again", TestServerDeadlockAgain},
	{"1205 leaves the transaction open with half the unit", TestServerLockWaitTimeout},
	{"1205 in occ's own units: rolled back", TestServerLockWaitTimeoutOwnUnit},
	{"1205 of NOWAIT", TestServerNoWait},
	{"1020 with innodb_snapshot_isolation=ON: the transaction is gone", TestServerSnapshotIsolation},
	{"section 3: REPEATABLE READ re-reads the old version, the locking probe does not", TestServerStaleReread},
	{"section 3: a lost race is no row in autocommit", TestServerStaleVersion},
	{"1412 table definition has changed", TestServerTableChanged},
}

var retryOnce = retry.Policy{MaxAttempts: 1}

// victim makes conn, which has changed row 2, the victim of a deadlock at its
// change of row 1: the rival has changed more rows.
func (s *scene) victim(change func() error) error {
	s.Helper()
	s.exec("INSERT INTO accounts SELECT seq, 0, 1 FROM seq_10_to_40")
	rival := s.hold("UPDATE accounts SET balance = 1 WHERE id >= 10", servertest.Bump)
	done := servertest.Async(func() error {
		if _, err := rival.ExecContext(s.Context(), "UPDATE accounts SET balance = 600, version = version + 1 WHERE id = 2"); err != nil {
			return err
		}
		return rival.Commit()
	})
	s.waiter()
	err := change()
	require.NoError(s, <-done)
	return err
}

func TestServerDeadlock(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	c, one, two := s.client(nil), servertest.Held(1), servertest.Held(2)
	conn, repo := c.begin()
	require.NoError(s, repo.Update(s.Context(), &two))
	err := s.victim(func() error { return repo.Update(s.Context(), &one) })
	judged(s, err, 1213, dialects.Conflict, dialects.InTx, dialects.Retry)
	require.ErrorIs(s, err, occ.ErrConflict)
	require.False(s, s.inTransaction(conn), "the server has ended the transaction: this is the trap")

	// The caller swallows the error and goes on.
	mine := account{ID: 10, Balance: 7, Version: 1}
	require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned)
	require.ErrorIs(s, repo.Insert(s.Context(), &account{ID: 3}), occ.ErrPoisoned)
	require.ErrorIs(s, repo.Delete(s.Context(), &mine), occ.ErrPoisoned)
	_, err = repo.Mutate(s.Context(), 10, func(a *account) error { a.Balance = 7; return nil })
	require.ErrorIs(s, err, occ.ErrPoisoned)
	require.ErrorIs(s, repo.Overwrite(s.Context(), &mine, "test"), occ.ErrPoisoned)
	require.ErrorIs(s, conn.Commit(s.Context()), dialects.ErrRolledBack, "the server would not tell")
	s.holds(account{ID: 1, Balance: 500, Version: 2})
	s.holds(account{ID: 2, Balance: 600, Version: 2})
	s.holds(account{ID: 10, Balance: 1, Version: 1})
}

func TestServerDeadlockAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	c, runs := s.client(nil), 0
	err := c.db.Retry(s.Context(), func(ctx context.Context) error {
		conn, repo := c.begin()
		add := func(id int64) error {
			_, err := repo.Mutate(ctx, id, func(a *account) error { a.Balance++; return nil })
			return err
		}
		if err := add(2); err != nil {
			return err
		}
		if runs++; runs == 1 {
			return s.victim(func() error { return add(1) })
		}
		if err := add(1); err != nil {
			return err
		}
		return conn.Commit(ctx)
	})
	require.NoError(s, err)
	require.Equal(s, 2, runs)
	s.holds(account{ID: 1, Balance: 501, Version: 3})
	s.holds(account{ID: 2, Balance: 601, Version: 3})
}

func TestServerLockWaitTimeout(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	other := s.hold(servertest.Bump)
	c, one, two := s.client(set("innodb_lock_wait_timeout", "1")), servertest.Held(1), servertest.Held(2)
	conn, repo := c.begin()
	two.Balance = 7
	require.NoError(s, repo.Update(s.Context(), &two))
	err := repo.Update(s.Context(), &one)
	judged(s, err, 1205, dialects.Busy, dialects.InTx, dialects.Retry)
	servertest.Refused(s, err, nil)
	require.ErrorIs(s, repo.Update(s.Context(), &one), occ.ErrPoisoned)
	require.True(s, s.inTransaction(conn), "the server has kept the transaction: this is the trap")
	require.NoError(s, conn.Rollback(s.Context()))
	s.holds(servertest.Held(2))

	// What happens to a program that commits all the same.
	require.NoError(s, conn.Begin(s.Context(), "START TRANSACTION"))
	require.NoError(s, c.In(occ.Join(conn)).Update(s.Context(), &two))
	_, err = conn.Exec(s.Context(), servertest.Bump, nil)
	judged(s, err, 1205, dialects.Busy, dialects.InTx, dialects.Retry)
	require.ErrorIs(s, conn.Commit(s.Context()), dialects.ErrRolledBack, "the transport does not send it")
	s.holds(servertest.Held(2))
	require.NoError(s, other.Rollback())
	s.holds(servertest.Held(1))
}

func TestServerLockWaitTimeoutOwnUnit(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	other := s.hold(servertest.Bump)
	pool := s.pool(set("innodb_lock_wait_timeout", "1"))
	pool.SetMaxOpenConns(1)
	c := s.clientOf(&occ.Options{Retry: &retryOnce}, sqldb.New(pool))
	for _, write := range []func(a *account) error{
		func(a *account) error { return c.Update(s.Context(), a) },
		func(a *account) error { return c.Overwrite(s.Context(), a, "test") },
	} {
		mine := account{ID: 1, Balance: 7, Version: 1}
		err := write(&mine)
		require.ErrorIs(s, err, occ.ErrExhausted)
		require.NotErrorIs(s, err, occ.ErrAmbiguous)
		judged(s, err, 1205, dialects.Busy, dialects.Autocommit, dialects.Retry)
		conn, err := c.transport.Conn(s.Context())
		require.NoError(s, err)
		require.False(s, s.inTransaction(conn), "the next borrower gets a clean connection")
		conn.Release(false)
	}
	c.attempts(2)
	require.NoError(s, other.Rollback())
	s.holds(servertest.Held(1))
}

func TestServerNoWait(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.hold(servertest.Bump)
	conn, _ := s.client(nil).begin()
	_, err := conn.Query(s.Context(), "SELECT id FROM accounts WHERE id = 1 FOR UPDATE NOWAIT", nil)
	judged(s, err, 1205, dialects.Busy, dialects.InTx, dialects.Retry)
	require.True(s, s.inTransaction(conn))
}

func TestServerSnapshotIsolation(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	c, mine := s.client(set("innodb_snapshot_isolation", "ON")), servertest.Held(1)
	conn, repo := c.begin()
	_, err := repo.Get(s.Context(), 1) // takes the snapshot
	require.NoError(s, err)
	s.exec(servertest.Bump)
	err = repo.Update(s.Context(), &mine)
	var lost *occ.Conflict[account]
	require.ErrorAs(s, err, &lost)
	require.Nil(s, lost.Current)
	judged(s, err, 1020, dialects.Conflict, dialects.InTx, dialects.Retry)
	require.False(s, s.inTransaction(conn), "the server has ended the transaction")
	require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned)

	// Outside of a transaction there is no snapshot to be stale.
	servertest.Conflict(s, c.Update(s.Context(), &mine), account{ID: 1, Balance: 500, Version: 2})
	_, err = c.Mutate(s.Context(), 1, func(a *account) error { a.Balance++; return nil })
	require.NoError(s, err)
	s.holds(account{ID: 1, Balance: 501, Version: 3})
}

func TestServerStaleReread(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	c, mine := s.client(set("innodb_snapshot_isolation", "OFF", "tx_isolation", "'REPEATABLE-READ'")), servertest.Held(1)
	conn, repo := c.begin()
	_, err := repo.Get(s.Context(), 1)
	require.NoError(s, err)
	s.exec(servertest.Bump)
	servertest.Conflict(s, repo.Update(s.Context(), &mine), account{ID: 1, Balance: 500, Version: 2})
	c.attempts(1)
	seen, err := repo.Get(s.Context(), 1)
	require.NoError(s, err)
	require.Equal(s, servertest.Held(1), seen, "a plain read still shows the old version: this is the trap")

	// Mutate in this transaction does not spin: it tries once.
	_, err = repo.Mutate(s.Context(), 1, func(a *account) error { a.Balance++; return nil })
	servertest.Conflict(s, err, account{ID: 1, Balance: 500, Version: 2})
	c.attempts(2)
	require.NoError(s, conn.Rollback(s.Context()))
}

func TestServerStaleVersion(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	c, mine := s.client(nil), servertest.Held(1)
	other := s.hold(servertest.Bump)
	done := servertest.Async(func() error { return c.Update(s.Context(), &mine) })
	s.waiter()
	require.NoError(s, other.Commit())
	servertest.Conflict(s, <-done, account{ID: 1, Balance: 500, Version: 2})
	require.Equal(s, servertest.Held(1), mine)
	c.attempts(1)
}

func TestServerTableChanged(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.exec("CREATE TABLE clock (id int) ENGINE = InnoDB")
	c := s.client(nil)
	conn, repo := c.begin()
	rows, err := conn.Query(s.Context(), "SELECT * FROM clock", nil) // takes the snapshot, not the lock
	require.NoError(s, err)
	rows.Close()
	s.exec("ALTER TABLE accounts ADD n int, ALGORITHM = COPY")
	_, err = repo.Get(s.Context(), 1)
	judged(s, err, 1412, dialects.Conflict, dialects.InTx, dialects.Retry)
	require.ErrorIs(s, err, occ.ErrConflict)
	_, err = repo.Get(s.Context(), 1)
	require.ErrorIs(s, err, occ.ErrPoisoned)
}
