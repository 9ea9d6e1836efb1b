package mariadb_test

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

type account = servertest.Account

// scene is a table "accounts" with the rows 1 and 2.
type scene struct {
	*testing.T
	config *mysql.Config
	admin  *sql.DB // plain SQL, to make trouble and to see the truth
}

func newScene(t *testing.T, dsn string) *scene {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	require.NoError(t, err)
	config.Logger = &mysql.NopLogger{}
	s := &scene{T: t, config: config}
	s.admin = s.pool(nil)
	s.exec("CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL, version bigint NOT NULL) ENGINE = InnoDB")
	s.exec("INSERT INTO accounts VALUES (1, 100, 1), (2, 100, 1)")
	return s
}

// pool opens another pool. Change may edit its configuration.
func (s *scene) pool(change func(c *mysql.Config)) *sql.DB {
	s.Helper()
	config := s.config.Clone()
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	if change != nil {
		change(config)
	}
	connector, err := mysql.NewConnector(config)
	require.NoError(s, err)
	db := sql.OpenDB(connector)
	s.Cleanup(func() { _ = db.Close() })
	return db
}

// set returns a change that sets session variables, name and value in turn.
func set(params ...string) func(c *mysql.Config) {
	return func(c *mysql.Config) {
		for i := 0; i < len(params); i += 2 {
			c.Params[params[i]] = params[i+1]
		}
	}
}

func (s *scene) exec(text string, args ...any) {
	s.Helper()
	_, err := s.admin.ExecContext(s.Context(), text, args...)
	require.NoError(s, err, text)
}

// holds requires that the table has exactly this row.
func (s *scene) holds(want account) {
	s.Helper()
	got := account{ID: want.ID}
	query := "SELECT balance, version FROM accounts WHERE id = ?"
	require.NoError(s, s.admin.QueryRowContext(s.Context(), query, want.ID).Scan(&got.Balance, &got.Version))
	require.Equal(s, want, got)
}

// until waits on the server, a few milliseconds at a time, for found.
func (s *scene) until(what string, found func() bool) {
	s.Helper()
	for range 4000 {
		if found() {
			return
		}
		s.exec("DO SLEEP(0.005)")
	}
	require.FailNow(s, "never happened", what)
}

var threadID = regexp.MustCompile(`MariaDB thread id (\d+)|MySQL thread id (\d+)`)

// waiter waits until a session waits for a lock on the table, and returns its
// thread. The engine's own report is used, because information_schema.innodb_trx
// is a cache that frequent readers keep from being renewed.
func (s *scene) waiter() (thread int) {
	s.Helper()
	table := fmt.Sprintf("table `%s`.`accounts`", s.config.DBName)
	s.until("a session waits for a lock", func() bool {
		var kind, name, status string
		require.NoError(s, s.admin.QueryRowContext(s.Context(), "SHOW ENGINE INNODB STATUS").Scan(&kind, &name, &status))
		for _, trx := range strings.Split(status, "---TRANSACTION") {
			_, lock, waits := strings.Cut(trx, "TRX HAS BEEN WAITING")
			if id := threadID.FindStringSubmatch(trx); waits && id != nil && strings.Contains(lock, table) {
				thread, _ = strconv.Atoi(id[1] + id[2])
				return true
			}
		}
		return false
	})
	return thread
}

// hold runs statements in a transaction that stays open.
func (s *scene) hold(texts ...string) *sql.Tx {
	s.Helper()
	tx, err := s.admin.BeginTx(s.Context(), nil)
	require.NoError(s, err)
	s.Cleanup(func() { _ = tx.Rollback() })
	for _, text := range texts {
		_, err = tx.ExecContext(s.Context(), text)
		require.NoError(s, err, text)
	}
	return tx
}

// client is what a program would hold, and what was observed of it.
type client struct {
	*occ.Repository[account, int64]
	s         *scene
	db        *occ.DB
	transport dialects.DB
	mu        sync.Mutex
	errs      []error // how each attempt ended
}

func (s *scene) client(change func(c *mysql.Config)) *client {
	s.Helper()
	return s.clientOf(&occ.Options{}, sqldb.New(s.pool(change)))
}

func (s *scene) clientOf(opts *occ.Options, transport dialects.DB) *client {
	s.Helper()
	c := &client{s: s, transport: transport}
	opts.Observer = observe.Func(func(_ context.Context, e observe.Event) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.Kind == observe.Attempt {
			c.errs = append(c.errs, e.Err)
		}
	})
	c.db = occ.New(transport, mariadb.New(), opts)
	var err error
	c.Repository, err = occ.NewRepository[account, int64](c.db, "accounts", nil)
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
	require.NoError(c.s, conn.Begin(c.s.Context(), mariadb.New().Begin()))
	return conn, c.In(occ.Join(conn))
}

// inTransaction asks a connection whether a transaction is open.
func (s *scene) inTransaction(conn dialects.Conn) (open bool) {
	s.Helper()
	rows, err := conn.Query(s.Context(), "SELECT @@in_transaction", nil)
	require.NoError(s, err)
	defer rows.Close()
	require.True(s, rows.Next())
	require.NoError(s, rows.Scan(&open))
	return open
}

// judged requires the server's number, its class, and what that means in a
// phase.
func judged(t testing.TB, err error, number uint16, class dialects.Class, phase dialects.Phase, outcome dialects.Outcome) {
	t.Helper()
	var server *mysql.MySQLError
	require.ErrorAs(t, err, &server)
	require.Equal(t, number, server.Number, server.Message)
	servertest.Classified(t, mariadb.New(), err, class, phase, outcome)
}
