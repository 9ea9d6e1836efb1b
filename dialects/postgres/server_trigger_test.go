package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/postgres"
)

// Tables on which something could move the version are told from those where
// nothing can.
func TestTriggerCheck(t *testing.T) {
	t.Parallel()
	const (
		function = "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
		moves    = true
	)
	for name, c := range map[string]struct {
		ddl  string
		want bool
	}{
		"nothing":            {"SELECT 1", !moves},
		"after":              {function + "CREATE TRIGGER t AFTER UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION f()", !moves},
		"before insert":      {function + "CREATE TRIGGER t BEFORE INSERT ON accounts FOR EACH ROW EXECUTE FUNCTION f()", !moves},
		"before statement":   {function + "CREATE TRIGGER t BEFORE UPDATE ON accounts EXECUTE FUNCTION f()", !moves},
		"foreign key":        {"CREATE TABLE child (id bigint REFERENCES accounts)", !moves},
		"before":             {function + "CREATE TRIGGER t BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION f()", moves},
		"before of a column": {function + "CREATE TRIGGER t BEFORE INSERT OR UPDATE OF balance ON accounts FOR EACH ROW EXECUTE FUNCTION f()", moves},
		"disabled":           {function + "CREATE TRIGGER t BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION f(); ALTER TABLE accounts DISABLE TRIGGER t", moves},
		"rule":               {"CREATE RULE r AS ON UPDATE TO accounts DO ALSO SELECT 1", moves},
		"child":              {"CREATE TABLE child () INHERITS (accounts)", moves},
		"view":               {"ALTER TABLE accounts RENAME TO stored; CREATE VIEW accounts AS SELECT * FROM stored", moves},
		"partitions":         {"DROP TABLE accounts; CREATE TABLE accounts (id bigint PRIMARY KEY) PARTITION BY HASH (id)", moves},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, dbtest.Postgres(t), openers["pgxdb"])
			s.exec(c.ddl)
			text, args, err := postgres.New().TriggerCheck(&dialects.Table{Name: "accounts"})
			require.NoError(t, err)
			require.Equal(t, c.want, value[bool](s, text, args...))
		})
	}
}

// A trigger that is created after the question, and moves the version, makes the next
// write of the row a conflict: nothing is overwritten.
func TestServerTriggerComesLate(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		c, mine := s.client(), servertest.Held(1)
		require.NoError(s, c.Update(s.Context(), &mine))
		require.EqualValues(s, 2, mine.Version)
		s.trigger("BEFORE UPDATE ON accounts", "NEW.version := OLD.version + 5; RETURN NEW;")
		mine.Balance = 7
		require.NoError(s, c.Update(s.Context(), &mine))
		current := account{ID: 1, Balance: 7, Version: 7}
		s.holds(current)
		mine.Balance = 8
		servertest.Conflict(s, c.Update(s.Context(), &mine), current)
		s.holds(current)
		got, err := c.Mutate(s.Context(), 1, func(a *account) error { a.Balance++; return nil })
		require.NoError(s, err)
		s.holds(account{ID: 1, Balance: 8, Version: 12})
		require.EqualValues(s, 8, got.Balance)
	})
}
