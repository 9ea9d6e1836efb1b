package sqlite_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

var refusedRows = []row{
	{"13 FULL rolls the whole transaction back and leaves autocommit on", TestServerFull},
	{"13 FULL of a statement with a trigger (or RETURNING) leaves the transaction open, half done", TestServerFullHalf},
	{"13 FULL of an autocommit write", TestServerFullWrite},
	{"1555 primary key, 2067 unique", TestServerDuplicate},
	{"275, 787, 1299, 1811: other constraints; 8 READONLY", TestServerRejected},
	{"section 2.2: a trigger with RAISE(IGNORE) swallows the write", TestServerTriggerSwallows},
}

type note struct {
	ID      int64  `occ:"id,key"`
	Text    string `occ:"text"`
	Version int64  `occ:"version,version"`
}

// full makes a client of a table "notes" in a file that cannot grow.
func (s *scene) full() (*client, *occ.Repository[note, int64]) {
	s.Helper()
	exec(s.T, s.admin, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL, version INTEGER NOT NULL)")
	exec(s.T, s.admin, "INSERT INTO notes VALUES (1, 'short', 1)")
	var pages int
	require.NoError(s, s.admin.QueryRowContext(s.Context(), "PRAGMA page_count").Scan(&pages))
	c := s.client(3, fmt.Sprintf("max_page_count(%d)", pages+2))
	notes, err := occ.NewRepository[note, int64](c.db, "notes", nil)
	require.NoError(s, err)
	return c, notes
}

var long = strings.Repeat("long ", 100_000)

// The trap: the engine undid the whole unit, and what the caller sends next is
// in autocommit.
func TestServerFull(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	c, notes := s.full()
	conn, repo, joined := c.fullUnit(notes, func(joined *occ.Repository[note, int64]) error {
		return joined.Insert(t.Context(), &note{ID: 2, Text: long})
	})
	mine := servertest.Held(2)
	require.ErrorIs(t, repo.Update(t.Context(), &mine), occ.ErrPoisoned)
	require.ErrorIs(t, joined.Insert(t.Context(), &note{ID: 3}), occ.ErrPoisoned)
	require.ErrorContains(t, conn.Commit(t.Context()), "no transaction is active")
	s.holds(servertest.Held(1))
	_, err := conn.Exec(t.Context(), servertest.Bump, nil)
	require.NoError(t, err)
	s.holds(account{ID: 1, Balance: 500, Version: 2})
}

// The other trap: a statement with a trigger (or RETURNING) has a journal of its
// own, so that the engine undoes it alone and half of the unit could be
// committed.
func TestServerFullHalf(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	c, notes := s.full()
	exec(t, s.admin, "CREATE TRIGGER two AFTER UPDATE ON notes BEGIN UPDATE accounts SET balance = balance WHERE id = 2; END")
	conn, repo, _ := c.fullUnit(notes, func(joined *occ.Repository[note, int64]) error {
		return joined.Update(t.Context(), &note{ID: 1, Text: long, Version: 1})
	})
	mine := servertest.Held(2)
	require.ErrorIs(t, repo.Update(t.Context(), &mine), occ.ErrPoisoned)
	require.NoError(t, conn.Rollback(t.Context()), "the transaction is open")
	s.holds(servertest.Held(1))
}

// fullUnit is a unit that changes row 1 and then meets the limit.
func (c *client) fullUnit(notes *occ.Repository[note, int64], write func(*occ.Repository[note, int64]) error) (
	dialects.Conn, *occ.Repository[account, int64], *occ.Repository[note, int64],
) {
	c.s.Helper()
	conn, _, _ := c.begin(sqlite.New().Begin())
	scope, mine := occ.Join(conn), servertest.Held(1)
	repo, joined := c.In(scope), notes.In(scope)
	require.NoError(c.s, repo.Update(c.s.Context(), &mine))
	err := write(joined)
	servertest.Refused(c.s, err, nil)
	judged(c.s, err, 13, dialects.Rejected, dialects.InTx, dialects.Refused)
	c.s.holds(servertest.Held(1))
	return conn, repo, joined
}

