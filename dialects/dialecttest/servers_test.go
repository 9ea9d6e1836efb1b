package dialecttest_test

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/mysql"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
)

// withSetting adds a server setting to a PostgreSQL DSN of either form.
func withSetting(dsn, setting string) string {
	if strings.HasPrefix(dsn, "postgres") {
		return dsn + "&" + setting
	}
	return dsn + " " + setting
}

// postgresHarness is what all transports to PostgreSQL share.
func postgresHarness(t testing.TB, dsn string) dialecttest.Harness {
	t.Helper()
	db := pool(t, "pgx", dsn)
	return dialecttest.Harness{
		Server:  "PostgreSQL " + version(t, db, "SHOW server_version"),
		Dialect: postgres.New(), Exec: executor(db),
		QuestionMark: `'{"a": 1}'::jsonb ?? 'a'`,
		Interference: dialecttest.Interference{
			Swallow: []dialecttest.Trick{
				{Name: "trigger", DDL: func(table, event string) []string {
					return trigger(table, event, "RETURN NULL;")
				}},
				{Name: "rule", Loud: true, DDL: func(table, event string) []string {
					return []string{fmt.Sprintf("CREATE RULE %s_%s AS ON %s TO %s DO INSTEAD NOTHING", table, event, event, table)}
				}},
			},
			Bump: func(table string) []string {
				return trigger(table, "UPDATE", "NEW.version := OLD.version + 2; RETURN NEW;")
			},
			BumpReturned: true,
			Transient: func(table string) []string {
				return trigger(table, "UPDATE", "RAISE EXCEPTION 'not now' USING ERRCODE = 'serialization_failure';")
			},
		},
	}
}

// trigger is a row trigger before an event.
func trigger(table, event, body string) []string {
	return []string{
		fmt.Sprintf("CREATE FUNCTION %s_f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN %s END $$", table, body),
		fmt.Sprintf("CREATE TRIGGER t BEFORE %s ON %s FOR EACH ROW EXECUTE FUNCTION %s_f()", event, table, table),
	}
}

func postgresSQLHarness(t testing.TB, dsn string) dialecttest.Harness {
	t.Helper()
	h := postgresHarness(t, dsn)
	db := pool(t, "pgx", dsn)
	h.Name, h.Transport = "postgres/sqldb", sqldb.New(db)
	h.BeginTx = beginner(db, nil)
	h.BeginSnapshot = beginner(db, &sql.TxOptions{Isolation: sql.LevelRepeatableRead})
	h.Impatient = sqldb.New(pool(t, "pgx", withSetting(dsn, "lock_timeout=50")))
	return h
}

// pgxPool opens a native pool.
func pgxPool(t testing.TB, dsn string) *pgxpool.Pool {
	t.Helper()
	config, err := pgxpool.ParseConfig(dsn)
	require.NoError(t, err)
	config.MaxConns = 16
	p, err := pgxpool.NewWithConfig(context.WithoutCancel(t.Context()), config)
	require.NoError(t, err)
	t.Cleanup(p.Close)
	return p
}

func pgxBeginner(p *pgxpool.Pool, opts pgx.TxOptions) dialecttest.Begin {
	return func(ctx context.Context) (tx any, commit, rollback func() error, err error) {
		t, err := p.BeginTx(ctx, opts)
		if err != nil {
			return nil, nil, nil, err
		}
		return t, func() error { return t.Commit(ctx) }, func() error { return t.Rollback(context.WithoutCancel(ctx)) }, nil
	}
}

func pgxHarness(t testing.TB, dsn string) dialecttest.Harness {
	t.Helper()
	h := postgresHarness(t, dsn)
	p := pgxPool(t, dsn)
	h.Name, h.Transport = "postgres/pgxdb", pgxdb.New(p)
	h.BeginTx = pgxBeginner(p, pgx.TxOptions{})
	h.BeginSnapshot = pgxBeginner(p, pgx.TxOptions{IsoLevel: pgx.RepeatableRead})
	h.Impatient = pgxdb.New(pgxPool(t, withSetting(dsn, "lock_timeout=50")))
	return h
}

// cacheDescribe is the mode for poolers such as pgbouncer.
func cacheDescribe(h dialecttest.Harness) dialecttest.Harness {
	h.Name += " (cache_describe)"
	h.Transport = h.Transport.(*pgxdb.DB).WithExecMode(pgx.QueryExecModeCacheDescribe)
	h.Impatient = h.Impatient.(*pgxdb.DB).WithExecMode(pgx.QueryExecModeCacheDescribe)
	return h
}

// mysqlHarness is what the dialects of MySQL's family share.
func mysqlHarness(t testing.TB, dsn string) dialecttest.Harness {
	t.Helper()
	db := pool(t, "mysql", dsn)
	before := func(table, event, body string) []string {
		return []string{fmt.Sprintf("CREATE TRIGGER %s_t BEFORE %s ON %s FOR EACH ROW %s", table, event, table, body)}
	}
	return dialecttest.Harness{
		Transport: sqldb.New(db), Exec: executor(db),
		DDL: dialecttest.DDL{
			Quote: '`', Bytes: "LONGBLOB", Time: "DATETIME(6)", JSON: "JSON", UUID: "CHAR(36)", Identity: "BIGINT AUTO_INCREMENT",
		},
		BeginTx:       beginner(db, nil),
		BeginSnapshot: beginner(db, &sql.TxOptions{Isolation: sql.LevelRepeatableRead}),
		Impatient:     sqldb.New(pool(t, "mysql", dsn+"&innodb_lock_wait_timeout=1")),
		Interference: dialecttest.Interference{
			Bump: func(table string) []string { return before(table, "UPDATE", "SET NEW.version = OLD.version + 2") },
			Transient: func(table string) []string {
				return before(table, "UPDATE", "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'not now'")
			},
		},
	}
}

func mariadbHarness(t testing.TB) dialecttest.Harness {
	t.Helper()
	dsn := dbtest.MariaDB(t)
	h := mysqlHarness(t, dsn)
	h.Name, h.Dialect = "mariadb/sqldb", mariadb.New()
	h.Server = "MariaDB " + version(t, pool(t, "mysql", dsn), "SELECT version()")
	return h
}

// mysqlOnMySQL skips the test where there is no MySQL.
func mysqlOnMySQL(t testing.TB) dialecttest.Harness {
	t.Helper()
	dsn := dbtest.MySQL(t)
	h := mysqlHarness(t, dsn)
	h.Name, h.Dialect = "mysql/sqldb", mysql.New()
	h.Server = "MySQL " + version(t, pool(t, "mysql", dsn), "SELECT version()")
	return h
}

// mysqlOnMariaDB is the best that can be had without a MySQL, and says so.
func mysqlOnMariaDB(t testing.TB) dialecttest.Harness {
	t.Helper()
	h := mariadbHarness(t)
	h.Name, h.Dialect = "mysql/sqldb", mysql.New()
	h.Note = "mysql dialect on MariaDB, not run on MySQL"
	// FOR SHARE and VALUES ROW are MySQL's alone.
	h.Foreign = []string{"units/write-skew", "units/absent", "units/gone", "units/stale", "bulk", "suppression/bump-many-read-back"}
	t.Log(h.Note)
	return h
}
