package migrations_test

import (
	"database/sql"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/migrations"
)

// engine is a database that tests run on.
type engine struct {
	name, driver string
	dsn          func(testing.TB) string
	dialect      dialects.Dialect
	// series selects the numbers from 1 to %d as column g.
	series string
}

func engines() []engine {
	const recursive = "(WITH RECURSIVE s(g) AS (SELECT 1 UNION ALL SELECT g + 1 FROM s WHERE g < %d) SELECT g FROM s) AS s"
	return []engine{
		{"sqlite", "sqlite", dbtest.SQLite, sqlite.New(), recursive},
		{"postgres", "pgx", dbtest.Postgres, postgres.New(), "generate_series(1, %d) AS s(g)"},
		{"mariadb", "mysql", dbtest.MariaDB, mariadb.New(), "(SELECT seq AS g FROM seq_1_to_%d) AS s"},
	}
}

func engineNamed(name string) engine {
	for _, e := range engines() {
		if e.name == name {
			return e
		}
	}
	panic(name)
}

// onEach runs a subtest on every engine.
func onEach(t *testing.T, run func(r *rig)) {
	t.Helper()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			run(newRig(t, e))
		})
	}
}

// rig is a database of one test.
type rig struct {
	*testing.T
	engine
	url string
	db  *sql.DB
}

func newRig(t *testing.T, e engine) *rig {
	t.Helper()
	r := &rig{T: t, engine: e, url: e.dsn(t)}
	r.db = dbtest.Open(t, e.driver, r.url)
	return r
}

func (r *rig) exec(format string, args ...any) {
	r.Helper()
	text := format
	if len(args) > 0 {
		text = fmt.Sprintf(format, args...)
	}
	_, err := r.db.ExecContext(r.Context(), text)
	require.NoError(r, err, text)
}

func (r *rig) int(format string, args ...any) int64 {
	r.Helper()
	var n int64
	require.NoError(r, r.db.QueryRowContext(r.Context(), fmt.Sprintf(format, args...)).Scan(&n), format)
	return n
}

func (r *rig) migrator(o *migrations.Options) *migrations.Migrator {
	r.Helper()
	m, err := migrations.New(sqldb.New(r.db), r.dialect, o)
	require.NoError(r, err)
	return m
}

func (r *rig) apply(tables ...migrations.Table) []migrations.Applied {
	r.Helper()
	done, err := r.migrator(nil).Apply(r.Context(), tables)
	require.NoError(r, err)
	return done
}

// verified requires that verify finds nothing, and that it tried the guard.
func (r *rig) verified(t migrations.Table) {
	r.Helper()
	reports, err := r.migrator(nil).Verify(r.Context(), []migrations.Table{t}, migrations.VerifyOptions{})
	require.NoError(r, err)
	require.Len(r, reports, 1)
	require.Empty(r, reports[0].Findings)
	require.Equal(r, t.Guard != dialects.GuardNone, reports[0].Probed, reports[0].Why)
}

// codes are the codes of the findings of a plan.
func (r *rig) codes(t migrations.Table) (refused, noted []string) {
	r.Helper()
	plan, err := r.migrator(nil).Plan(r.Context(), []migrations.Table{t})
	require.NoError(r, err)
	for _, f := range plan.Tables[0].Findings {
		require.NotEmpty(r, f.Text)
		require.NotEmpty(r, f.Remedy, "every finding says what to do")
		if f.Refuse {
			refused = append(refused, f.Code)
		} else {
			noted = append(noted, f.Code)
		}
	}
	return refused, noted
}

// fresh makes a table without a version column, legacy one with a column that
// may be NULL and mostly is.
func (r *rig) fresh(rows int) {
	r.exec("CREATE TABLE accounts (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)")
	r.fill("accounts (id, n)", "g, 0", rows)
}

func (r *rig) legacy(rows int) {
	r.exec("CREATE TABLE accounts (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, lock_version INT)")
	r.fill("accounts (id, n, lock_version)", "g, 0, CASE WHEN g % 5 = 0 THEN 3 END", rows)
}

func (r *rig) fill(into, values string, rows int) {
	if rows > 0 {
		r.exec("INSERT INTO %s SELECT %s FROM %s", into, values, strings.Replace(r.series, "%d", fmt.Sprint(rows), 1))
	}
}

var (
	freshTable  = migrations.Table{Name: "accounts"}
	legacyTable = migrations.Table{Name: "accounts", Column: "lock_version"}
)

// full is whether long tests run at full length.
func full() bool { return os.Getenv("OCCKIT_FULL") != "" }

// pick returns the short or the full length.
func pick(short, long int) int {
	if full() {
		return long
	}
	return short
}
