package sqlite_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

var busyRows = []row{
	{"5 BUSY of an autocommit write", TestServerBusyWrite},
	{"5 BUSY at BEGIN IMMEDIATE", TestServerBusyAtBegin},
	{"5 BUSY in the middle of a transaction", TestServerBusyInTransaction},
	{"5 BUSY at COMMIT: the transaction is still open", TestServerBusyAtCommit},
	{"5 BUSY at the end of an autocommit write, after its row was returned", TestServerBusyAtEndOfWrite},
	{"517 BUSY_SNAPSHOT in a DEFERRED transaction, at once", TestServerBusySnapshot},
	{"section 3: a lost race is no row with BEGIN IMMEDIATE", TestServerStaleVersion},
	{"9 INTERRUPT: the caller's context ends", TestServerContext},
}

// busy requires that every attempt met a lock, and that nothing was written.
func (c *client) busy(err error, phase dialects.Phase, attempts int) {
	c.s.Helper()
	require.ErrorIs(c.s, err, occ.ErrExhausted)
	require.NotErrorIs(c.s, err, occ.ErrAmbiguous)
	require.NotErrorIs(c.s, err, occ.ErrConflict)
	for _, attempt := range c.attempts(attempts) {
		judged(c.s, attempt, 5, dialects.Busy, phase, dialects.Retry)
	}
	c.clean()
	c.s.holds(servertest.Held(1))
}

func TestServerBusyWrite(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"WAL", "DELETE"} {
		s := newScene(t, journal)
		c, mine := s.client(2), servertest.Held(1)
		release := s.hold("BEGIN IMMEDIATE")
		c.busy(c.Update(t.Context(), &mine), dialects.Autocommit, 2)
		release()
		require.NoError(t, c.Update(t.Context(), &mine))
	}
}

func TestServerBusyAtBegin(t *testing.T) {
	t.Parallel()
	for _, journal := range []string{"WAL", "DELETE"} {
		s := newScene(t, journal)
		c, mine := s.client(2), servertest.Held(1)
		release := s.hold("BEGIN IMMEDIATE")
		c.busy(c.Overwrite(t.Context(), &mine, "test"), dialects.InTx, 2)
		release()
		require.NoError(t, c.Overwrite(t.Context(), &mine, "test"))
	}
}

func TestServerBusyInTransaction(t *testing.T) {
	t.Parallel()
	s := newScene(t, "DELETE")
	c, mine := s.client(1), servertest.Held(1)
	conn, repo, _ := c.begin("BEGIN")
	_, err := repo.Get(t.Context(), 1)
	require.NoError(t, err)
	s.hold("BEGIN IMMEDIATE")
	err = repo.Update(t.Context(), &mine)
	servertest.Refused(t, err, nil)
	judged(t, err, 5, dialects.Busy, dialects.InTx, dialects.Retry)
	require.ErrorIs(t, repo.Update(t.Context(), &mine), occ.ErrPoisoned)
	require.NoError(t, conn.Rollback(t.Context()))
	s.holds(servertest.Held(1))
}

// With a rollback journal a reader keeps the writer from committing.
func TestServerBusyAtCommit(t *testing.T) {
	t.Parallel()
	s := newScene(t, "DELETE")
	c, mine := s.client(1), account{ID: 1, Balance: 7, Version: 1}
	release := s.hold("BEGIN", "SELECT * FROM accounts")
	require.Equal(t, dialects.Ambiguous, dialects.Busy.At(dialects.Commit), "unless a rollback succeeds:")
	c.busy(c.Overwrite(t.Context(), &mine, "test"), dialects.InTx, 1)
	require.Equal(t, account{ID: 1, Balance: 7, Version: 1}, mine)

	// The trap: the transaction that could not commit is open, and would commit.
	conn, repo, giveBack := c.begin(sqlite.New().Begin())
	require.NoError(t, repo.Update(t.Context(), &mine))
	judged(t, conn.Commit(t.Context()), 5, dialects.Busy, dialects.Commit, dialects.Ambiguous)
	release()
	require.NoError(t, conn.Commit(t.Context()))
	giveBack()
	s.holds(account{ID: 1, Balance: 7, Version: 2})
	require.NoError(t, c.Overwrite(t.Context(), &mine, "test"))
}

