package sqlite_test

import (
	"context"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/occ"
)

var versionRows = []row{
	{"section 2.5: one above int64 becomes REAL, and stale writers succeed", TestServerOverflowTrap},
	{"section 2.5: a STRICT table refuses that", TestServerOverflowStrict},
	{"hazard 21: occ refuses to move the last int64", TestServerOverflow},
	{"a version that is REAL or NULL already", TestServerVersionIsNoInteger},
}

// writes are all the ways to write row 1.
var writes = map[string]func(ctx context.Context, c *client, a *account) error{
	"update":    func(ctx context.Context, c *client, a *account) error { return c.Update(ctx, a) },
	"patch":     func(ctx context.Context, c *client, a *account) error { return c.Patch(ctx, a, "balance") },
	"touch":     func(ctx context.Context, c *client, a *account) error { return c.Touch(ctx, a) },
	"overwrite": func(ctx context.Context, c *client, a *account) error { return c.Overwrite(ctx, a, "test") },
	"mutate": func(ctx context.Context, c *client, a *account) error {
		_, err := c.Mutate(ctx, a.ID, func(a *account) error { a.Balance = 7; return nil })
		return err
	},
}

func (s *scene) typeOfVersion() (kind string) {
	s.Helper()
	require.NoError(s, s.admin.QueryRowContext(s.Context(), "SELECT typeof(version) FROM accounts WHERE id = 1").Scan(&kind))
	return kind
}

// What a hand-written checked update does.
func TestServerOverflowTrap(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	exec(t, s.admin, "UPDATE accounts SET version = ? WHERE id = 1", int64(math.MaxInt64))
	exec(t, s.admin, "UPDATE accounts SET version = version + 1 WHERE id = 1 AND version = ?", int64(math.MaxInt64))
	require.Equal(t, "real", s.typeOfVersion())
	for range 3 {
		res, err := s.admin.ExecContext(t.Context(),
			"UPDATE accounts SET version = version + 1 WHERE id = 1 AND version = 9223372036854775808.0")
		require.NoError(t, err)
		n, err := res.RowsAffected()
		require.NoError(t, err)
		require.EqualValues(t, 1, n, "the trap is gone: all stale writers used to win")
	}
}

func TestServerOverflowStrict(t *testing.T) {
	t.Parallel()
	s := newScene(t, "WAL")
	exec(t, s.admin, "CREATE TABLE hard (id INTEGER PRIMARY KEY, version INTEGER NOT NULL) STRICT")
	exec(t, s.admin, "INSERT INTO hard VALUES (1, ?)", int64(math.MaxInt64))
	err := s.client(1).db.Exec(t.Context(), "UPDATE hard SET version = version + 1 WHERE id = 1")
	servertest.Refused(t, err, nil)
	judged(t, err, 3091, dialects.Rejected, dialects.Autocommit, dialects.Refused)
}

func TestServerOverflow(t *testing.T) {
	t.Parallel()
	for name, write := range writes {
		s := newScene(t, "WAL")
		exec(t, s.admin, "UPDATE accounts SET version = ? WHERE id = 1", int64(math.MaxInt64-1))
		c, mine := s.client(3), account{ID: 1, Balance: 100, Version: math.MaxInt64 - 1}
		require.NoError(t, write(t.Context(), c, &mine), "the last step is allowed")
		mine.Version = math.MaxInt64
		before := mine
		err := write(t.Context(), c, &mine)
		require.ErrorIs(t, err, occ.ErrOverflow, name)
		servertest.Refused(t, err, occ.ErrOverflow)
		require.Equal(t, before, mine, name)
		require.Equal(t, "integer", s.typeOfVersion(), name)
		require.NoError(t, c.Delete(t.Context(), &mine), "a full row can go")
	}
}

func TestServerVersionIsNoInteger(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"9223372036854775808.0", "1.5", "NULL", "'seven'"} {
		s := newScene(t, "WAL")
		exec(t, s.admin, "DROP TABLE accounts")
		exec(t, s.admin, "CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance, version)")
		exec(t, s.admin, "INSERT INTO accounts VALUES (1, 100, "+value+")")
		kind := s.typeOfVersion()
		for name, write := range writes {
			c, mine := s.client(3), servertest.Held(1)
			err := write(t.Context(), c, &mine)
			require.ErrorIs(t, err, occ.ErrMapping, "%s at %s", name, value)
			servertest.Refused(t, err, occ.ErrMapping)
			require.ErrorContains(t, err, "version", "%s at %s: the message names no column", name, value)
			require.Equal(t, servertest.Held(1), mine)
			require.LessOrEqual(t, len(c.errs), 1, name)
			c.clean()
		}
		_, err := s.client(1).Get(t.Context(), 1)
		require.ErrorIs(t, err, occ.ErrMapping)
		require.Equal(t, kind, s.typeOfVersion())
	}
}
