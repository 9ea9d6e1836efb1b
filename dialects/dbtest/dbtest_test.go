package dbtest_test

import (
	"database/sql"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
)

// The MySQL driver tells about every lost connection on standard error.
func init() { _ = mysql.SetLogger(&mysql.NopLogger{}) }

// namespaces are the ways to get one: what it is, its driver, how to list the
// tables in it.
var namespaces = []struct {
	name, driver, tables string
	open                 func(testing.TB) string
}{
	{"postgres", "pgx", "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()", dbtest.Postgres},
	{"postgres tcp", "pgx", "SELECT count(*) FROM pg_tables WHERE schemaname = current_schema()", dbtest.PostgresTCP},
	{"mariadb", "mysql", "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()", dbtest.MariaDB},
	{"mariadb tcp", "mysql", "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()", dbtest.MariaDBTCP},
	{"mysql", "mysql", "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()", dbtest.MySQL},
	{"sqlite", "sqlite", "SELECT count(*) FROM sqlite_master WHERE type = 'table'", dbtest.SQLite},
}

func count(t *testing.T, db *sql.DB, query string) (n int) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&n))
	return n
}

func execute(t *testing.T, db *sql.DB, statements ...string) {
	t.Helper()
	for _, text := range statements {
		_, err := db.ExecContext(t.Context(), text)
		require.NoError(t, err, text)
	}
}

func TestNamespacesAreEmptyAndApart(t *testing.T) {
	t.Parallel()
	for _, ns := range namespaces {
		t.Run(ns.name, func(t *testing.T) {
			t.Parallel()
			one, two := ns.open(t), ns.open(t)
			require.NotEqual(t, one, two)
			first, second := dbtest.Open(t, ns.driver, one), dbtest.Open(t, ns.driver, two)
			require.Zero(t, count(t, first, ns.tables))
			execute(t, first, "CREATE TABLE a (id int PRIMARY KEY)", "CREATE TABLE b (id int PRIMARY KEY)")
			require.Equal(t, 2, count(t, first, ns.tables))
			require.Zero(t, count(t, second, ns.tables), "another test's tables are visible")
			execute(t, second, "CREATE TABLE a (id varchar(9) PRIMARY KEY)")
		})
	}
}

func TestNamespaceEndsWithItsTest(t *testing.T) {
	t.Parallel()
	postgres := dbtest.Open(t, "pgx", dbtest.Postgres(t))
	mariadb := dbtest.Open(t, "mysql", dbtest.MariaDB(t))
	var schema, database string
	t.Run("inner", func(t *testing.T) {
		pg := dbtest.Open(t, "pgx", dbtest.Postgres(t))
		execute(t, pg, "CREATE TABLE a (id int)")
		require.NoError(t, pg.QueryRowContext(t.Context(), "SELECT current_schema()").Scan(&schema))
		maria := dbtest.Open(t, "mysql", dbtest.MariaDB(t))
		execute(t, maria, "CREATE TABLE a (id int)")
		require.NoError(t, maria.QueryRowContext(t.Context(), "SELECT database()").Scan(&database))
	})
	require.NotEmpty(t, schema)
	require.NotEmpty(t, database)
	require.Zero(t, count(t, postgres, "SELECT count(*) FROM pg_namespace WHERE nspname = '"+schema+"'"))
	require.Zero(t, count(t, mariadb, "SELECT count(*) FROM information_schema.schemata WHERE schema_name = '"+database+"'"))
}

func TestSQLitePragmas(t *testing.T) {
	t.Parallel()
	db := dbtest.Open(t, "sqlite", dbtest.SQLite(t))
	for pragma, want := range map[string]string{
		"journal_mode": "wal", "busy_timeout": "5000", "synchronous": "1", "foreign_keys": "1",
	} {
		var got string
		require.NoError(t, db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got))
		require.Equal(t, want, got, pragma)
	}
}

func TestEachPostgresNamesVersions(t *testing.T) {
	t.Parallel()
	dbtest.EachPostgres(t, func(t *testing.T, dsn string) {
		t.Parallel()
		db := dbtest.Open(t, "pgx", dsn)
		var version string
		require.NoError(t, db.QueryRowContext(t.Context(), "SHOW server_version").Scan(&version))
		name := strings.TrimPrefix(filepath.Base(t.Name()), "pg")
		require.True(t, strings.HasPrefix(version, name), "%s runs on %s", t.Name(), version)
	})
}

// child runs one test of this binary in a process of its own, with an
// environment that holds the given settings and no PATH to find servers on.
func child(t *testing.T, test string, env ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+test+"$", "-test.v")
	cmd.Env = append([]string{"HOME=/nonexistent", "TMPDIR=" + os.TempDir()}, env...)
	out, _ := cmd.CombinedOutput() // the verdict is in the text
	return string(out)
}

// TestSourcesChild is what TestSources runs; by itself it says nothing.
func TestSourcesChild(t *testing.T) {
	if os.Getenv("OCCKIT_DBTEST_CHILD") == "" {
		t.Skip("runs as a child of TestSources")
	}
	t.Log("namespace: " + dbtest.MySQL(t))
}

func TestSources(t *testing.T) {
	t.Parallel()
	const on = "OCCKIT_DBTEST_CHILD=1"
	out := child(t, "TestSourcesChild", on)
	require.Contains(t, out, "mysql: no server: set OCCKIT_MYSQL to a DSN, or install")
	require.Contains(t, out, "--- SKIP")

	out = child(t, "TestSourcesChild", on, "OCCKIT_REQUIRE=postgres,mysql")
	require.Contains(t, out, "OCCKIT_REQUIRE names mysql")
	require.Contains(t, out, "--- FAIL")

	out = child(t, "TestSourcesChild", on, "OCCKIT_MYSQL=root:sesame@oops")
	require.Contains(t, out, "OCCKIT_MYSQL is not a DSN")
	require.NotContains(t, out, "sesame")

	dsn := dbtest.MariaDB(t) // a DSN is a DSN
	out = child(t, "TestSourcesChild", on, "OCCKIT_MYSQL="+dsn)
	require.Contains(t, out, "namespace: root@unix(")
	require.Contains(t, out, "--- PASS")
}
