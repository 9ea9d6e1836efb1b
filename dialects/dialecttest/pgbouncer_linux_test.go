package dialecttest_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/occ"
)

const (
	bouncerClients    = 32
	bouncerIncrements = 40
	bouncerPool       = 2
)

type hit struct {
	ID      int64 `occ:"id,key"`
	Count   int64 `occ:"count"`
	Version int64 `occ:"version,version"`
}

// TestPgbouncer writes through a pooler that lends server connections for one
// transaction each: 32 clients share two of them, so that a statement which one
// client has prepared is missing, or is another's, on the next connection.
func TestPgbouncer(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	db := pool(t, "pgx", dsn)
	_, err := db.ExecContext(t.Context(), "CREATE TABLE hits (id bigint PRIMARY KEY, count bigint NOT NULL, version bigint NOT NULL)")
	require.NoError(t, err)
	clients := bounced(t, dsn, bouncerClients)
	through := occ.New(pgxdb.New(clients).WithExecMode(pgx.QueryExecModeCacheDescribe), postgres.New(), nil)
	hits, err := occ.NewRepository[hit, int64](through, "hits", nil)
	require.NoError(t, err)
	for id := range int64(4) {
		require.NoError(t, hits.Insert(t.Context(), &hit{ID: id}))
	}
	var failed atomic.Int64
	var all sync.WaitGroup
	for client := range int64(bouncerClients) {
		all.Go(func() {
			for range bouncerIncrements {
				_, err := hits.Mutate(t.Context(), client%4, func(h *hit) error { h.Count++; return nil })
				if err != nil {
					failed.Add(1)
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	require.Zero(t, failed.Load())
	var count, versions int64
	require.NoError(t, db.QueryRowContext(t.Context(), "SELECT sum(count), sum(version - 1) FROM hits").Scan(&count, &versions))
	require.EqualValues(t, bouncerClients*bouncerIncrements, count)
	require.EqualValues(t, bouncerClients*bouncerIncrements, versions)
}

// TestConformancePgbouncer runs the whole suite through the pooler.
func TestConformancePgbouncer(t *testing.T) {
	t.Parallel()
	dsn := dbtest.Postgres(t)
	h := pgxHarness(t, dsn)
	clients := bounced(t, dsn, 16)
	h.Name, h.Note = "postgres/pgxdb (cache_describe)", "also through pgbouncer's transaction pooling"
	h.Server += " behind pgbouncer"
	h.Transport = pgxdb.New(clients).WithExecMode(pgx.QueryExecModeCacheDescribe)
	h.Impatient = h.Impatient.(*pgxdb.DB).WithExecMode(pgx.QueryExecModeCacheDescribe)
	dialecttest.Run(t, h)
}

// bounced returns a pool of connections to a private pgbouncer in front of the
// DSN's server.
func bounced(t *testing.T, dsn string, size int32) *pgxpool.Pool {
	t.Helper()
	server, err := pgx.ParseConfig(dsn)
	require.NoError(t, err)
	socket, port := startPgbouncer(t, server)
	config, err := pgxpool.ParseConfig(fmt.Sprintf("host=%s port=%d user=bounced dbname=bounced sslmode=disable", socket, port))
	require.NoError(t, err)
	config.MaxConns = size
	// Nothing but the query mode keeps prepared statements out of the way: the
	// pool's own ping and its setup must not prepare either.
	config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	p, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// startPgbouncer starts a pgbouncer with transaction pooling that ends with the
// test, and returns its socket's directory and port.
func startPgbouncer(t *testing.T, server *pgx.ConnConfig) (socket string, port int) {
	t.Helper()
	program, err := exec.LookPath("pgbouncer")
	if err != nil {
		program = "/usr/sbin/pgbouncer"
		if _, err := os.Stat(program); err != nil {
			t.Skip("pgbouncer: not installed (Debian's package pgbouncer)")
		}
	}
	dir, err := os.MkdirTemp("", "occ-bouncer-") // short: socket paths are limited
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	attr, owner := unprivileged(t, dir)
	port = freePort(t)
	settings := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(settings, []byte(bouncerSettings(server, dir, port)), 0o600))
	if owner >= 0 {
		require.NoError(t, os.Chown(settings, owner, -1))
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, settings)
	cmd.Dir, cmd.SysProcAttr = dir, attr
	startUntilDone(t, cmd)
	address := filepath.Join(dir, ".s.PGSQL."+strconv.Itoa(port))
	require.Eventually(t, func() bool {
		c, err := net.Dial("unix", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	}, 20*time.Second, 20*time.Millisecond, "pgbouncer does not answer")
	return dir, port
}

func bouncerSettings(server *pgx.ConnConfig, dir string, port int) string {
	target := fmt.Sprintf("host=%s port=%d dbname=%s user=%s", server.Host, server.Port, server.Database, server.User)
	if server.Password != "" {
		target += " password=" + server.Password
	}
	if schema := server.RuntimeParams["search_path"]; schema != "" {
		target += " connect_query='SET search_path TO " + schema + "'"
	}
	return fmt.Sprintf(`[databases]
bounced = %s
[pgbouncer]
listen_addr =
listen_port = %d
unix_socket_dir = %s
auth_type = any
pool_mode = transaction
default_pool_size = %d
max_client_conn = 200
server_reset_query =
logfile = %s
`, target, port, dir, bouncerPool, filepath.Join(dir, "log"))
}

// unprivileged returns the attributes of a child that ends with this process
// and is not root, which pgbouncer refuses, and makes dir that user's. The
// owner is -1 when it is ours.
func unprivileged(t *testing.T, dir string) (attr *syscall.SysProcAttr, owner int) {
	t.Helper()
	attr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if os.Geteuid() != 0 {
		return attr, -1
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		require.NoError(t, err)
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		require.NoError(t, err)
		attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		require.NoError(t, os.Chown(dir, int(uid), int(gid)))
		return attr, int(uid)
	}
	t.Skip("pgbouncer: no unprivileged user to run it as")
	return nil, -1
}

// startUntilDone starts a child and ends it with the test. The kernel ends a
// child together with the thread that started it, so that thread waits.
func startUntilDone(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var output strings.Builder
	cmd.Stdout, cmd.Stderr = &output, &output
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	require.NoError(t, <-started)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Log(output.String())
		}
	})
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	require.NoError(t, l.Close())
	return port
}
