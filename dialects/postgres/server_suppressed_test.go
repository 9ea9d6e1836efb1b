package postgres_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/occ"
)

var suppressedRows = []row{
	{"section 2.2: BEFORE trigger returning NULL", TestServerTriggerSwallows},
	{"section 2.2: row security USING hides on write, SELECT shows the row", TestServerRowSecurityHides},
	{"section 2.2: rule DO INSTEAD NOTHING", TestServerRuleSwallows},
	{"section 2.2: INSTEAD OF trigger that does nothing and returns NEW", TestServerInsteadOfTriggerLies},
	{"section 2.2: BEFORE trigger that sets the version itself", TestServerTriggerMovesVersion},
	{"42501 row security WITH CHECK", TestServerRowSecurityChecks},
}

// role makes a role that is no superuser, for which row security therefore
// holds. It goes away with the test.
func (s *scene) role() string {
	s.Helper()
	schema := value[string](s, "SELECT current_schema()")
	name := strings.Replace(schema, "occ_", "occ_role_", 1)
	s.exec("CREATE ROLE " + name)
	s.Cleanup(func() {
		_, err := s.admin.Exec(context.Background(), "DROP OWNED BY "+name+"; DROP ROLE "+name)
		require.NoError(s, err)
	})
	s.exec("GRANT USAGE ON SCHEMA " + schema + " TO " + name)
	return name
}

func (s *scene) trigger(when, body string) {
	s.Helper()
	s.exec("CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " + body + " END $$")
	s.exec("CREATE TRIGGER meddle " + when + " FOR EACH ROW EXECUTE FUNCTION meddle()")
}

// swallowed requires that every kind of write is found to be suppressed, in one
// attempt each.
func (s *scene) swallowed(params ...string) {
	s.Helper()
	for name, write := range map[string]func(c *client, a *account) error{
		"update": func(c *client, a *account) error { return c.Update(s.Context(), a) },
		"patch":  func(c *client, a *account) error { return c.Patch(s.Context(), a, "balance") },
		"touch":  func(c *client, a *account) error { return c.Touch(s.Context(), a) },
		"delete": func(c *client, a *account) error { return c.Delete(s.Context(), a) },
		"joined": func(c *client, a *account) error {
			conn, repo := c.begin()
			err := repo.Update(s.Context(), a)
			require.NoError(s, conn.Rollback(s.Context()))
			return err
		},
	} {
		c, mine := s.client(params...), servertest.Held(1)
		err := write(c, &mine)
		want := occ.ErrSuppressed
		if name == "joined" && errors.Is(err, occ.ErrGone) { // no plain read there: it may show a snapshot
			want = occ.ErrGone
		}
		require.ErrorIs(s, err, want, name)
		servertest.Refused(s, err, want)
		c.attempts(1)
		require.Equal(s, servertest.Held(1), mine, name)
		s.holds(servertest.Held(1))
	}
	c := s.client(params...)
	_, err := c.Mutate(s.Context(), 1, func(a *account) error { a.Balance++; return nil })
	require.ErrorIs(s, err, occ.ErrSuppressed)
	c.attempts(2) // the second attempt looks again, under a lock
	s.holds(servertest.Held(1))
}

func TestServerTriggerSwallows(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.trigger("BEFORE UPDATE OR DELETE ON accounts", "RETURN NULL;")
		s.swallowed()
	})
}

func TestServerRowSecurityHides(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		role := s.role()
		s.exec("GRANT ALL ON accounts TO " + role)
		s.exec("ALTER TABLE accounts ENABLE ROW LEVEL SECURITY")
		s.exec("CREATE POLICY see ON accounts FOR SELECT USING (true)")
		s.exec("CREATE POLICY change ON accounts FOR UPDATE USING (id = 2)")
		s.exec("CREATE POLICY remove ON accounts FOR DELETE USING (id = 2)")
		c, other := s.client("role", role), servertest.Held(2)
		require.NoError(s, c.Update(s.Context(), &other), "the policy allows this one")
		nobody := servertest.Held(3)
		require.ErrorIs(s, c.Update(s.Context(), &nobody), occ.ErrGone, "not hidden but absent")
		_, err := c.Get(s.Context(), 1)
		require.NoError(s, err, "reading shows the row")
		s.swallowed("role", role)
	})
}

