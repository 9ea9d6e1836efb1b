package mariadb_test

import (
	"context"
	"math"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/retry"
)

var refusedRows = []row{
	{"1317 KILL QUERY: undone, the transaction stays usable", TestServerKillQuery},
	{"1969 max_statement_time: undone, the transaction stays usable", TestServerStatementTime},
	{"1264 the version column is full", TestServerVersionOverflow},
	{"1690 BIGINT out of range", TestServerBigintOverflow},
	{"1062 duplicate entry", TestServerDuplicate},
	{"1048, 1054, 1064, 1146, 1364, 1366, 1406, 1452, 1644, 4025", TestServerRejected},
	{"1792 read-only", TestServerReadOnly},
	{"1226 the user's connections", TestServerUserLimit},
}

// interrupted stops a write that waits for a lock: once in autocommit, once in
// a transaction that goes on.
func (s *scene) interrupted(number uint16, c *client, interrupt func()) {
	s.Helper()
	mine := servertest.Held(1)
	other := s.hold(servertest.Bump)
	done := servertest.Async(func() error { return c.Update(s.Context(), &mine) })
	interrupt()
	err := <-done
	servertest.Refused(s, err, nil)
	judged(s, c.attempts(1)[0], number, dialects.Canceled, dialects.Autocommit, dialects.Stopped)
	require.Equal(s, servertest.Held(1), mine)

	conn, repo := c.begin()
	second := account{ID: 2, Balance: 7, Version: 1}
	require.NoError(s, repo.Update(s.Context(), &second))
	done = servertest.Async(func() error { return repo.Update(s.Context(), &mine) })
	interrupt()
	err = <-done
	servertest.Refused(s, err, nil)
	judged(s, err, number, dialects.Canceled, dialects.InTx, dialects.Stopped)
	require.True(s, s.inTransaction(conn), "the server has kept the transaction")
	require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned, "half a unit must not go on")
	require.NoError(s, conn.Rollback(s.Context()))
	require.NoError(s, other.Rollback())
	s.holds(servertest.Held(1))
	s.holds(servertest.Held(2))
}

func TestServerKillQuery(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.interrupted(1317, s.client(nil), func() { s.exec("KILL QUERY ?", s.waiter()) })
}

func TestServerStatementTime(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.interrupted(1969, s.client(set("max_statement_time", "0.3")), func() {})
}

func TestServerVersionOverflow(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.exec("ALTER TABLE accounts MODIFY version smallint NOT NULL")
	s.exec("UPDATE accounts SET version = 32767")
	last := account{ID: 1, Balance: 100, Version: 32767}
	for name, write := range map[string]func(ctx context.Context, c *client, a *account) error{
		"update": func(ctx context.Context, c *client, a *account) error { return c.Update(ctx, a) },
		"patch":  func(ctx context.Context, c *client, a *account) error { return c.Patch(ctx, a, "balance") },
		"touch":  func(ctx context.Context, c *client, a *account) error { return c.Touch(ctx, a) },
		"mutate": func(ctx context.Context, c *client, a *account) error {
			_, err := c.Mutate(ctx, 1, func(a *account) error { a.Balance = 7; return nil })
			return err
		},
	} {
		c, mine := s.client(nil), account{ID: 1, Balance: 7, Version: 32767}
		err := write(s.Context(), c, &mine)
		require.ErrorIs(s, err, occ.ErrOverflow, name)
		judged(s, c.attempts(1)[0], 1264, dialects.Overflow, dialects.Autocommit, dialects.Refused)
		require.Equal(s, account{ID: 1, Balance: 7, Version: 32767}, mine, name)
		s.holds(last)
	}
}

func TestServerBigintOverflow(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.exec("UPDATE accounts SET version = ?", int64(math.MaxInt64))
	c, mine := s.client(nil), account{ID: 1, Balance: 100, Version: math.MaxInt64}
	err := c.Update(s.Context(), &mine) // occ does not even ask
	servertest.Refused(s, err, occ.ErrOverflow)
	err = c.db.Exec(s.Context(), "UPDATE accounts SET version = version + 1 WHERE id = 1")
	servertest.Refused(s, err, occ.ErrOverflow)
	judged(s, err, 1690, dialects.Overflow, dialects.Autocommit, dialects.Refused)
	s.holds(mine)
}

