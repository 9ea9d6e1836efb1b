package mariadb_test

import (
	"bytes"
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/occ"
)

var lostRows = []row{
	{"ErrInvalidConn: reply to an autocommit write lost", TestServerLostReplyToUpdate},
	{"ErrInvalidConn: reply to an unversioned statement lost, applied once", TestServerLostReplyToExec},
	{"ErrInvalidConn: reply to COMMIT lost", TestServerLostReplyToCommit},
	{"context done during COMMIT, black hole; the late COMMIT arrives", TestServerBlackholeAtCommit},
	{"context done during an autocommit write, black hole", TestServerBlackholeAtWrite},
	{"KILL CONNECTION during an autocommit write (the driver sees an end, not 1927)", TestServerKillConnection},
	{"the connection dies in a transaction: not applied", TestServerKillConnectionJoined},
	{"the server restarts while connections lie idle in the pool", TestServerRestart},
}

// remote is a scene whose clients reach the server through a proxy, over
// connections that count the updates sent.
type remote struct {
	*scene
	proxy     *dbtest.Proxy
	transport dialects.DB
	sent      atomic.Int64
}

type tap struct {
	net.Conn
	sent *atomic.Int64
}

func (t tap) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte("UPDATE")) {
		t.sent.Add(1)
	}
	return t.Conn.Write(b)
}

func newRemote(t *testing.T) *remote {
	t.Helper()
	dsn := dbtest.MariaDBTCP(t)
	r := &remote{scene: newScene(t, dsn)}
	r.proxy, _ = dbtest.Through(t, dsn)
	r.transport = sqldb.New(r.pool(func(c *mysql.Config) {
		c.InterpolateParams = true // the statement is one message, with its text
		c.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, r.proxy.Addr())
			return tap{conn, &r.sent}, err
		}
	}))
	conns := make([]dialects.Conn, 3) // for a layer that would repeat a statement
	for i := range conns {
		var err error
		conns[i], err = r.transport.Conn(t.Context())
		require.NoError(t, err)
	}
	for _, conn := range conns[1:] {
		conn.Release(false)
	}
	conns[0].Release(false)
	return r
}

// once requires that the server got one update and carried it out.
func (r *remote) once(want account) {
	r.Helper()
	r.proxy.Heal()
	r.holds(want)
	require.EqualValues(r, 1, r.sent.Load(), "statements sent")
}

// loses runs a write behind a lock, so that it has reached the server for sure
// when its reply is cut.
func (r *remote) loses(write func(c *client) error) error {
	r.Helper()
	c := r.clientOf(&occ.Options{}, r.transport)
	_, err := c.Get(r.Context(), 1) // also judges the session
	require.NoError(r, err)
	other := r.hold("SELECT 1 FROM accounts WHERE id = 1 FOR UPDATE")
	done := servertest.Async(func() error { return write(c) })
	r.waiter()
	r.proxy.CutReplies()
	require.NoError(r, other.Rollback())
	err = <-done
	servertest.Ambiguous(r, err, dialects.Autocommit)
	servertest.Classified(r, mariadb.New(), err, dialects.Lost, dialects.Autocommit, dialects.Ambiguous)
	return err
}

func TestServerLostReplyToUpdate(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	mine := account{ID: 1, Balance: 7, Version: 1}
	err := r.loses(func(c *client) error {
		defer c.attempts(1)
		return c.Update(r.Context(), &mine)
	})
	require.ErrorIs(r, err, mysql.ErrInvalidConn)
	require.Equal(r, account{ID: 1, Balance: 7, Version: 1}, mine)
	r.once(account{ID: 1, Balance: 7, Version: 2})
}

func TestServerLostReplyToExec(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	err := r.loses(func(c *client) error {
		return c.db.Exec(r.Context(), "UPDATE accounts SET balance = balance + 1, version = version + 1 WHERE id = 1")
	})
	require.ErrorIs(r, err, mysql.ErrInvalidConn)
	r.once(account{ID: 1, Balance: 101, Version: 2})
}

func TestServerLostReplyToCommit(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	c, mine := r.clientOf(&occ.Options{}, servertest.BeforeCommit{DB: r.transport, Do: r.proxy.CutReplies}), account{ID: 1, Balance: 7}
	err := c.Overwrite(r.Context(), &mine, "test")
	require.ErrorIs(r, err, mysql.ErrInvalidConn)
	servertest.Ambiguous(r, err, dialects.Commit)
	servertest.Classified(r, mariadb.New(), c.attempts(1)[0], dialects.Lost, dialects.Commit, dialects.Ambiguous)
	require.Equal(r, account{ID: 1, Balance: 7}, mine)
	r.sent.Add(-2) // SELECT ... FOR UPDATE, to overwrite and to check
	r.once(account{ID: 1, Balance: 7, Version: 2})
}

