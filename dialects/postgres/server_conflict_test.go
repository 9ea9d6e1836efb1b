package postgres_test

import (
	"context"
	"testing"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/retry"
)

var conflictRows = []row{
	{"section 3: a lost race is no row at READ COMMITTED", TestServerStaleVersion},
	{"40001 at REPEATABLE READ and SERIALIZABLE, autocommit", TestServerSerializationFailure},
	{"40001 at REPEATABLE READ and SERIALIZABLE: Mutate goes on", TestServerSerializationFailureInMutate},
	{"40001 at COMMIT of SERIALIZABLE", TestServerSerializationFailureAtCommit},
	{"40001 in a joined transaction, which is over then", TestServerSerializationFailureJoined},
	{"40001 tuple moved to another partition, at READ COMMITTED", TestServerMovedPartition},
	{"40P01 deadlock", TestServerDeadlock},
	{"55P03 lock_timeout and NOWAIT", TestServerLockNotAvailable},
}

// raced lets another writer win the row that op is about to write: op waits
// behind the other one's lock, and goes on when that commits.
func (s *scene) raced(op func() error) error {
	s.Helper()
	other := s.hold(servertest.Bump)
	done := servertest.Async(op)
	other.waiter()
	other.commit()
	return <-done
}

func TestServerStaleVersion(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		err := s.raced(func() error { return c.Update(s.Context(), &mine) })
		servertest.Conflict(s, err, account{ID: 1, Balance: 500, Version: 2})
		require.Equal(s, servertest.Held(1), mine)
		c.attempts(1)
	})
}

func TestServerSerializationFailure(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(s *scene) {
				c, mine := s.client("default_transaction_isolation", level), servertest.Held(1)
				mine.Balance = 7
				before := mine
				err := s.raced(func() error { return c.Update(s.Context(), &mine) })
				servertest.Conflict(s, err, account{ID: 1, Balance: 500, Version: 2})
				require.Equal(s, before, mine)
				s.holds(account{ID: 1, Balance: 500, Version: 2})
				judged(s, c.attempts(2)[0], "40001", dialects.Conflict, dialects.Autocommit, dialects.Retry)
			})
		})
	}
}

func TestServerSerializationFailureInMutate(t *testing.T) {
	t.Parallel()
	for _, level := range []string{"repeatable read", "serializable"} {
		t.Run(level, func(t *testing.T) {
			t.Parallel()
			onBoth(t, func(s *scene) {
				c := s.client("default_transaction_isolation", level)
				runs := 0
				var rival <-chan error
				got, err := c.Mutate(s.Context(), 1, func(a *account) error {
					if runs++; runs == 1 {
						other := s.hold(servertest.Bump)
						rival = servertest.Async(func() error { other.waiter(); return other.Commit(s.Context()) })
					}
					a.Balance += 10
					return nil
				})
				require.NoError(s, err)
				require.NoError(s, <-rival)
				require.Equal(s, account{ID: 1, Balance: 510, Version: 3}, got)
				s.holds(got)
				judged(s, c.attempts(2)[0], "40001", dialects.Conflict, dialects.Autocommit, dialects.Retry)
			})
		})
	}
}

// Two transactions that each read what the other one writes: write skew, which
// the server notices at the second COMMIT.
func TestServerSerializationFailureAtCommit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c := s.client("default_transaction_isolation", "serializable")
		one, first := c.begin()
		two, second := c.begin()
		for id, repo := range map[int64]*occ.Repository[account, int64]{1: first, 2: second} {
			_, err := repo.GetMany(s.Context(), []int64{1, 2})
			require.NoError(s, err)
			mine := servertest.Held(id)
			require.NoError(s, repo.Update(s.Context(), &mine))
		}
		require.NoError(s, one.Commit(s.Context()))
		judged(s, two.Commit(s.Context()), "40001", dialects.Conflict, dialects.Commit, dialects.Retry)
		s.holds(account{ID: 1, Balance: 100, Version: 2})
		s.holds(servertest.Held(2))
	})
}

func TestServerSerializationFailureJoined(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client("default_transaction_isolation", "repeatable read"), servertest.Held(1)
		conn, repo := c.begin()
		_, err := repo.Get(s.Context(), 1) // takes the snapshot
		require.NoError(s, err)
		s.exec(servertest.Bump)
		err = repo.Update(s.Context(), &mine)
		var lost *occ.Conflict[account]
		require.ErrorAs(s, err, &lost)
		require.Nil(s, lost.Current, "the transaction answers no more questions")
		judged(s, err, "40001", dialects.Conflict, dialects.InTx, dialects.Retry)
		require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned)
		_, err = repo.Get(s.Context(), 2)
		require.ErrorIs(s, err, occ.ErrPoisoned)
		require.NoError(s, conn.Rollback(s.Context()))
		s.holds(account{ID: 1, Balance: 500, Version: 2})
	})
}