func TestServerDuplicate(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.exec("UPDATE accounts SET balance = 101 WHERE id = 2")
	s.exec("ALTER TABLE accounts ADD UNIQUE (balance)")
	for _, write := range []func(c *client, a *account) error{
		func(c *client, a *account) error { return c.Insert(s.Context(), a) },
		func(c *client, a *account) error { return c.Update(s.Context(), a) },
	} {
		c, mine := s.client(nil), account{ID: 1, Balance: 101, Version: 1}
		servertest.Refused(s, write(c, &mine), occ.ErrDuplicate)
		judged(s, c.attempts(1)[0], 1062, dialects.Duplicate, dialects.Autocommit, dialects.Refused)
		require.Equal(s, account{ID: 1, Balance: 101, Version: 1}, mine)
	}
	s.holds(servertest.Held(1))
}

func TestServerRejected(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.exec("CREATE TABLE t (id int PRIMARY KEY, name varchar(3) NOT NULL, n int NOT NULL DEFAULT 1 CHECK (n > 0), " +
		"parent bigint REFERENCES accounts (id)) ENGINE = InnoDB")
	s.exec("INSERT INTO t (id, name) VALUES (1, 'a')")
	s.exec("CREATE TRIGGER guard BEFORE DELETE ON t FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'")
	c := s.client(nil)
	for number, text := range map[uint16]string{
		1048: "UPDATE t SET name = NULL",
		1054: "UPDATE t SET nothing = 1",
		1064: "UPDATE t SET",
		1146: "UPDATE nowhere SET n = 1",
		1364: "INSERT INTO t (id) VALUES (2)",
		1366: "UPDATE t SET n = 'x'",
		1406: "UPDATE t SET name = 'long'",
		1452: "UPDATE t SET parent = 99",
		1644: "DELETE FROM t",
		4025: "UPDATE t SET n = 0",
	} {
		err := c.db.Exec(s.Context(), text)
		servertest.Refused(s, err, nil)
		judged(s, err, number, dialects.Rejected, dialects.Autocommit, dialects.Refused)
	}
}

func TestServerReadOnly(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	pool := s.pool(set("tx_read_only", "1"))
	c, mine := s.clientOf(&occ.Options{Retry: &retry.Policy{MaxOutages: 1}}, sqldb.New(pool)), servertest.Held(1)
	err := c.Update(s.Context(), &mine)
	require.ErrorIs(s, err, occ.ErrUnavailable)
	require.NotErrorIs(s, err, occ.ErrAmbiguous)
	for _, attempt := range c.attempts(2) {
		judged(s, attempt, 1792, dialects.Unavailable, dialects.Autocommit, dialects.Down)
	}
	s.holds(servertest.Held(1))
}

func TestServerUserLimit(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDBTCP(t))
	user := s.config.DBName
	s.exec("CREATE USER " + user + " IDENTIFIED BY 'canary' WITH MAX_USER_CONNECTIONS 1")
	s.Cleanup(func() {
		_, err := s.admin.ExecContext(context.Background(), "DROP USER "+user)
		require.NoError(s, err)
	})
	s.exec("GRANT ALL ON " + s.config.DBName + ".* TO " + user)
	login := func(c *mysql.Config) { c.User, c.Passwd = user, "canary" }
	only := s.pool(login)
	require.NoError(s, only.PingContext(s.Context()))
	c, mine := s.clientOf(&occ.Options{Retry: &retry.Policy{MaxOutages: -1}}, sqldb.New(s.pool(login))), servertest.Held(1)
	err := c.Update(s.Context(), &mine)
	require.ErrorIs(s, err, occ.ErrUnavailable)
	judged(s, c.attempts(1)[0], 1226, dialects.Unavailable, dialects.Connecting, dialects.Down)
	s.holds(servertest.Held(1))
}
