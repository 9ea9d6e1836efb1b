package dbtest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
)

// Postgres returns the DSN of a new, empty schema on a PostgreSQL server, for
// pgx and for database/sql's "pgx" driver. The DSN makes the schema the
// search_path; it is dropped when the test ends. Of several installed versions
// it is the newest one.
func Postgres(t testing.TB) string {
	t.Helper()
	return postgresSchema(t, sourceOf(t, postgres).local)
}

// PostgresTCP is [Postgres] over a TCP port, for tests that put a [Proxy] in
// between; the default is a Unix socket, which is faster.
func PostgresTCP(t testing.TB) string {
	t.Helper()
	dsn := sourceOf(t, postgres).tcp
	requireTCP(t, postgres, dsn)
	return postgresSchema(t, dsn)
}

// EachPostgres runs a subtest with a DSN as [Postgres] returns it for the
// oldest and for the newest PostgreSQL that can be had. The subtests are named
// by the server's version, such as "pg15.18". OCCKIT_POSTGRES leaves that
// server alone.
func EachPostgres(t *testing.T, run func(t *testing.T, dsn string)) {
	t.Helper()
	if dsn := os.Getenv(postgres.env()); dsn != "" {
		t.Run("pg"+postgresVersion(t, dsn), func(t *testing.T) { run(t, Postgres(t)) })
		return
	}
	all := startable(t, postgres)
	if len(all) > 1 {
		all = []Installation{all[0], all[len(all)-1]}
	}
	for _, installation := range all {
		t.Run("pg"+installation.Version, func(t *testing.T) {
			run(t, postgresSchema(t, sourceFrom(t, installation).local))
		})
	}
}

// StartPostgres starts a server of the newest installed PostgreSQL for this
// test alone, with extra arguments for the server program ("-c",
// "deadlock_timeout=50ms"). OCCKIT_POSTGRES does not replace it.
func StartPostgres(t testing.TB, args ...string) *Server {
	t.Helper()
	return startServer(t, postgres, args)
}

func postgresSchema(t testing.TB, dsn string) string {
	t.Helper()
	schema := randomName()
	if err := postgresRun(t.Context(), dsn, "CREATE SCHEMA "+schema); err != nil {
		t.Fatalf("dbtest: postgres: create a schema: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := later()
		defer cancel()
		drop := fmt.Sprintf("SET lock_timeout = %d; DROP SCHEMA %s CASCADE", dropTimeout.Milliseconds(), schema)
		if err := postgresRun(ctx, dsn, drop); err != nil {
			t.Errorf("dbtest: postgres: drop the schema (is a transaction still open?): %v", err)
		}
	})
	return withSearchPath(dsn, schema)
}

func postgresRun(ctx context.Context, dsn, text string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, text, pgx.QueryExecModeSimpleProtocol)
	closeErr := conn.Close(ctx)
	if err == nil {
		err = closeErr
	}
	return err
}

// postgresVersion asks the server; a distribution's addition is cut off.
func postgresVersion(t testing.TB, dsn string) string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatalf("dbtest: postgres: %v", err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	version, _, _ := strings.Cut(conn.PgConn().ParameterStatus("server_version"), " ")
	return version
}
