package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/migrations"
)

// The child is this test binary with these variables set: it applies, and is
// killed before it sends the n-th message to the server.
const (
	childEngine = "OCCKIT_TEST_ENGINE"
	childDSN    = "OCCKIT_TEST_DSN"
	childColumn = "OCCKIT_TEST_COLUMN"
	childDies   = "OCCKIT_TEST_DIES"
)

// TestMain runs the child.
func TestMain(m *testing.M) {
	if os.Getenv(childEngine) == "" {
		os.Exit(m.Run())
	}
	if err := child(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child() error {
	e := engineNamed(os.Getenv(childEngine))
	pool, err := sql.Open(e.driver, os.Getenv(childDSN))
	if err != nil {
		return err
	}
	dies, err := strconv.Atoi(os.Getenv(childDies))
	if err != nil {
		return err
	}
	db := &mortal{DB: sqldb.New(pool), left: dies}
	m, err := migrations.New(db, e.dialect, nil)
	if err != nil {
		return err
	}
	_, err = m.Apply(context.Background(), []migrations.Table{{Name: "accounts", Column: os.Getenv(childColumn)}})
	fmt.Println(db.sent)
	return err
}

// mortal kills its process before the message number left.
type mortal struct {
	*sqldb.DB
	left, sent int
}

func (m *mortal) tick() {
	if m.sent++; m.sent == m.left {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // until it arrives
	}
}

func (m *mortal) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := m.DB.Conn(ctx)
	return &mortalConn{c, m}, err
}

type mortalConn struct {
	dialects.Conn
	m *mortal
}

func (c *mortalConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	c.m.tick()
	return c.Conn.Query(ctx, text, args)
}

func (c *mortalConn) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	c.m.tick()
	return c.Conn.Exec(ctx, text, args)
}

func (c *mortalConn) Begin(ctx context.Context, text string) error {
	c.m.tick()
	return c.Conn.Begin(ctx, text)
}

func (c *mortalConn) Commit(ctx context.Context) error {
	c.m.tick()
	return c.Conn.Commit(ctx)
}

// spawn runs a child that dies before message number dies, and returns what it
// printed and whether it was killed.
func (r *rig) spawn(column string, dies int) (out string, killed bool) {
	cmd := exec.CommandContext(r.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childEngine+"="+r.engine.name, childDSN+"="+r.url, childColumn+"="+column, childDies+"="+strconv.Itoa(dies))
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGKILL {
		return string(text), true
	}
	require.NoError(r, err, "%s", text)
	return string(text), false
}

func (r *rig) reset(column string, rows int) {
	r.exec("DROP TABLE IF EXISTS accounts")
	r.exec("DROP TABLE IF EXISTS occkit_migrations")
	if column == "version" {
		r.fresh(rows)
	} else {
		r.legacy(rows)
	}
}

// A process that is killed before any of its messages leaves a table that the
// next one brings to its end. By default every eighth message is tried.
func TestKilledAnywhere(t *testing.T) {
	t.Parallel()
	for _, column := range []string{"version", "lock_version"} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(r *rig) {
				killed := 0
				for dies := 2; ; dies += pick(8, 1) {
					r.reset(column, 2500)
					if _, was := r.spawn(column, dies); !was {
						require.Greater(r, dies, 20, "it was never in danger")
						break
					}
					killed++
					table := migrations.Table{Name: "accounts", Column: column}
					r.apply(table)
					require.Empty(r, r.apply(table)[0].Steps, "killed before message %d", dies)
					require.Zero(r, r.int("SELECT COUNT(*) FROM accounts WHERE %s IS NULL", column))
					r.verified(table)
				}
				r.Logf("%s %s: killed before %d messages, all went on", r.engine.name, column, killed)
			})
		})
	}
}

func TestSixMigratorsAtOnce(t *testing.T) {
	t.Parallel()
	for _, column := range []string{"version", "lock_version"} {
		t.Run(column, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(r *rig) {
				for range pick(1, 5) {
					r.reset(column, 5000)
					var all sync.WaitGroup
					for range 6 {
						all.Go(func() {
							_, killed := r.spawn(column, 0)
							require.False(r, killed)
						})
					}
					all.Wait()
					table := migrations.Table{Name: "accounts", Column: column}
					require.Empty(r, r.apply(table)[0].Steps)
					r.verified(table)
				}
			})
		})
	}
}
