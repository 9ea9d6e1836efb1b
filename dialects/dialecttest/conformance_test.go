package dialecttest_test

import (
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/sqldb"
)

func TestConformanceSQLite(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, sqliteHarness(t))
}

func TestConformancePostgresSQL(t *testing.T) {
	t.Parallel()
	dbtest.EachPostgres(t, func(t *testing.T, dsn string) {
		t.Parallel()
		dialecttest.Run(t, postgresSQLHarness(t, dsn))
	})
}

func TestConformancePostgresPGX(t *testing.T) {
	t.Parallel()
	dbtest.EachPostgres(t, func(t *testing.T, dsn string) {
		t.Parallel()
		dialecttest.Run(t, pgxHarness(t, dsn))
	})
}

func TestConformancePostgresPGXCacheDescribe(t *testing.T) {
	t.Parallel()
	dbtest.EachPostgres(t, func(t *testing.T, dsn string) {
		t.Parallel()
		dialecttest.Run(t, cacheDescribe(pgxHarness(t, dsn)))
	})
}

func TestConformanceMySQL(t *testing.T) {
	t.Parallel()
	ran := false
	t.Run("on mysql", func(t *testing.T) {
		h := mysqlOnMySQL(t)
		ran = true
		dialecttest.Run(t, h)
	})
	if !ran && !t.Failed() {
		t.Run("on mariadb", func(t *testing.T) { dialecttest.Run(t, mysqlOnMariaDB(t)) })
	}
}

func TestConformanceMariaDB(t *testing.T) {
	t.Parallel()
	dialecttest.Run(t, mariadbHarness(t))
}

// TestOneConnection runs the suite on transports of a single connection, and
// joins connections instead of transactions.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		h := sqliteHarness(t)
		dsn := dbtest.SQLite(t)
		db := pool(t, "sqlite", dsn)
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		h.Name, h.Transport, h.Exec, h.OneConnection = "sqlite/sqldb.FromConn", sqldb.FromConn(c), executor(db), true
		h.BeginTx, h.BeginSnapshot, h.Impatient = connBeginner(db, "BEGIN"), connBeginner(db, "BEGIN"), nil
		run(t, h)
	})
	t.Run("postgres sqldb", func(t *testing.T) {
		t.Parallel()
		dsn := dbtest.Postgres(t)
		h := postgresSQLHarness(t, dsn)
		db := pool(t, "pgx", dsn)
		c, err := db.Conn(t.Context())
		require.NoError(t, err)
		h.Name, h.Transport, h.OneConnection = "postgres/sqldb.FromConn", sqldb.FromConn(c), true
		h.BeginTx, h.BeginSnapshot = connBeginner(db, "BEGIN"), connBeginner(db, "BEGIN ISOLATION LEVEL REPEATABLE READ")
		run(t, h)
	})
	t.Run("postgres pgxdb", func(t *testing.T) {
		t.Parallel()
		dsn := dbtest.Postgres(t)
		h := pgxHarness(t, dsn)
		c, err := pgx.Connect(t.Context(), dsn)
		require.NoError(t, err)
		h.Name, h.Transport, h.OneConnection = "postgres/pgxdb.FromConn", pgxdb.FromConn(c), true
		run(t, h)
	})
}

// run is [dialecttest.Check] as a test: no report is written.
func run(t *testing.T, h dialecttest.Harness) {
	t.Helper()
	require.NoError(t, dialecttest.Check(t.Context(), h))
}
