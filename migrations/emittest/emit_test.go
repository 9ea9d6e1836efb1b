package emittest

import (
	"context"
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	migratemysql "github.com/golang-migrate/migrate/v4/database/mysql"
	migratepgx "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	migratesqlite "github.com/golang-migrate/migrate/v4/database/sqlite"
	_ "github.com/golang-migrate/migrate/v4/source/file"
	"github.com/pressly/goose/v3"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/migrations"
)

type engine struct {
	name, driver string
	dsn          func(testing.TB) string
	dialect      dialects.Dialect
	goose        goose.Dialect
	migrate      func(*sql.DB) (database.Driver, error)
}

func engines() []engine {
	multi := func(t testing.TB) string { return dbtest.MariaDB(t) + "&multiStatements=true" }
	return []engine{
		{"postgres", "pgx", dbtest.Postgres, postgres.New(), goose.DialectPostgres, func(db *sql.DB) (database.Driver, error) {
			return migratepgx.WithInstance(db, &migratepgx.Config{})
		}},
		{"mariadb", "mysql", multi, mariadb.New(), goose.DialectMySQL, func(db *sql.DB) (database.Driver, error) {
			return migratemysql.WithInstance(db, &migratemysql.Config{})
		}},
		{"sqlite", "sqlite", dbtest.SQLite, sqlite.New(), goose.DialectSQLite3, func(db *sql.DB) (database.Driver, error) {
			return migratesqlite.WithInstance(db, &migratesqlite.Config{})
		}},
	}
}

// scene is a table of one test, and the files that were emitted for it.
type scene struct {
	*testing.T
	engine
	url    string
	db     *sql.DB
	table  migrations.Table
	column string
	dir    string
}

func newScene(t *testing.T, e engine, format migrations.Format, legacy bool, kind dialects.VersionKind) *scene {
	t.Helper()
	s := &scene{T: t, engine: e, url: e.dsn(t), table: migrations.Table{Name: "acct", Kind: kind}, column: "version", dir: t.TempDir()}
	s.db = dbtest.Open(t, e.driver, s.url)
	extra := ""
	if legacy {
		s.table.Column, s.column, extra = "lock_version", "lock_version", ", lock_version BIGINT"
	}
	s.exec("CREATE TABLE acct (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL" + extra + ")")
	s.exec("INSERT INTO acct (id, n) VALUES (1, 0), (2, 0)")
	files := s.emit(format)
	for _, f := range files {
		require.NoError(t, os.WriteFile(filepath.Join(s.dir, f.Name), []byte(f.Text), 0o600))
	}
	return s
}

func (s *scene) migrator() *migrations.Migrator {
	m, err := migrations.New(sqldb.New(s.db), s.dialect, &migrations.Options{NoHistory: true})
	require.NoError(s, err)
	return m
}

func (s *scene) emit(format migrations.Format) []migrations.File {
	files, err := s.migrator().Emit(s.Context(), []migrations.Table{s.table}, format, "20261125120000")
	require.NoError(s, err)
	return files
}

func (s *scene) exec(text string) {
	s.Helper()
	_, err := s.db.ExecContext(s.Context(), text)
	require.NoError(s, err, text)
}

// up requires that the table is what apply would have made of it.
func (s *scene) up() {
	s.Helper()
	plan, err := s.migrator().Plan(s.Context(), []migrations.Table{s.table})
	require.NoError(s, err)
	require.Equal(s, migrations.Nothing, plan.Verdict(), "%+v", plan.Tables[0].Steps)
	reports, err := s.migrator().Verify(s.Context(), []migrations.Table{s.table}, migrations.VerifyOptions{})
	require.NoError(s, err)
	require.Empty(s, reports[0].Findings)
	require.True(s, reports[0].Probed)
}

