//go:build linux

package dbtest_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
)

// starters are the private servers: how to get one, its driver, and a query
// that shows the setting which setting sets.
var starters = []struct {
	name, driver   string
	start          func(testing.TB, ...string) *dbtest.Server
	args           []string
	setting, value string
}{
	{"postgres", "pgx", dbtest.StartPostgres, []string{"-c", "work_mem=7MB"}, "SHOW work_mem", "7MB"},
	{"mariadb", "mysql", dbtest.StartMariaDB, []string{"--innodb-lock-wait-timeout=7"}, "SELECT @@innodb_lock_wait_timeout", "7"},
}

func TestServerCanBeBroken(t *testing.T) {
	t.Parallel()
	for _, s := range starters {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			server := s.start(t, s.args...)
			db := dbtest.Open(t, s.driver, server.DSN())
			var value string
			require.NoError(t, db.QueryRowContext(t.Context(), s.setting).Scan(&value))
			require.Equal(t, s.value, value)
			execute(t, db, "CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)")
			addr := server.TCPAddr()

			server.Kill()
			require.Error(t, db.PingContext(t.Context()))
			server.Restart()
			require.Equal(t, addr, server.TCPAddr())
			require.Equal(t, 1, count(t, db, "SELECT count(*) FROM t"), "an acknowledged commit is gone")

			server.Stop()
			require.Error(t, db.PingContext(t.Context()))
			server.Restart()
			tcp := dbtest.Open(t, s.driver, server.TCPDSN())
			require.Equal(t, 1, count(t, tcp, "SELECT count(*) FROM t"))
			server.Restart() // while it runs
			require.NoError(t, db.PingContext(t.Context()))
			server.Signal(syscall.SIGSTOP) // and so it has to be cleaned up
		})
	}
}

func TestServerNeedsItsPasswordOverTCP(t *testing.T) {
	t.Parallel()
	for _, e := range engines {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			dsn := e.tcp(t)
			if os.Getenv("OCCKIT_"+strings.ToUpper(e.name)) != "" {
				t.Skip("not a server that this package started")
			}
			at, colon := strings.Index(dsn, "@"), strings.LastIndex(dsn[:strings.Index(dsn, "@")], ":")
			cmd := child(t, "TestOpenChild", "OCCKIT_DBTEST_OPEN="+e.driver+" "+dsn[:colon+1]+"wrong"+dsn[at:])
			require.Contains(t, cmd, "--- FAIL")
			cmd = child(t, "TestOpenChild", "OCCKIT_DBTEST_OPEN="+e.driver+" "+dsn)
			require.Contains(t, cmd, "--- PASS")
		})
	}
}

// TestOpenChild is what TestServerNeedsItsPasswordOverTCP runs.
func TestOpenChild(t *testing.T) {
	driver, dsn, ok := strings.Cut(os.Getenv("OCCKIT_DBTEST_OPEN"), " ")
	if !ok {
		t.Skip("runs as a child")
	}
	dbtest.Open(t, driver, dsn)
}

func TestServerSettingThatIsRefused(t *testing.T) {
	t.Parallel()
	out := child(t, "TestRefusedChild", "OCCKIT_DBTEST_CHILD=1")
	require.Contains(t, out, "--- FAIL")
	require.Contains(t, out, "no_such_setting", "the server's own words are missing")
}

// TestRefusedChild is what TestServerSettingThatIsRefused runs.
func TestRefusedChild(t *testing.T) {
	if os.Getenv("OCCKIT_DBTEST_CHILD") == "" {
		t.Skip("runs as a child")
	}
	dbtest.StartPostgres(t, "-c", "no_such_setting=1")
}

// TestNothingSurvives has a process start servers and end in the ways that
// leave it no time to clean up, and finds neither servers nor files.
func TestNothingSurvives(t *testing.T) {
	t.Parallel()
	for _, end := range []struct {
		name string
		sig  os.Signal // nil: the process ends by itself
	}{{"killed", syscall.SIGKILL}, {"interrupted", syscall.SIGINT}, {"finished", nil}} {
		t.Run(end.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSurvivorChild$")
			cmd.Env = append(os.Environ(), "OCCKIT_DBTEST_CHILD=1")
			stdin, err := cmd.StdinPipe()
			require.NoError(t, err)
			stdout, err := cmd.StdoutPipe()
			require.NoError(t, err)
			require.NoError(t, cmd.Start())
			traces := readTraces(t, bufio.NewScanner(stdout))
			require.Len(t, traces, 4)
			for _, left := range traces {
				require.True(t, left.alive(), "%v does not run", left)
				require.DirExists(t, left.dir)
			}
			if end.sig != nil {
				require.NoError(t, cmd.Process.Signal(end.sig))
			}
			require.NoError(t, stdin.Close())
			_ = cmd.Wait() // its end is what it was told
			for _, left := range traces {
				require.Eventually(t, func() bool { return !left.alive() }, 20*time.Second, 10*time.Millisecond, "%v survives", left)
				require.Eventually(t, left.gone, 20*time.Second, 10*time.Millisecond, "%v left files", left)
			}
		})
	}
}

// TestSurvivorChild is what TestNothingSurvives runs. It starts a private and a
// shared server of each kind, says where, and waits for the end of its input.
func TestSurvivorChild(t *testing.T) {
	if os.Getenv("OCCKIT_DBTEST_CHILD") == "" {
		t.Skip("runs as a child of TestNothingSurvives")
	}
	dbtest.Postgres(t)
	dbtest.MariaDB(t)
	frozen := dbtest.StartPostgres(t)
	for _, s := range []*dbtest.Server{
		dbtest.Shared(t, "postgres"), dbtest.Shared(t, "mariadb"), frozen, dbtest.StartMariaDB(t),
	} {
		fmt.Println("trace", s.PID(), s.Dir())
	}
	frozen.Signal(syscall.SIGSTOP)
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
}

// trace is a server and its directory.
type trace struct {
	pid int
	dir string
}

func readTraces(t *testing.T, lines *bufio.Scanner) (traces []trace) {
	t.Helper()
	for lines.Scan() && lines.Text() != "ready" {
		var left trace
		if n, _ := fmt.Sscanf(lines.Text(), "trace %d %s", &left.pid, &left.dir); n == 2 {
			traces = append(traces, left)
		}
	}
	require.NoError(t, lines.Err())
	return traces
}

// alive tells whether the process runs; a zombie that nobody waits for does not.
func (left trace) alive() bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", left.pid))
	if err != nil {
		return false
	}
	_, state, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(state, "Z")
}

func (left trace) gone() bool {
	match, err := filepath.Glob(left.dir)
	return err == nil && len(match) == 0
}
