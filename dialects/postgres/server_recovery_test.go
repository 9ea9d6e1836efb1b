package postgres_test

import (
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/occ"
)

// Regression: with more dead connections in the pool than MaxOutages, a read fails
// although the server is up. The pool is as pgxpool makes it by default.
func TestServerRestartManyIdle(t *testing.T) {
	t.Parallel()
	server := dbtest.StartPostgres(t)
	s := newScene(t, server.DSN(), openers["pgxdb"])
	p, err := pgxpool.New(t.Context(), server.DSN())
	require.NoError(t, err)
	t.Cleanup(p.Close)
	c := s.clientOf("accounts", &occ.Options{}, pgxdb.New(p))
	server.Restart()
	s.idle(c.transport, 4)
	server.Restart()
	_, err = c.Get(t.Context(), 1)
	require.NoError(t, err)
}

// Regression: dialects.Conn.Commit promises ErrRolledBack; sqldb returns nil.
func TestServerCommitAnsweredWithRollbackSQL(t *testing.T) {
	t.Parallel()
	s := newScene(t, dbtest.Postgres(t), openers["sqldb"])
	conn, err := s.open(t, s.dsn).Conn(t.Context())
	require.NoError(t, err)
	defer conn.Release(true)
	require.NoError(t, conn.Begin(t.Context(), postgres.New().Begin()))
	_, err = conn.Exec(t.Context(), "SELECT 1/0", nil)
	require.Error(t, err)
	require.ErrorIs(t, conn.Commit(t.Context()), dialects.ErrRolledBack)
}
