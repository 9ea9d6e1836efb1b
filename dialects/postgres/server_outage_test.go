package postgres_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/retry"
)

var outageRows = []row{
	{"finding 9: cancelled while waiting for a replica: applied, notice 01000", TestServerSynchronousReplication},
	{"finding 9: terminated while waiting for a replica: applied, notice 57P01", TestServerSynchronousReplication},
	{"finding 1: kill -9 of the backend during COMMIT", TestServerSynchronousReplication},
	{"57P03 cannot_connect_now", TestServerShutsDown},
	{"53300 too_many_connections", TestServerTooManyConnections},
	{"the server restarts while connections lie idle in the pool", TestServerRestart},
}

// waits are the writes whose commit waits for a replica that does not exist.
var waits = map[dialects.Phase]func(s *scene, c *client, a *account) error{
	dialects.Autocommit: func(s *scene, c *client, a *account) error { return c.Update(s.Context(), a) },
	dialects.Commit:     func(s *scene, c *client, a *account) error { return c.Overwrite(s.Context(), a, "test") },
}

// interrupted runs a write up to the point where it is durable here and waits
// for the replica, interrupts it, and requires that it was applied once.
func (s *scene) interrupted(phase dialects.Phase, interrupt func(pid int)) (mine account, err error) {
	s.Helper()
	s.exec("UPDATE accounts SET balance = 100, version = 1 WHERE id = 1")
	c, mine := s.client(), account{ID: 1, Balance: 7, Version: 1}
	done := servertest.Async(func() error { return waits[phase](s, c, &mine) })
	interrupt(s.until("SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"))
	err = <-done
	c.attempts(1)
	return mine, err
}

// kill ends a process with SIGKILL.
func kill(t testing.TB, pid int) {
	t.Helper()
	process, err := os.FindProcess(pid)
	require.NoError(t, err)
	require.NoError(t, process.Kill())
}

func TestServerSynchronousReplication(t *testing.T) {
	t.Parallel()
	server := dbtest.StartPostgres(t, "-c", "synchronous_standby_names=nosuch")
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, server.DSN(), open)
			defer func() { s.exec("DROP TABLE accounts") }()
			applied := account{ID: 1, Balance: 7, Version: 2}
			for phase := range waits {
				mine, err := s.interrupted(phase, func(pid int) { s.exec("SELECT pg_cancel_backend($1)", pid) })
				require.NoError(s, err, "a success with a warning is a success")
				require.Equal(s, applied, mine)
				s.holds(applied)

				mine, err = s.interrupted(phase, func(pid int) { s.exec("SELECT pg_terminate_backend($1)", pid) })
				servertest.Ambiguous(s, err, phase)
				servertest.Classified(s, postgres.New(), err, dialects.Lost, phase, dialects.Ambiguous)
				require.Equal(s, account{ID: 1, Balance: 7, Version: 1}, mine)
				s.holds(applied)

				_, err = s.interrupted(phase, func(pid int) { kill(s, pid) })
				servertest.Ambiguous(s, err, phase)
				servertest.Classified(s, postgres.New(), err, dialects.Lost, phase, dialects.Ambiguous)
				server.Restart()
				s.admin.Reset()
				s.holds(applied)
			}
		})
	}
}

func TestServerShutsDown(t *testing.T) {
	t.Parallel()
	server := dbtest.StartPostgres(t)
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, server.DSN(), open)
			c := s.clientOf("accounts", &occ.Options{Retry: &retry.Policy{MaxOutages: -1}}, s.open(s.T, s.dsn))
			server.Signal(syscall.SIGTERM) // lets sessions finish and takes no new ones
			var err error
			for range 1000 {
				if _, err = c.Get(s.Context(), 1); err != nil {
					break
				}
				c.transport = s.open(s.T, s.dsn)
				c = s.clientOf("accounts", &occ.Options{Retry: &retry.Policy{MaxOutages: -1}}, c.transport)
			}
			judged(s, err, "57P03", dialects.Unavailable, dialects.Connecting, dialects.Down)
			mine := servertest.Held(1)
			err = c.Update(s.Context(), &mine)
			require.ErrorIs(s, err, occ.ErrUnavailable)
			require.NotErrorIs(s, err, occ.ErrAmbiguous)
			judged(s, c.attempts(1)[0], "57P03", dialects.Unavailable, dialects.Connecting, dialects.Down)

			server.Restart()
			require.NoError(s, c.Update(s.Context(), &mine))
			s.admin.Reset()
			s.exec("DROP TABLE accounts")
		})
	}
}

func TestServerTooManyConnections(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		role := s.role()
		s.exec("ALTER ROLE " + role + " LOGIN PASSWORD 'canary' CONNECTION LIMIT 1")
		s.exec("GRANT ALL ON accounts TO " + role)
		only := pool(s.T, s.dsn, "user", role, "password", "canary")
		require.NoError(s, only.Ping(s.Context()))

		transport := s.open(s.T, s.dsn, "user", role, "password", "canary")
		c, mine := s.clientOf("accounts", &occ.Options{Retry: &retry.Policy{MaxOutages: -1}}, transport), servertest.Held(1)
		err := c.Update(s.Context(), &mine)
		require.ErrorIs(s, err, occ.ErrUnavailable)
		require.NotErrorIs(s, err, occ.ErrAmbiguous)
		judged(s, c.attempts(1)[0], "53300", dialects.Unavailable, dialects.Connecting, dialects.Down)

		only.Close()
		s.until("SELECT (count(*) = 0)::int FROM pg_stat_activity WHERE usename = $1", role)
		require.NoError(s, c.Update(s.Context(), &mine))
		s.Cleanup(func() { only.Close() })
	})
}

// idle makes so many connections of a transport lie idle.
func (s *scene) idle(transport dialects.DB, n int) {
	s.Helper()
	conns := make([]dialects.Conn, n)
	for i := range conns {
		var err error
		conns[i], err = transport.Conn(s.Context())
		require.NoError(s, err)
	}
	for _, conn := range conns {
		conn.Release(false)
	}
}

// A read meets the dead connection first, so that Mutate goes on by itself.
func TestServerRestart(t *testing.T) {
	t.Parallel()
	server := dbtest.StartPostgres(t)
	for name, open := range openers {
		for _, n := range []int{1, 2} {
			t.Run(fmt.Sprintf("%s/%d", name, n), func(t *testing.T) {
				s := newScene(t, server.DSN(), open)
				c := s.client()
				s.idle(c.transport, n)
				server.Restart()
				_, err := c.Get(s.Context(), 1)
				require.NoError(s, err)
				s.idle(c.transport, n)
				server.Restart()
				got, err := c.Mutate(s.Context(), 1, func(a *account) error { a.Balance++; return nil })
				require.NoError(s, err)
				require.Equal(s, account{ID: 1, Balance: 101, Version: 2}, got)
				s.admin.Reset()
				s.holds(got)
				s.exec("DROP TABLE accounts")
			})
		}
	}
}
