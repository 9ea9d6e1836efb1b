package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/occ"
)

var planRows = []row{
	{"0A000 cached plan must not change result type", TestServerPlanChanges},
	{"0A000 in a joined transaction", TestServerPlanChangesJoined},
	{"26000 prepared statement does not exist", TestServerPlanVanishes},
}

// single makes the scene's clients share one connection, on which every
// statement is prepared already, and returns the pool's way to reach it.
func (s *scene) single(transport string) (*client, *pgxpool.Pool) {
	s.Helper()
	config := poolConfig(s.T, s.dsn, nil)
	config.MaxConns = 1
	p, err := pgxpool.NewWithConfig(s.Context(), config)
	require.NoError(s, err)
	s.Cleanup(p.Close)
	var d dialects.DB = pgxdb.New(p)
	if transport == "sqldb" {
		db := stdlib.OpenDBFromPool(p)
		s.Cleanup(func() { _ = db.Close() })
		d = sqldb.New(db)
	}
	c, mine := s.clientOf("accounts", &occ.Options{}, d), servertest.Held(2)
	require.NoError(s, c.Update(s.Context(), &mine))
	require.NoError(s, c.Touch(s.Context(), &mine))
	_, err = c.Get(s.Context(), 2)
	require.NoError(s, err)
	c.errs = nil
	return c, p
}

// eachSingle runs a test with single clients of both transports.
func eachSingle(t *testing.T, test func(s *scene, c *client, p *pgxpool.Pool)) {
	t.Helper()
	for name := range openers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := onOne(t, name)
			s.exec("ALTER TABLE accounts ALTER version TYPE int")
			s.trigger("BEFORE UPDATE ON accounts", "RETURN NEW;") // so that updates return something
			c, p := s.single(name)
			test(s, c, p)
		})
	}
}

func TestServerPlanChanges(t *testing.T) {
	t.Parallel()
	eachSingle(t, func(s *scene, c *client, _ *pgxpool.Pool) {
		s.exec("ALTER TABLE accounts ALTER version TYPE bigint")
		mine := servertest.Held(1)
		require.NoError(s, c.Update(s.Context(), &mine))
		require.Equal(s, account{ID: 1, Balance: 100, Version: 2}, mine)
		judged(s, c.attempts(2)[0], "0A000", dialects.Replan, dialects.Autocommit, dialects.Retry)
		got, err := c.Get(s.Context(), 1) // its plan is stale as well
		require.NoError(s, err)
		require.Equal(s, mine, got)
		s.holds(mine)
	})
}

func TestServerPlanChangesJoined(t *testing.T) {
	t.Parallel()
	eachSingle(t, func(s *scene, c *client, _ *pgxpool.Pool) {
		s.exec("ALTER TABLE accounts ALTER version TYPE bigint")
		mine := servertest.Held(1)
		conn, repo := c.begin()
		err := repo.Update(s.Context(), &mine)
		servertest.Refused(s, err, nil)
		judged(s, err, "0A000", dialects.Replan, dialects.InTx, dialects.Retry)
		require.ErrorIs(s, repo.Update(s.Context(), &mine), occ.ErrPoisoned)
		require.NoError(s, conn.Rollback(s.Context()))

		// The whole transaction again works.
		require.NoError(s, conn.Begin(s.Context(), "BEGIN"))
		require.NoError(s, c.In(occ.Join(conn)).Update(s.Context(), &mine))
		require.NoError(s, conn.Commit(s.Context()))
		s.holds(account{ID: 1, Balance: 100, Version: 2})
	})
}

// As behind a pooler that gives each transaction another server connection.
func TestServerPlanVanishes(t *testing.T) {
	t.Parallel()
	eachSingle(t, func(s *scene, c *client, p *pgxpool.Pool) {
		forget := func() {
			conn, err := p.Acquire(s.Context())
			require.NoError(s, err)
			defer conn.Release()
			require.NoError(s, conn.Conn().PgConn().Exec(s.Context(), "DEALLOCATE ALL").Close())
		}
		forget()
		mine := servertest.Held(1)
		require.NoError(s, c.Update(s.Context(), &mine))
		judged(s, c.attempts(2)[0], "26000", dialects.Replan, dialects.Autocommit, dialects.Retry)
		forget()
		got, err := c.Get(s.Context(), 1)
		require.NoError(s, err)
		require.Equal(s, mine, got)
		s.holds(account{ID: 1, Balance: 100, Version: 2})
	})
}
