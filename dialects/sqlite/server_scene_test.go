package sqlite_test

import (
	"context"
	"database/sql"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

type account = servertest.Account

// scene is a file with a table "accounts" with the rows 1 and 2.
type scene struct {
	*testing.T
	path    string
	journal string
	admin   *sql.DB // plain SQL, to make trouble and to see the truth
}

func newScene(t *testing.T, journal string) *scene {
	t.Helper()
	s := &scene{T: t, path: filepath.ToSlash(filepath.Join(t.TempDir(), "occ.db")), journal: journal}
	s.admin = s.pool()
	exec(t, s.admin, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, version INTEGER NOT NULL)")
	exec(t, s.admin, "INSERT INTO accounts VALUES (1, 100, 1), (2, 100, 1)")
	return s
}

// pool opens another pool. It waits 20 ms for a lock unless told otherwise.
func (s *scene) pool(pragmas ...string) *sql.DB {
	s.Helper()
	if !slices.ContainsFunc(pragmas, func(p string) bool { return strings.HasPrefix(p, "busy_timeout") }) {
		pragmas = append(pragmas, "busy_timeout(20)")
	}
	pragmas = append(pragmas, "journal_mode("+s.journal+")")
	dsn := "file:" + (&url.URL{Path: s.path}).EscapedPath() + "?_pragma=" + strings.Join(pragmas, "&_pragma=")
	db, err := sql.Open("sqlite", dsn)
	require.NoError(s, err)
	s.Cleanup(func() { require.NoError(s, db.Close()) })
	return db
}

// holds requires that the table has exactly this row.
func (s *scene) holds(want account) {
	s.Helper()
	got := account{ID: want.ID}
	query := "SELECT balance, version FROM accounts WHERE id = ?"
	require.NoError(s, s.admin.QueryRowContext(s.Context(), query, want.ID).Scan(&got.Balance, &got.Version))
	require.Equal(s, want, got)
}

// hold runs statements on a connection of its own, and undoes them at the end.
func (s *scene) hold(texts ...string) (release func()) {
	s.Helper()
	conn, err := s.admin.Conn(s.Context())
	require.NoError(s, err)
	for _, text := range texts {
		exec(s.T, conn, text)
	}
	release = sync.OnceFunc(func() {
		_, _ = conn.ExecContext(context.Background(), "ROLLBACK")
		_ = conn.Close()
	})
	s.Cleanup(release)
	return release
}

// client is what a program would hold, and what was observed of it.
type client struct {
	*occ.Repository[account, int64]
	s         *scene
	db        *occ.DB
	transport dialects.DB
	errs      []error // how each attempt ended
}

// client makes a client that gives up after so many attempts. Its pool has one
// connection, so that the state in which that is given back shows.
func (s *scene) client(attempts int, pragmas ...string) *client {
	s.Helper()
	pool := s.pool(pragmas...)
	pool.SetMaxOpenConns(1)
	c := &client{s: s, transport: sqldb.New(pool)}
	c.db = occ.New(c.transport, sqlite.New(), &occ.Options{
		Retry: &retry.Policy{MaxAttempts: attempts},
		Observer: observe.Func(func(_ context.Context, e observe.Event) {
			if e.Kind == observe.Attempt {
				c.errs = append(c.errs, e.Err)
			}
		}),
	})
	var err error
	c.Repository, err = occ.NewRepository[account, int64](c.db, "accounts", nil)
	require.NoError(s, err)
	return c
}

// attempts requires that so many attempts were made, and returns their ends.
func (c *client) attempts(n int) []error {
	c.s.Helper()
	require.Len(c.s, c.errs, n, "attempts")
	return c.errs
}

// begin opens a transaction of the caller's own, and joins it.
func (c *client) begin(text string) (dialects.Conn, *occ.Repository[account, int64], func()) {
	c.s.Helper()
	conn, err := c.transport.Conn(c.s.Context())
	require.NoError(c.s, err)
	release := sync.OnceFunc(func() { conn.Release(true) })
	c.s.Cleanup(release)
	require.NoError(c.s, conn.Begin(c.s.Context(), text))
	return conn, c.In(occ.Join(conn)), release
}

// clean requires that the pool's only connection is outside of a transaction.
func (c *client) clean() {
	c.s.Helper()
	conn, err := c.transport.Conn(c.s.Context())
	require.NoError(c.s, err)
	defer conn.Release(false)
	require.NoError(c.s, conn.Begin(c.s.Context(), "BEGIN"), "the last borrower left a transaction")
	require.NoError(c.s, conn.Rollback(c.s.Context()))
}

// judged requires SQLite's extended code, its class, and what that means in a
// phase.
func judged(t testing.TB, err error, code int, class dialects.Class, phase dialects.Phase, outcome dialects.Outcome) {
	t.Helper()
	var coded interface {
		error
		Code() int
	}
	require.ErrorAs(t, err, &coded)
	require.Equal(t, code, coded.Code(), coded.Error())
	servertest.Classified(t, sqlite.New(), err, class, phase, outcome)
}
