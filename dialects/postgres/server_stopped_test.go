package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/occ"
)

var stoppedRows = []row{
	{"57014 statement_timeout", TestServerStatementTimeout},
	{"57014 cancel request of somebody else", TestServerCancelRequest},
	{"57014 in a joined transaction", TestServerStatementTimeoutJoined},
	{"context done during an autocommit write: ambiguous", TestServerCallerCancels},
	{"context done during a statement of a transaction: not applied", TestServerCallerCancelsJoined},
	{"section 2.7: context done before the call: nothing is sent", TestServerContextDoneBefore},
	{"25P02: an earlier error of the transaction was swallowed", TestServerFailedTransaction},
	{"COMMIT answered with ROLLBACK, which the server calls success", TestServerCommitAnsweredWithRollback},
	{"25P03 idle_in_transaction_session_timeout, FATAL severity", TestServerIdleInTransaction},
	{"57P01 pg_terminate_backend during an autocommit write", TestServerTerminatedWrite},
	{"57P01 pg_terminate_backend in a transaction", TestServerTerminatedTransaction},
}

// stopped requires an error that is neither a conflict nor ambiguous, after one
// attempt, and that nothing was written once the lock is gone.
func (c *client) stopped(err error, other *holder) {
	c.s.Helper()
	servertest.Refused(c.s, err, nil)
	judged(c.s, err, "57014", dialects.Canceled, dialects.Autocommit, dialects.Stopped)
	c.attempts(1)
	other.rollback()
	c.s.holds(servertest.Held(1))
}

func TestServerStatementTimeout(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client("statement_timeout", "50ms"), servertest.Held(1)
		other := s.hold(servertest.Bump)
		c.stopped(c.Update(s.Context(), &mine), other)
	})
}

func TestServerCancelRequest(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		other := s.hold(servertest.Bump)
		done := servertest.Async(func() error { return c.Update(s.Context(), &mine) })
		s.exec("SELECT pg_cancel_backend($1)", other.waiter())
		c.stopped(<-done, other)
	})
}

func TestServerStatementTimeoutJoined(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client("statement_timeout", "50ms"), servertest.Held(1)
		s.hold(servertest.Bump)
		_, repo := c.begin()
		err := repo.Update(s.Context(), &mine)
		servertest.Refused(s, err, nil)
		judged(s, err, "57014", dialects.Canceled, dialects.InTx, dialects.Stopped)
		require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned)
	})
}

func TestServerCallerCancels(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		other := s.hold(servertest.Bump)
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		done := servertest.Async(func() error { return c.Update(ctx, &mine) })
		other.waiter()
		cancel()
		err := <-done
		servertest.Ambiguous(s, err, dialects.Autocommit)
		require.ErrorIs(s, err, context.Canceled)
		servertest.Classified(s, postgres.New(), c.attempts(1)[0], dialects.Lost, dialects.Autocommit, dialects.Ambiguous)
		require.Equal(s, servertest.Held(1), mine)
	})
}

func TestServerCallerCancelsJoined(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		other := s.hold(servertest.Bump)
		_, repo := c.begin()
		ctx, cancel := context.WithCancel(s.Context())
		defer cancel()
		done := servertest.Async(func() error { return repo.Update(ctx, &mine) })
		other.waiter()
		cancel()
		err := <-done
		servertest.Refused(s, err, nil)
		require.ErrorIs(s, err, context.Canceled)
		require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned)
		other.rollback()
		s.holds(servertest.Held(1))
	})
}

func TestServerContextDoneBefore(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		ctx, cancel := context.WithCancel(s.Context())
		cancel()
		err := c.Update(ctx, &mine)
		require.ErrorIs(s, err, context.Canceled)
		require.NotErrorIs(s, err, occ.ErrAmbiguous, "nothing was sent")
		_, err = c.Mutate(ctx, 1, func(*account) error { return nil })
		require.ErrorIs(s, err, context.Canceled)
		require.NotErrorIs(s, err, occ.ErrAmbiguous)
		s.holds(servertest.Held(1))
	})
}

func TestServerFailedTransaction(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		conn, repo := c.begin()
		_, err := conn.Exec(s.Context(), "SELECT 1/0", nil) // swallowed by the caller
		judged(s, err, "22012", dialects.Rejected, dialects.InTx, dialects.Refused)
		err = repo.Update(s.Context(), &mine)
		servertest.Refused(s, err, nil)
		judged(s, err, "25P02", dialects.Rejected, dialects.InTx, dialects.Refused)
		require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned)
	})
}

// Only the native transport sees the command tag: pgx's adapter to database/sql
// drops it.
func TestServerCommitAnsweredWithRollback(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.Postgres(t), openers["pgxdb"])
	c, mine := s.client(), servertest.Held(1)
	conn, repo := c.begin()
	require.NoError(s, repo.Update(s.Context(), &mine))
	_, err := conn.Exec(s.Context(), "SELECT 1/0", nil)
	require.Error(s, err)
	err = conn.Commit(s.Context())
	require.ErrorIs(s, err, dialects.ErrRolledBack)
	servertest.Classified(s, postgres.New(), err, dialects.Conflict, dialects.Commit, dialects.Retry)
	s.holds(servertest.Held(1))

	// occ never commits a transaction that met an error, so its own units do not
	// depend on the tag.
	require.NoError(s, conn.Begin(s.Context(), postgres.New().Begin()), "the connection is usable")
	require.NoError(s, conn.Rollback(s.Context()))
}

func TestServerIdleInTransaction(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client("idle_in_transaction_session_timeout", "20ms", "application_name", "idler"), servertest.Held(1)
		_, repo := c.begin()
		s.until("SELECT (count(*) = 0)::int FROM pg_stat_activity WHERE application_name = 'idler' AND $1 <> ''", s.Name())
		err := repo.Update(s.Context(), &mine)
		servertest.Refused(s, err, occ.ErrUnavailable)
		servertest.Classified(s, postgres.New(), err, dialects.Lost, dialects.InTx, dialects.Down)
		require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned)
		s.holds(servertest.Held(1))
	})
}

func TestServerTerminatedWrite(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		other := s.hold(servertest.Bump)
		done := servertest.Async(func() error { return c.Update(s.Context(), &mine) })
		s.exec("SELECT pg_terminate_backend($1)", other.waiter())
		err := <-done
		servertest.Ambiguous(s, err, dialects.Autocommit)
		judged(s, c.attempts(1)[0], "57P01", dialects.Lost, dialects.Autocommit, dialects.Ambiguous)
		require.Equal(s, servertest.Held(1), mine)
		other.rollback()
		_, err = c.Mutate(s.Context(), 1, func(*account) error { return nil })
		require.NoError(s, err, "the dead connection went back to the pool")
	})
}

func TestServerTerminatedTransaction(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		other := s.hold(servertest.Bump)
		_, repo := c.begin()
		done := servertest.Async(func() error { return repo.Update(s.Context(), &mine) })
		s.exec("SELECT pg_terminate_backend($1)", other.waiter())
		err := <-done
		servertest.Refused(s, err, occ.ErrUnavailable)
		judged(s, err, "57P01", dialects.Lost, dialects.InTx, dialects.Down)
		other.rollback()
		s.holds(servertest.Held(1))
	})
}
