package postgres_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/retry"
)

var refusedRows = []row{
	{"22003 the version column is full", TestServerVersionOverflow},
	{"23505 unique_violation", TestServerDuplicate},
	{"23505 of a deferred constraint, after the row was returned", TestServerDeferredDuplicate},
	{"23P01 exclusion_violation", TestServerExclusion},
	{"23503 of a deferred constraint, autocommit", TestServerDeferredForeignKey},
	{"23503 of a deferred constraint, at COMMIT", TestServerDeferredForeignKeyAtCommit},
	{"23502, 23514, 42501 (privilege), 42P01", TestServerRejected},
	{"25006 read_only_sql_transaction", TestServerReadOnly},
}

// unchanged requires that one attempt was made, which the server refused, and
// that neither the row nor the caller's struct moved.
func (c *client) unchanged(err error, mine, before account, code string, class dialects.Class, kind error) {
	c.s.Helper()
	servertest.Refused(c.s, err, kind)
	judged(c.s, c.attempts(1)[0], code, class, dialects.Autocommit, dialects.Refused)
	require.Equal(c.s, before, mine)
	c.s.holds(servertest.Held(before.ID))
}

func TestServerVersionOverflow(t *testing.T) {
	t.Parallel()
	const last = 1<<31 - 1
	writes := map[string]func(ctx context.Context, c *client, a *account) error{
		"update": func(ctx context.Context, c *client, a *account) error { return c.Update(ctx, a) },
		"patch":  func(ctx context.Context, c *client, a *account) error { return c.Patch(ctx, a, "balance") },
		"touch":  func(ctx context.Context, c *client, a *account) error { return c.Touch(ctx, a) },
		"mutate": func(ctx context.Context, c *client, a *account) error {
			_, err := c.Mutate(ctx, a.ID, func(a *account) error { a.Balance = 7; return nil })
			return err
		},
	}
	onBoth(t, func(s *scene) {
		s.exec("ALTER TABLE accounts ALTER version TYPE int")
		s.exec("UPDATE accounts SET version = $1", last)
		for name, write := range writes {
			c, mine := s.client(), account{ID: 1, Balance: 7, Version: last}
			err := write(s.Context(), c, &mine)
			require.ErrorIs(s, err, occ.ErrOverflow, name)
			servertest.Refused(s, err, occ.ErrOverflow)
			judged(s, c.attempts(1)[0], "22003", dialects.Overflow, dialects.Autocommit, dialects.Refused)
			require.Equal(s, account{ID: 1, Balance: 7, Version: last}, mine, name)
			s.holds(account{ID: 1, Balance: 100, Version: last})
		}
		c, mine := s.client(), account{ID: 1, Balance: 7, Version: last}
		_, repo := c.begin()
		err := repo.Update(s.Context(), &mine)
		judged(s, err, "22003", dialects.Overflow, dialects.InTx, dialects.Refused)
		require.ErrorIs(s, err, occ.ErrOverflow)
	})
}

func TestServerDuplicate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), account{ID: 1, Balance: 7}
		err := c.Insert(s.Context(), &mine)
		c.unchanged(err, mine, account{ID: 1, Balance: 7}, "23505", dialects.Duplicate, occ.ErrDuplicate)

		s.exec("UPDATE accounts SET balance = 101 WHERE id = 2")
		s.exec("ALTER TABLE accounts ADD UNIQUE (balance)")
		c, mine = s.client(), account{ID: 1, Balance: 101, Version: 1}
		err = c.Update(s.Context(), &mine)
		c.unchanged(err, mine, account{ID: 1, Balance: 101, Version: 1}, "23505", dialects.Duplicate, occ.ErrDuplicate)
	})
}

// The error comes after the statement's row and its command tag, when the
// implicit transaction commits. A client that stops reading early takes the
// write for done.
func TestServerDeferredDuplicate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.exec("UPDATE accounts SET balance = 101 WHERE id = 2")
		s.exec("ALTER TABLE accounts ADD UNIQUE (balance) DEFERRABLE INITIALLY DEFERRED")
		c, mine := s.client(), account{ID: 1, Balance: 101, Version: 1}
		err := c.Update(s.Context(), &mine)
		c.unchanged(err, mine, account{ID: 1, Balance: 101, Version: 1}, "23505", dialects.Duplicate, occ.ErrDuplicate)

		c, mine = s.client(), account{ID: 3, Balance: 101}
		err = c.Insert(s.Context(), &mine)
		judged(s, err, "23505", dialects.Duplicate, dialects.Autocommit, dialects.Refused)
		require.ErrorIs(s, err, occ.ErrDuplicate)
		require.Zero(s, value[int](s, "SELECT count(*) FROM accounts WHERE id = 3"))

		c, mine = s.client(), account{ID: 1, Balance: 101, Version: 1}
		err = c.Overwrite(s.Context(), &mine, "test")
		judged(s, err, "23505", dialects.Duplicate, dialects.Commit, dialects.Refused)
		c.unchanged(err, mine, account{ID: 1, Balance: 101, Version: 1}, "23505", dialects.Duplicate, occ.ErrDuplicate)
	})
}

