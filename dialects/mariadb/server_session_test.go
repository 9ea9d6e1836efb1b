package mariadb_test

import (
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/occ"
)

var sessionRows = []row{
	{"non-strict sql_mode: a full version is clamped and every stale write matches", TestServerNotStrict},
	{"autocommit = 0", TestServerAutocommitOff},
	{"hazard 10: clientFoundRows both ways", TestServerFoundRows},
}

// everyCall requires that every call of a client says the same.
func (c *client) everyCall(want error, words string) {
	c.s.Helper()
	ctx, mine := c.s.Context(), servertest.Held(1)
	_, getErr := c.Get(ctx, 1)
	_, mutateErr := c.Mutate(ctx, 1, func(*account) error { return nil })
	for _, err := range []error{
		getErr, mutateErr, c.Update(ctx, &mine), c.Insert(ctx, &account{ID: 9}), c.Delete(ctx, &mine),
		c.Overwrite(ctx, &mine, "test"), c.db.Exec(ctx, "UPDATE accounts SET version = 9 WHERE id = 1"),
	} {
		require.ErrorIs(c.s, err, want)
		require.ErrorContains(c.s, err, words)
		require.NotErrorIs(c.s, err, occ.ErrAmbiguous)
	}
	require.Equal(c.s, servertest.Held(1), mine)
	c.s.holds(servertest.Held(1))
}

func TestServerNotStrict(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	lax := set("sql_mode", "''")
	s.client(lax).everyCall(occ.ErrUsage, "sql_mode")

	// What would happen otherwise.
	s.exec("CREATE TABLE small (id int PRIMARY KEY, v smallint NOT NULL)")
	s.exec("INSERT INTO small VALUES (1, 32767)")
	pool := s.pool(func(c *mysql.Config) { lax(c); c.ClientFoundRows = true })
	for range 2 {
		res, err := pool.ExecContext(s.Context(), "UPDATE small SET v = v + 1 WHERE id = 1 AND v = 32767")
		require.NoError(s, err)
		n, err := res.RowsAffected()
		require.NoError(s, err)
		require.EqualValues(s, 1, n, "the trap is gone: both stale writers used to win")
	}
}

func TestServerAutocommitOff(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.MariaDB(t))
	s.client(set("autocommit", "0")).everyCall(occ.ErrUsage, "autocommit")
}

func TestServerFoundRows(t *testing.T) {
	t.Parallel()
	for name, found := range map[string]bool{"matched": true, "changed": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, dbtest.MariaDB(t))
			c, mine := s.client(func(c *mysql.Config) { c.ClientFoundRows = found }), servertest.Held(1)
			require.NoError(s, c.Update(s.Context(), &mine), "the same values again")
			require.Equal(s, account{ID: 1, Balance: 100, Version: 2}, mine)
			require.NoError(s, c.Touch(s.Context(), &mine))
			require.NoError(s, c.Patch(s.Context(), &mine, "balance"))
			s.holds(account{ID: 1, Balance: 100, Version: 4})
			stale := servertest.Held(1)
			servertest.Conflict(s, c.Update(s.Context(), &stale), account{ID: 1, Balance: 100, Version: 4})
			_, err := c.Mutate(s.Context(), 1, func(*account) error { return nil })
			require.NoError(s, err)
			s.holds(account{ID: 1, Balance: 100, Version: 5})
			c.attempts(5)
		})
	}
}
