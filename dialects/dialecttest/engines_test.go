package dialecttest_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
)

// pool opens a pool of limited size.
func pool(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db := dbtest.Open(t, driver, dsn)
	db.SetMaxOpenConns(16)
	db.SetMaxIdleConns(16)
	return db
}

func version(t testing.TB, db *sql.DB, query string) (v string) {
	t.Helper()
	require.NoError(t, db.QueryRowContext(t.Context(), query).Scan(&v))
	v, _, _ = strings.Cut(v, "-") // MariaDB adds the distribution's name
	v, _, _ = strings.Cut(v, " ")
	return v
}

// executor runs DDL over a pool.
func executor(db *sql.DB) func(context.Context, string) error {
	return func(ctx context.Context, text string) error {
		_, err := db.ExecContext(ctx, text)
		return err
	}
}

// beginner opens transactions of a pool.
func beginner(db *sql.DB, opts *sql.TxOptions) dialecttest.Begin {
	return func(ctx context.Context) (tx any, commit, rollback func() error, err error) {
		t, err := db.BeginTx(ctx, opts)
		if err != nil {
			return nil, nil, nil, err
		}
		return t, t.Commit, t.Rollback, nil
	}
}

// connBeginner opens transactions on connections that it hands out as such.
func connBeginner(db *sql.DB, begin string) dialecttest.Begin {
	return func(ctx context.Context) (tx any, commit, rollback func() error, err error) {
		c, err := db.Conn(ctx)
		if err != nil {
			return nil, nil, nil, err
		}
		done := false
		end := func(text string) func() error {
			return func() error {
				if done {
					return sql.ErrTxDone
				}
				done = true
				_, err := c.ExecContext(context.WithoutCancel(ctx), text)
				_ = c.Close()
				return err
			}
		}
		if _, err := c.ExecContext(ctx, begin); err != nil {
			_ = c.Close()
			return nil, nil, nil, err
		}
		return c, end("COMMIT"), end("ROLLBACK"), nil
	}
}

func sqliteHarness(t testing.TB) dialecttest.Harness {
	t.Helper()
	dsn := dbtest.SQLite(t)
	db := pool(t, "sqlite", dsn)
	// One connection writes at a time; more of them only wait for each other,
	// in sleeps.
	db.SetMaxOpenConns(4)
	impatient := pool(t, "sqlite", strings.Replace(dsn, "busy_timeout(5000)", "busy_timeout(20)", 1))
	require.NotEqual(t, dsn, strings.Replace(dsn, "busy_timeout(5000)", "", 1), "the DSN has changed its form")
	return dialecttest.Harness{
		Name: "sqlite/sqldb", Server: "SQLite " + version(t, db, "SELECT sqlite_version()"),
		Dialect: sqlite.New(), Transport: sqldb.New(db), Exec: executor(db),
		DDL: dialecttest.DDL{
			Quote: '`', SmallInt: "-", Bytes: "BLOB", Time: "TIMESTAMP", JSON: "TEXT", UUID: "TEXT", Identity: "INTEGER",
		},
		BeginTx: beginner(db, nil), BeginSnapshot: beginner(db, nil),
		Impatient: sqldb.New(impatient), SingleWriter: true,
		Interference: dialecttest.Interference{
			Swallow: []dialecttest.Trick{{Name: "trigger", DDL: func(table, event string) []string {
				return []string{fmt.Sprintf("CREATE TRIGGER %s_%s BEFORE %s ON %s BEGIN SELECT RAISE(IGNORE); END", table, event, event, table)}
			}}},
			Bump: func(table string) []string {
				return []string{fmt.Sprintf("CREATE TRIGGER %s_bump AFTER UPDATE ON %s "+
					"BEGIN UPDATE %s SET version = OLD.version + 2 WHERE id = NEW.id; END", table, table, table)}
			},
		},
	}
}
