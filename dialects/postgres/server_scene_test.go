package postgres_test

import (
	"context"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

type account = servertest.Account

// openers are the transports over PostgreSQL. Params are settings of the session
// and of the connection, name and value in turn.
var openers = map[string]func(t *testing.T, dsn string, params ...string) dialects.DB{
	"pgxdb": func(t *testing.T, dsn string, params ...string) dialects.DB {
		t.Helper()
		return pgxdb.New(pool(t, dsn, params...))
	},
	"sqldb": func(t *testing.T, dsn string, params ...string) dialects.DB {
		t.Helper()
		config := poolConfig(t, dsn, params).ConnConfig
		db := stdlib.OpenDB(*config, stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }))
		t.Cleanup(func() { _ = db.Close() })
		return sqldb.New(db)
	},
}

func poolConfig(t *testing.T, dsn string, params []string) *pgxpool.Config {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	for i := 0; i < len(params); i += 2 {
		switch name, to := params[i], params[i+1]; name {
		case "user":
			config.ConnConfig.User = to
		case "password":
			config.ConnConfig.Password = to
		case "exec_mode":
			config.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeSimpleProtocol
		default:
			config.ConnConfig.RuntimeParams[name] = to
		}
	}
	// Never: a ping of what lay idle would meet the fault that was meant for the
	// write, on a machine that is slow enough.
	config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
	return config
}

func pool(t *testing.T, dsn string, params ...string) *pgxpool.Pool {
	t.Helper()
	p, err := pgxpool.NewWithConfig(t.Context(), poolConfig(t, dsn, params))
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

// scene is a table "accounts" with the rows 1 and 2, on one transport.
type scene struct {
	*testing.T
	dsn   string
	open  func(t *testing.T, dsn string, params ...string) dialects.DB
	admin *pgxpool.Pool // plain SQL, to make trouble and to see the truth
}

// onBoth runs a test on each transport.
func onBoth(t *testing.T, test func(s *scene)) {
	t.Helper()
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(newScene(t, dbtest.Postgres(t), open))
		})
	}
}

func newScene(t *testing.T, dsn string, open func(t *testing.T, dsn string, params ...string) dialects.DB) *scene {
	t.Helper()
	s := &scene{T: t, dsn: dsn, open: open, admin: pool(t, dsn, "synchronous_commit", "local")}
	s.exec("CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL, version bigint NOT NULL)")
	s.exec("INSERT INTO accounts VALUES (1, 100, 1), (2, 100, 1)")
	return s
}

func (s *scene) exec(text string, args ...any) {
	s.Helper()
	_, err := s.admin.Exec(s.Context(), text, args...)
	require.NoError(s, err, text)
}

// value asks for one value of plain SQL.
func value[V any](s *scene, text string, args ...any) (v V) {
	s.Helper()
	require.NoError(s, s.admin.QueryRow(s.Context(), text, args...).Scan(&v), text)
	return v
}

// holds requires that the table has exactly this row.
func (s *scene) holds(want account) {
	s.Helper()
	got := account{ID: want.ID}
	err := s.admin.QueryRow(s.Context(), "SELECT balance, version FROM accounts WHERE id = $1", want.ID).Scan(&got.Balance, &got.Version)
	require.NoError(s, err)
	require.Equal(s, want, got)
}

// until waits, on the server, for a query to return something that is not zero.
func (s *scene) until(text string, args ...any) int {
	s.Helper()
	for range 4000 {
		if n := value[int](s, text, args...); n != 0 {
			return n
		}
		s.exec("SELECT pg_sleep(0.005)")
	}
	require.FailNow(s, "never happened", text)
	return 0
}

// hold runs a statement in a transaction that stays open.
func (s *scene) hold(text string, args ...any) *holder {
	s.Helper()
	tx, err := s.admin.Begin(s.Context())
	require.NoError(s, err)
	s.Cleanup(func() { _ = tx.Rollback(context.Background()) })
	_, err = tx.Exec(s.Context(), text, args...)
	require.NoError(s, err)
	return &holder{s, tx}
}

type holder struct {
	s *scene
	pgx.Tx
}

// waiter waits until a session waits behind h, and returns its process.
func (h *holder) waiter() int {
	h.s.Helper()
	return h.s.until("SELECT coalesce(max(pid), 0) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))", h.Conn().PgConn().PID())
}

func (h *holder) commit()   { require.NoError(h.s, h.Commit(h.s.Context())) }
func (h *holder) rollback() { require.NoError(h.s, h.Rollback(h.s.Context())) }

// client is what a program would hold, and what was observed of it.
type client struct {
	*occ.Repository[account, int64]
	s         *scene
	db        *occ.DB
	transport dialects.DB
	mu        sync.Mutex
	errs      []error // how each attempt ended
}

func (s *scene) client(params ...string) *client {
	s.Helper()
	return s.clientOf("accounts", &occ.Options{}, s.open(s.T, s.dsn, params...))
}

func (s *scene) clientOf(table string, opts *occ.Options, transport dialects.DB) *client {
	s.Helper()
	c := &client{s: s, transport: transport}
	opts.Observer = observe.Func(func(_ context.Context, e observe.Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.Kind == observe.Attempt {
			c.errs = append(c.errs, e.Err)
		}
	})
	c.db = occ.New(transport, postgres.New(), opts)
	var err error
	c.Repository, err = occ.NewRepository[account, int64](c.db, table, nil)
	require.NoError(s, err)
	return c
}

// attempts requires that so many attempts were made, and returns their ends.
func (c *client) attempts(n int) []error {
	c.s.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Len(c.s, c.errs, n, "attempts")
	return c.errs
}

// begin opens a transaction of the caller's own, and joins it.
func (c *client) begin() (dialects.Conn, *occ.Repository[account, int64]) {
	c.s.Helper()
	conn, err := c.transport.Conn(c.s.Context())
	require.NoError(c.s, err)
	c.s.Cleanup(func() { conn.Release(true) })
	require.NoError(c.s, conn.Begin(c.s.Context(), postgres.New().Begin()))
	return conn, c.In(occ.Join(conn))
}

// judged requires the server's code, its class, and what that means in a phase.
func judged(t testing.TB, err error, code string, class dialects.Class, phase dialects.Phase, outcome dialects.Outcome) {
	t.Helper()
	var server *pgconn.PgError
	require.ErrorAs(t, err, &server)
	require.Equal(t, code, server.Code, server.Message)
	servertest.Classified(t, postgres.New(), err, class, phase, outcome)
}

// onOne makes a scene for one transport.
func onOne(t *testing.T, transport string) *scene {
	t.Helper()
	return newScene(t, dbtest.Postgres(t), openers[transport])
}