func TestServerBlackholeAtCommit(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	opts := &occ.Options{CommitTimeout: 100 * time.Millisecond}
	c, mine := r.clientOf(opts, servertest.BeforeCommit{DB: r.transport, Do: r.proxy.Blackhole}), account{ID: 1, Balance: 7}
	start := time.Now()
	err := c.Overwrite(r.Context(), &mine, "test")
	require.Less(r, time.Since(start), 3*time.Second, "the caller's context has no end; CommitTimeout has")
	servertest.Ambiguous(r, err, dialects.Commit)
	c.attempts(1)
	r.holds(servertest.Held(1)) // and yet it is on its way:
	r.proxy.Heal()
	r.until("the late COMMIT is carried out", func() bool {
		var n int
		require.NoError(r, r.admin.QueryRowContext(r.Context(), "SELECT version FROM accounts WHERE id = 1").Scan(&n))
		return n == 2
	})
	r.holds(account{ID: 1, Balance: 7, Version: 2})
}

func TestServerBlackholeAtWrite(t *testing.T) {
	t.Parallel()
	r := newRemote(t)
	c, mine := r.clientOf(&occ.Options{}, r.transport), account{ID: 1, Balance: 7, Version: 1}
	_, err := c.Get(r.Context(), 1)
	require.NoError(r, err)
	r.proxy.Blackhole()
	ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	err = c.Update(ctx, &mine)
	require.Less(r, time.Since(start), 3*time.Second)
	servertest.Ambiguous(r, err, dialects.Autocommit)
	require.ErrorIs(r, err, context.DeadlineExceeded)
	c.attempts(1)
	r.holds(servertest.Held(1))
	r.proxy.Heal()
	r.until("the late UPDATE is carried out", func() bool {
		var n int
		require.NoError(r, r.admin.QueryRowContext(r.Context(), "SELECT version FROM accounts WHERE id = 1").Scan(&n))
		return n == 2
	})
	r.once(account{ID: 1, Balance: 7, Version: 2})
}

func TestServerKillConnection(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	c, mine := s.client(nil), servertest.Held(1)
	other := s.hold(servertest.Bump)
	done := servertest.Async(func() error { return c.Update(s.Context(), &mine) })
	s.exec("KILL CONNECTION ?", s.waiter())
	err := <-done
	servertest.Ambiguous(s, err, dialects.Autocommit)
	servertest.Classified(s, mariadb.New(), c.attempts(1)[0], dialects.Lost, dialects.Autocommit, dialects.Ambiguous)
	s.Logf("the client saw: %v", err)
	require.NoError(s, other.Rollback())
	_, err = c.Mutate(s.Context(), 1, func(*account) error { return nil })
	require.NoError(s, err, "the dead connection went back to the pool")
	s.holds(account{ID: 1, Balance: 100, Version: 2})
}

func TestServerKillConnectionJoined(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	c, mine, second := s.client(nil), servertest.Held(1), servertest.Held(2)
	other := s.hold(servertest.Bump)
	_, repo := c.begin()
	require.NoError(s, repo.Touch(s.Context(), &second))
	done := servertest.Async(func() error { return repo.Update(s.Context(), &mine) })
	s.exec("KILL CONNECTION ?", s.waiter())
	err := <-done
	servertest.Refused(s, err, occ.ErrUnavailable)
	servertest.Classified(s, mariadb.New(), err, dialects.Lost, dialects.InTx, dialects.Down)
	require.ErrorIs(s, repo.Touch(s.Context(), &second), occ.ErrPoisoned)
	require.NoError(s, other.Rollback())
	s.holds(servertest.Held(1))
	s.holds(servertest.Held(2))
}

func TestServerRestart(t *testing.T) {
	t.Parallel()
	server := dbtest.StartMariaDB(t)
	s := newScene(t, server.DSN())
	c := s.client(nil)
	_, err := c.Get(s.Context(), 1)
	require.NoError(s, err)
	server.Restart()
	got, err := c.Mutate(s.Context(), 1, func(a *account) error { a.Balance++; return nil })
	require.NoError(s, err)
	server.Kill()
	_, err = c.Get(s.Context(), 1)
	require.ErrorIs(s, err, occ.ErrUnavailable)
	server.Restart()
	require.NoError(s, c.Update(s.Context(), &got), "the driver notices idle connections that ended")
	s.holds(account{ID: 1, Balance: 101, Version: 3})
}