func TestServerRowSecurityChecks(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		role := s.role()
		s.exec("GRANT ALL ON accounts TO " + role)
		s.exec("ALTER TABLE accounts ENABLE ROW LEVEL SECURITY")
		s.exec("CREATE POLICY p ON accounts USING (true) WITH CHECK (balance < 1000)")
		c, mine := s.client("role", role), account{ID: 1, Balance: 5000, Version: 1}
		err := c.Update(s.Context(), &mine)
		c.unchanged(err, mine, account{ID: 1, Balance: 5000, Version: 1}, "42501", dialects.Rejected, nil)
		mine.Balance = 999
		require.NoError(s, c.Update(s.Context(), &mine))
	})
}

// A rule without RETURNING makes the server refuse UPDATE ... RETURNING aloud,
// which is better than the silence that a DELETE meets.
func TestServerRuleSwallows(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.exec("CREATE RULE quiet_update AS ON UPDATE TO accounts DO INSTEAD NOTHING")
		s.exec("CREATE RULE quiet_delete AS ON DELETE TO accounts DO INSTEAD NOTHING")
		c, mine := s.client(), servertest.Held(1)
		err := c.Update(s.Context(), &mine)
		c.unchanged(err, mine, servertest.Held(1), "0A000", dialects.Rejected, nil)

		c = s.client()
		err = c.Delete(s.Context(), &mine)
		servertest.Refused(s, err, occ.ErrSuppressed)
		c.attempts(1)
		s.holds(servertest.Held(1))

		// A program's own statement learns that no row was affected.
		text := "UPDATE accounts SET balance = 7, version = version + 1 WHERE id = 1 AND version = 1"
		require.ErrorIs(s, c.db.Exec(s.Context(), text), occ.ErrConflict)
		s.holds(servertest.Held(1))
	})
}

// What the trigger returns is what RETURNING and the row count show, so the
// write is reported as done although the table did not change: nothing in the
// server's reply tells otherwise. The lie comes out at the next write.
func TestServerInsteadOfTriggerLies(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.exec("CREATE VIEW shown AS SELECT * FROM accounts")
		s.trigger("INSTEAD OF UPDATE OR DELETE ON shown", "RETURN NEW;")
		c := s.clientOf("shown", &occ.Options{}, s.open(s.T, s.dsn))
		mine := account{ID: 1, Balance: 7, Version: 1}
		require.NoError(s, c.Update(s.Context(), &mine))
		require.Equal(s, account{ID: 1, Balance: 7, Version: 2}, mine)
		s.holds(servertest.Held(1))
		servertest.Conflict(s, c.Update(s.Context(), &mine), servertest.Held(1))
		c.attempts(2)

		err := c.Delete(s.Context(), &account{ID: 1, Version: 1}) // NEW is NULL here
		servertest.Refused(s, err, occ.ErrSuppressed)
		s.holds(servertest.Held(1))
	})
}

func TestServerTriggerMovesVersion(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.trigger("BEFORE UPDATE ON accounts", "NEW.version := OLD.version + 5; RETURN NEW;")
		c, mine := s.client(), servertest.Held(1)
		for _, want := range []int64{6, 11, 16} {
			require.NoError(s, c.Update(s.Context(), &mine))
			require.Equal(s, want, mine.Version)
		}
		got, err := c.Mutate(s.Context(), 1, func(a *account) error { a.Balance++; return nil })
		require.NoError(s, err)
		require.Equal(s, account{ID: 1, Balance: 101, Version: 21}, got)
		s.holds(got)
		servertest.Conflict(s, c.Update(s.Context(), &mine), got)
		c.attempts(5)
	})
}