// down requires that no guard is left, and no column that was not there before.
func (s *scene) down() {
	s.Helper()
	s.exec("UPDATE acct SET n = n + 1")
	status, err := s.migrator().Status(s.Context(), []migrations.Table{s.table})
	require.NoError(s, err)
	require.Equal(s, dialects.GuardMissing, status[0].Guard)
	require.Equal(s, s.column == "lock_version", status[0].Column != nil)
}

func eachCase(t *testing.T, format migrations.Format, run func(*scene)) {
	for _, e := range engines() {
		for name, c := range map[string]struct {
			legacy bool
			kind   dialects.VersionKind
		}{"fresh": {}, "legacy": {legacy: true}, "token": {kind: dialects.Token}} {
			t.Run(e.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				run(newScene(t, e, format, c.legacy, c.kind))
			})
		}
	}
}

func TestGoose(t *testing.T) {
	t.Parallel()
	eachCase(t, migrations.Goose, func(s *scene) {
		p, err := goose.NewProvider(s.goose, s.db, os.DirFS(s.dir))
		require.NoError(s, err)
		for range 2 {
			_, err = p.Up(s.Context())
			require.NoError(s, err)
			s.up()
			_, err = p.DownTo(s.Context(), 0)
			require.NoError(s, err)
			s.down()
		}
	})
}

func TestGolangMigrate(t *testing.T) {
	t.Parallel()
	eachCase(t, migrations.GolangMigrate, func(s *scene) {
		driver, err := s.migrate(dbtest.Open(s, s.driver, s.url))
		require.NoError(s, err)
		m, err := migrate.NewWithDatabaseInstance("file://"+filepath.ToSlash(s.dir), s.name, driver)
		require.NoError(s, err)
		for range 2 {
			require.NoError(s, m.Up())
			s.up()
			require.NoError(s, m.Down())
			s.down()
		}
	})
}

// The files of plain SQL, run as one text each; PostgreSQL and MariaDB take them
// twice.
func TestPlainSQL(t *testing.T) {
	t.Parallel()
	eachCase(t, migrations.SQL, func(s *scene) {
		run := func(suffix string) {
			names, err := filepath.Glob(filepath.Join(s.dir, "*."+suffix+".sql"))
			require.NoError(s, err)
			for _, name := range names {
				text, err := os.ReadFile(name)
				require.NoError(s, err)
				plain := strings.ReplaceAll(strings.ReplaceAll(string(text), "DELIMITER //\n", ""), "DELIMITER ;\n", "")
				s.exec(strings.ReplaceAll(plain, "END//", "END;"))
			}
		}
		run("up")
		s.up()
		if s.name != "sqlite" {
			run("up")
			s.up()
		}
		run("down")
		s.down()
	})
}

// The same table gives the same bytes before and after it was changed.
func TestByteStable(t *testing.T) {
	t.Parallel()
	for _, format := range migrations.Formats() {
		for _, e := range engines() {
			t.Run(format+"/"+e.name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, e, migrations.Format(format), false, dialects.Counter)
				before := s.emit(migrations.Format(format))
				require.Equal(t, before, s.emit(migrations.Format(format)))
				_, err := s.migrator().Apply(t.Context(), []migrations.Table{s.table})
				require.NoError(t, err)
				require.Equal(t, before, s.emit(migrations.Format(format)))
			})
		}
	}
}

// A migration of goose in Go runs apply instead of a file.
func TestGooseRunsApply(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, e, migrations.Goose, true, dialects.Counter)
			apply := &goose.GoFunc{RunDB: func(ctx context.Context, db *sql.DB) error {
				m, err := migrations.New(sqldb.New(db), s.dialect, nil)
				if err == nil {
					_, err = m.Apply(ctx, []migrations.Table{s.table})
				}
				return err
			}}
			p, err := goose.NewProvider(e.goose, s.db, nil, goose.WithGoMigrations(goose.NewGoMigration(20261123000100, apply, nil)))
			require.NoError(t, err)
			_, err = p.Up(t.Context())
			require.NoError(t, err)
			s.up()
		})
	}
}
