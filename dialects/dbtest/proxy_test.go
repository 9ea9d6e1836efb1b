package dbtest_test

import (
	"context"
	"database/sql"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
)

// engines are the servers that the proxy is tried on.
var engines = []struct {
	name, driver string
	tcp          func(testing.TB) string
}{
	{"postgres", "pgx", dbtest.PostgresTCP},
	{"mariadb", "mysql", dbtest.MariaDBTCP},
}

func eachEngine(t *testing.T, run func(t *testing.T, p *dbtest.Proxy, through, direct *sql.DB)) {
	t.Helper()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn := e.tcp(t)
			p, far := dbtest.Through(t, dsn)
			through := dbtest.Open(t, e.driver, far)
			through.SetMaxOpenConns(1)
			direct := dbtest.Open(t, e.driver, dsn)
			execute(t, direct, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)")
			run(t, p, through, direct)
		})
	}
}

func TestProxyLosesTheReplyOfACommit(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, p *dbtest.Proxy, through, direct *sql.DB) {
		tx, err := through.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "UPDATE t SET v = v + 1 WHERE id = 1")
		require.NoError(t, err)

		p.CutReplies()
		require.Error(t, tx.Commit(), "the reply arrived")
		require.Equal(t, 1, count(t, direct, "SELECT v FROM t WHERE id = 1"),
			"the server had not carried out the COMMIT when the client saw the error")
		require.Error(t, through.PingContext(t.Context()), "a new connection got a reply")

		p.Heal()
		require.NoError(t, through.PingContext(t.Context()))
	})
}

// TestProxyBlackholeDeliversLate needs a driver that gives up without telling
// the server: pgx would send a cancel request, which arrives late as well and
// may win.
func TestProxyBlackholeDeliversLate(t *testing.T) {
	t.Parallel()
	dsn := dbtest.MariaDBTCP(t)
	p, far := dbtest.Through(t, dsn)
	through, direct := dbtest.Open(t, "mysql", far), dbtest.Open(t, "mysql", dsn)
	execute(t, direct, "CREATE TABLE t (id int PRIMARY KEY, v int)", "INSERT INTO t VALUES (1, 0)")

	p.Blackhole()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := through.ExecContext(ctx, "UPDATE t SET v = v + 1 WHERE id = 1")
	require.Error(t, err)
	require.Zero(t, count(t, direct, "SELECT v FROM t WHERE id = 1"))

	p.Heal()
	require.Eventually(t, func() bool {
		return count(t, direct, "SELECT v FROM t WHERE id = 1") == 1
	}, 10*time.Second, 10*time.Millisecond, "the statement never arrived")
}

// TestProxyBlackholeKeepsWhatWasSent shows that a partition that ends in time
// costs nothing but time.
func TestProxyBlackholeKeepsWhatWasSent(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, p *dbtest.Proxy, through, direct *sql.DB) {
		tx, err := through.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "UPDATE t SET v = v + 1 WHERE id = 1")
		require.NoError(t, err)
		p.Blackhole()
		committed := make(chan error)
		go func() { committed <- tx.Commit() }()
		select {
		case err := <-committed:
			t.Fatalf("something came back: %v", err)
		case <-time.After(30 * time.Millisecond):
		}
		p.Heal()
		require.NoError(t, <-committed)
		require.Equal(t, 1, count(t, direct, "SELECT v FROM t WHERE id = 1"))
	})
}

func TestProxyDelaysEachWay(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, p *dbtest.Proxy, through, _ *sql.DB) {
		const d = 40 * time.Millisecond
		p.Delay(d)
		before := time.Now()
		_, err := through.ExecContext(t.Context(), "UPDATE t SET v = v + 1 WHERE id = 1")
		require.NoError(t, err)
		require.GreaterOrEqual(t, time.Since(before), 2*d)
	})
}

func TestProxyReset(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, p *dbtest.Proxy, through, direct *sql.DB) {
		tx, err := through.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = tx.ExecContext(t.Context(), "UPDATE t SET v = 7 WHERE id = 1")
		require.NoError(t, err)
		p.Reset()
		require.Error(t, tx.Commit())
		_, err = through.ExecContext(t.Context(), "UPDATE t SET v = v + 1 WHERE id = 1")
		require.NoError(t, err, "a new connection works, and the old one's locks are gone")
		require.Equal(t, 1, count(t, direct, "SELECT v FROM t WHERE id = 1"))
	})
}

// TestProxyCarriesBulk sends more than any buffer holds, both ways at once.
func TestProxyCarriesBulk(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	go echo(listener)
	p := dbtest.NewProxy(t, listener.Addr().String())
	conn, err := net.Dial("tcp", p.Addr())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	p.Delay(time.Millisecond)

	sent := make([]byte, 8<<20)
	for i := range sent {
		sent[i] = byte(i * i >> 8)
	}
	go func() {
		_, _ = conn.Write(sent) // a failure shows in what comes back
		_ = conn.(*net.TCPConn).CloseWrite()
	}()
	got := readAll(t, conn)
	require.Equal(t, len(sent), len(got))
	require.True(t, string(sent) == string(got), "the bytes changed on the way")
}

func TestProxyWithoutServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, listener.Close())
	p := dbtest.NewProxy(t, listener.Addr().String())
	conn, err := net.Dial("tcp", p.Addr())
	if err == nil { // else the reset came first
		_, err = conn.Read(make([]byte, 1))
		require.NoError(t, conn.Close())
	}
	require.Error(t, err)
}