func TestServerMovedPartition(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.exec("DROP TABLE accounts")
		s.exec("CREATE TABLE accounts (id bigint, balance bigint, version bigint, region text) PARTITION BY LIST (region)")
		s.exec("CREATE TABLE north PARTITION OF accounts FOR VALUES IN ('n')")
		s.exec("CREATE TABLE south PARTITION OF accounts FOR VALUES IN ('s')")
		s.exec("INSERT INTO accounts VALUES (1, 100, 1, 'n')")
		c, mine := s.client(), servertest.Held(1)
		mover := s.hold("UPDATE accounts SET region = 's', version = version + 1 WHERE id = 1")
		done := servertest.Async(func() error { return c.Update(s.Context(), &mine) })
		mover.waiter()
		mover.commit()
		servertest.Conflict(s, <-done, account{ID: 1, Balance: 100, Version: 2})
		first := c.attempts(2)[0]
		require.ErrorContains(s, first, "moved to another partition")
		judged(s, first, "40001", dialects.Conflict, dialects.Autocommit, dialects.Retry)
	})
}

func TestServerDeadlock(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c := s.client("deadlock_timeout", "10ms") // who notices is sacrificed
		runs := 0
		err := c.db.Retry(s.Context(), func(ctx context.Context) error {
			conn, repo := c.begin()
			require.NoError(s, touch(ctx, repo, 2))
			if runs++; runs > 1 {
				return errorsOf(touch(ctx, repo, 1), conn.Commit(ctx))
			}
			other := s.hold("SET LOCAL deadlock_timeout = '1min'; " + servertest.Bump)
			rival := servertest.Async(func() error {
				_, err := other.Exec(ctx, "UPDATE accounts SET balance = 600, version = version + 1 WHERE id = 2")
				return errorsOf(err, other.Commit(ctx))
			})
			s.until("SELECT count(*)::int FROM pg_stat_activity WHERE pid = $1 AND wait_event_type = 'Lock'", int(other.Conn().PgConn().PID()))
			err := touch(ctx, repo, 1)
			judged(s, err, "40P01", dialects.Conflict, dialects.InTx, dialects.Retry)
			require.ErrorIs(s, err, occ.ErrConflict)
			require.ErrorIs(s, touch(ctx, repo, 2), occ.ErrPoisoned)
			require.NoError(s, conn.Rollback(ctx))
			require.NoError(s, <-rival)
			return err
		})
		require.NoError(s, err)
		require.Equal(s, 2, runs)
		s.holds(account{ID: 1, Balance: 500, Version: 3})
		s.holds(account{ID: 2, Balance: 600, Version: 3})
	})
}

// touch moves the version of a row from wherever it is.
func touch(ctx context.Context, repo *occ.Repository[account, int64], id int64) error {
	a, err := repo.Get(ctx, id)
	if err != nil {
		return err
	}
	return repo.Touch(ctx, &a)
}

// errorsOf returns the first of errs that is one.
func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestServerLockNotAvailable(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		transport := s.open(s.T, s.dsn, "lock_timeout", "20ms")
		policy := &retry.Policy{MaxAttempts: 3, NewBackOff: func() backoff.BackOff { return &backoff.ZeroBackOff{} }}
		c, mine := s.clientOf("accounts", &occ.Options{Retry: policy}, transport), servertest.Held(1)
		other := s.hold(servertest.Bump)
		err := c.Update(s.Context(), &mine)
		require.ErrorIs(s, err, occ.ErrExhausted)
		require.NotErrorIs(s, err, occ.ErrAmbiguous)
		for _, attempt := range c.attempts(3) {
			judged(s, attempt, "55P03", dialects.Busy, dialects.Autocommit, dialects.Retry)
		}
		conn, repo := c.begin()
		_, err = conn.Exec(s.Context(), "SELECT 1 FROM accounts WHERE id = 1 FOR UPDATE NOWAIT", nil)
		judged(s, err, "55P03", dialects.Busy, dialects.InTx, dialects.Retry)
		// The caller swallows that, and PostgreSQL remembers.
		judged(s, repo.Update(s.Context(), &mine), "25P02", dialects.Rejected, dialects.InTx, dialects.Refused)

		other.rollback()
		_, err = c.Mutate(s.Context(), 1, func(a *account) error { a.Balance++; return nil })
		require.NoError(s, err)
		s.holds(account{ID: 1, Balance: 101, Version: 2})
	})
}