func TestServerFullWrite(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	c, notes := s.full()
	mine := note{ID: 1, Text: long, Version: 1}
	err := notes.Update(t.Context(), &mine)
	servertest.Refused(t, err, nil)
	judged(t, c.attempts(1)[0], 13, dialects.Rejected, dialects.Autocommit, dialects.Refused)
	require.EqualValues(t, 1, mine.Version)
	c.errs = nil
	err = notes.Overwrite(t.Context(), &mine, "test")
	servertest.Refused(t, err, nil)
	judged(t, c.attempts(1)[0], 13, dialects.Rejected, dialects.InTx, dialects.Refused)
	c.clean()
	got, err := notes.Get(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, note{ID: 1, Text: "short", Version: 1}, got)
}

func TestServerDuplicate(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	exec(t, s.admin, "UPDATE accounts SET balance = 101 WHERE id = 2")
	exec(t, s.admin, "CREATE UNIQUE INDEX balances ON accounts (balance)")
	for code, write := range map[int]func(c *client, a *account) error{
		1555: func(c *client, a *account) error { a.Balance = 7; return c.Insert(t.Context(), a) },
		2067: func(c *client, a *account) error { a.Balance = 101; return c.Update(t.Context(), a) },
	} {
		c, mine := s.client(3), servertest.Held(1)
		servertest.Refused(t, write(c, &mine), occ.ErrDuplicate)
		judged(t, c.attempts(1)[0], code, dialects.Duplicate, dialects.Autocommit, dialects.Refused)
		require.EqualValues(t, 1, mine.Version)
	}
	s.holds(servertest.Held(1))
}

func TestServerRejected(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	exec(t, s.admin, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL CHECK (n > 0), parent INT REFERENCES accounts)")
	exec(t, s.admin, "INSERT INTO t VALUES (1, 1, 1)")
	exec(t, s.admin, "CREATE TRIGGER guard BEFORE DELETE ON t BEGIN SELECT RAISE(ABORT, 'no'); END")
	c := s.client(3, "foreign_keys(ON)")
	for code, text := range map[int]string{
		275:  "UPDATE t SET n = 0",
		787:  "UPDATE t SET parent = 99",
		1299: "UPDATE t SET n = NULL",
		1811: "DELETE FROM t",
		1:    "UPDATE nowhere SET n = 1",
	} {
		err := c.db.Exec(t.Context(), text)
		servertest.Refused(t, err, nil)
		judged(t, err, code, dialects.Rejected, dialects.Autocommit, dialects.Refused)
	}
	readOnly, mine := s.client(3, "query_only(ON)"), servertest.Held(1)
	err := readOnly.Update(t.Context(), &mine)
	servertest.Refused(t, err, nil)
	judged(t, readOnly.attempts(1)[0], 8, dialects.Rejected, dialects.Autocommit, dialects.Refused)
	s.holds(servertest.Held(1))
}

func TestServerTriggerSwallows(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
		exec(t, s.admin, "CREATE TRIGGER no_"+event+" BEFORE "+event+" ON accounts BEGIN SELECT RAISE(IGNORE); END")
	}
	for name, write := range map[string]func(c *client, a *account) error{
		"insert": func(c *client, a *account) error { a.ID = 3; return c.Insert(t.Context(), a) },
		"update": func(c *client, a *account) error { return c.Update(t.Context(), a) },
		"patch":  func(c *client, a *account) error { return c.Patch(t.Context(), a, "balance") },
		"touch":  func(c *client, a *account) error { return c.Touch(t.Context(), a) },
		"delete": func(c *client, a *account) error { return c.Delete(t.Context(), a) },
		"joined": func(c *client, a *account) error {
			_, repo, giveBack := c.begin(sqlite.New().Begin())
			defer giveBack()
			return repo.Update(t.Context(), a)
		},
	} {
		c, mine := s.client(3), servertest.Held(1)
		servertest.Refused(t, write(c, &mine), occ.ErrSuppressed)
		require.Len(t, c.attempts(1), 1, name)
		require.EqualValues(t, 1, mine.Version, name)
	}
	c := s.client(0)
	_, err := c.Mutate(t.Context(), 1, func(*account) error { return nil })
	servertest.Refused(t, err, occ.ErrSuppressed)
	c.attempts(2) // the second attempt looks again, under a lock
	s.holds(servertest.Held(1))
	require.ErrorIs(t, c.db.Exec(t.Context(), servertest.Bump), occ.ErrConflict, "a program's own statement affected no row")
}