func TestServerExclusion(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.exec("UPDATE accounts SET balance = 101 WHERE id = 2")
		s.exec("ALTER TABLE accounts ADD EXCLUDE USING btree (balance WITH =)")
		c, mine := s.client(), account{ID: 1, Balance: 101, Version: 1}
		err := c.Update(s.Context(), &mine)
		c.unchanged(err, mine, account{ID: 1, Balance: 101, Version: 1}, "23P01", dialects.Duplicate, occ.ErrDuplicate)
	})
}

// orphans makes every balance but 100 a broken foreign key, noticed at the end
// of the transaction.
func (s *scene) orphans() {
	s.Helper()
	s.exec("CREATE TABLE levels (id bigint PRIMARY KEY)")
	s.exec("INSERT INTO levels VALUES (100)")
	s.exec("ALTER TABLE accounts ADD FOREIGN KEY (balance) REFERENCES levels DEFERRABLE INITIALLY DEFERRED")
}

func TestServerDeferredForeignKey(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.orphans()
		c, mine := s.client(), account{ID: 1, Balance: 7, Version: 1}
		err := c.Update(s.Context(), &mine)
		c.unchanged(err, mine, account{ID: 1, Balance: 7, Version: 1}, "23503", dialects.Rejected, nil)

		// A statement without rows reports it as well.
		d := s.client()
		err = d.db.Exec(s.Context(), "UPDATE accounts SET balance = 7, version = version + 1 WHERE id = 1 AND version = 1")
		servertest.Refused(s, err, nil)
		judged(s, err, "23503", dialects.Rejected, dialects.Autocommit, dialects.Refused)
		s.holds(servertest.Held(1))
	})
}

func TestServerDeferredForeignKeyAtCommit(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.orphans()
		c, mine := s.client(), account{ID: 1, Balance: 7, Version: 1}
		err := c.Overwrite(s.Context(), &mine, "test")
		judged(s, err, "23503", dialects.Rejected, dialects.Commit, dialects.Refused)
		c.unchanged(err, mine, account{ID: 1, Balance: 7, Version: 1}, "23503", dialects.Rejected, nil)

		conn, repo := c.begin()
		mine = account{ID: 1, Balance: 7, Version: 1}
		require.NoError(s, repo.Update(s.Context(), &mine))
		judged(s, conn.Commit(s.Context()), "23503", dialects.Rejected, dialects.Commit, dialects.Refused)
		s.holds(servertest.Held(1))
	})
}

func TestServerRejected(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		role := s.role()
		s.exec("GRANT SELECT ON accounts TO " + role)
		s.exec("ALTER TABLE accounts ADD CONSTRAINT few CHECK (balance > 50)")
		c, mine := s.client(), account{ID: 1, Balance: 7, Version: 1}
		err := c.Update(s.Context(), &mine)
		c.unchanged(err, mine, account{ID: 1, Balance: 7, Version: 1}, "23514", dialects.Rejected, nil)

		c, mine = s.client("role", role), account{ID: 1, Balance: 70, Version: 1}
		err = c.Update(s.Context(), &mine)
		c.unchanged(err, mine, account{ID: 1, Balance: 70, Version: 1}, "42501", dialects.Rejected, nil)

		s.exec("ALTER TABLE accounts ADD n int NOT NULL DEFAULT 0")
		s.exec("ALTER TABLE accounts ALTER n DROP DEFAULT")
		c, mine = s.client(), account{ID: 3, Balance: 70}
		judged(s, c.Insert(s.Context(), &mine), "23502", dialects.Rejected, dialects.Autocommit, dialects.Refused)

		s.exec("ALTER TABLE accounts RENAME TO elsewhere")
		_, err = c.Get(s.Context(), 1)
		judged(s, err, "42P01", dialects.Rejected, dialects.Connecting, dialects.Refused)
	})
}

func TestServerReadOnly(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		transport := s.open(s.T, s.dsn, "default_transaction_read_only", "on")
		c, mine := s.clientOf("accounts", &occ.Options{Retry: &retry.Policy{MaxOutages: 1}}, transport), servertest.Held(1)
		err := c.Update(s.Context(), &mine)
		require.ErrorIs(s, err, occ.ErrUnavailable)
		require.NotErrorIs(s, err, occ.ErrAmbiguous)
		for _, attempt := range c.attempts(2) {
			judged(s, attempt, "25006", dialects.Unavailable, dialects.Autocommit, dialects.Down)
		}
		_, err = c.Get(s.Context(), 1)
		require.NoError(s, err, "reading works")
		s.holds(servertest.Held(1))
	})
}