// The statement has run and returned its row when the implicit transaction
// fails to commit.
func TestServerBusyAtEndOfWrite(t *testing.T) {
	t.Parallel()
	for name, write := range map[string]func(c *client, a *account) error{
		"update": func(c *client, a *account) error { return c.Update(t.Context(), a) },
		"delete": func(c *client, a *account) error { return c.Delete(t.Context(), a) },
		"mutate": func(c *client, _ *account) error {
			_, err := c.Mutate(t.Context(), 1, func(a *account) error { a.Balance = 7; return nil })
			return err
		},
		"exec": func(c *client, _ *account) error {
			c.errs = nil
			err := c.db.Exec(t.Context(), servertest.Bump)
			c.errs = append(c.errs, err)
			require.NotErrorIs(t, err, occ.ErrAmbiguous)
			if err != nil {
				return occ.ErrExhausted // Exec does not retry
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, "DELETE")
			c, mine := s.client(1), account{ID: 1, Balance: 7, Version: 1}
			release := s.hold("BEGIN", "SELECT * FROM accounts")
			c.busy(write(c, &mine), dialects.Autocommit, 1)
			require.Equal(t, account{ID: 1, Balance: 7, Version: 1}, mine)
			release()
			require.NoError(t, write(c, &mine))
		})
	}
}

func TestServerBusySnapshot(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	c, mine := s.client(1, "busy_timeout(30000)"), servertest.Held(1)
	conn, repo, giveBack := c.begin("BEGIN")
	_, err := repo.Get(t.Context(), 1) // takes the snapshot
	require.NoError(t, err)
	exec(t, s.admin, servertest.Bump)
	start := time.Now()
	err = repo.Update(t.Context(), &mine)
	require.Less(t, time.Since(start), 10*time.Second, "the busy timeout does not apply")
	var lost *occ.Conflict[account]
	require.ErrorAs(t, err, &lost)
	require.Nil(t, lost.Current)
	judged(t, err, 517, dialects.Conflict, dialects.InTx, dialects.Retry)
	_, err = conn.Exec(t.Context(), "UPDATE accounts SET balance = 1 WHERE id = 2", nil)
	judged(t, err, 517, dialects.Conflict, dialects.InTx, dialects.Retry) // no statement ever works here again
	require.ErrorIs(t, repo.Update(t.Context(), &mine), occ.ErrPoisoned)
	require.NoError(t, conn.Rollback(t.Context()))
	giveBack()

	// occ's own units begin IMMEDIATE.
	require.NoError(t, c.Overwrite(t.Context(), &mine, "test"))
	s.holds(account{ID: 1, Balance: 100, Version: 3})
}

func TestServerStaleVersion(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	c, mine := s.client(1), servertest.Held(1)
	exec(t, s.admin, servertest.Bump)
	servertest.Conflict(t, c.Update(t.Context(), &mine), account{ID: 1, Balance: 500, Version: 2})
	conn, repo, _ := c.begin(sqlite.New().Begin())
	servertest.Conflict(t, repo.Update(t.Context(), &mine), account{ID: 1, Balance: 500, Version: 2})
	require.NoError(t, conn.Rollback(t.Context()))
	require.Equal(t, servertest.Held(1), mine)
}

func TestServerContext(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	c, mine := s.client(0, "busy_timeout(2000)"), servertest.Held(1)
	release := s.hold("BEGIN IMMEDIATE")
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := c.Update(ctx, &mine)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, occ.ErrConflict)
	t.Logf("%v; ambiguous: %v", err, sqlite.New().Classify(err))
	require.Equal(t, servertest.Held(1), mine)
	c.attempts(1)
	release()
	s.holds(servertest.Held(1))
	require.NoError(t, c.Update(t.Context(), &mine), "the connection is usable")
}
