package dbtest

import (
	"context"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
)

// MariaDB returns the DSN of a new, empty database on a MariaDB server, for the
// driver "mysql" (go-sql-driver/mysql), with parseTime=true. The database is
// dropped when the test ends.
func MariaDB(t testing.TB) string {
	t.Helper()
	return mysqlDatabase(t, mariadb, sourceOf(t, mariadb).local)
}

// MariaDBTCP is [MariaDB] over a TCP port, for tests that put a [Proxy] in
// between; the default is a Unix socket, which is faster.
func MariaDBTCP(t testing.TB) string {
	t.Helper()
	dsn := sourceOf(t, mariadb).tcp
	requireTCP(t, mariadb, dsn)
	return mysqlDatabase(t, mariadb, dsn)
}

// MySQL is [MariaDB] on a server of Oracle's MySQL. MariaDB never stands in for
// it.
func MySQL(t testing.TB) string {
	t.Helper()
	return mysqlDatabase(t, mysqld, sourceOf(t, mysqld).local)
}

// StartMariaDB starts a MariaDB server for this test alone, with extra
// arguments for the server program ("--innodb-lock-wait-timeout=1").
// OCCKIT_MARIADB does not replace it.
func StartMariaDB(t testing.TB, args ...string) *Server {
	t.Helper()
	return startServer(t, mariadb, args)
}

func mysqlDatabase(t testing.TB, e engine, dsn string) string {
	t.Helper()
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		t.Fatalf("dbtest: %s is not a DSN of go-sql-driver/mysql", e.env())
	}
	name := randomName()
	if err := mysqlRun(t.Context(), dsn, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("dbtest: %s: create a database: %v", e.name, err)
	}
	t.Cleanup(func() {
		ctx, cancel := later()
		defer cancel()
		wait := fmt.Sprintf("SET SESSION lock_wait_timeout = %d", int(dropTimeout.Seconds()))
		if err := mysqlRun(ctx, dsn, wait, "DROP DATABASE "+name); err != nil {
			t.Errorf("dbtest: %s: drop the database (is a transaction still open?): %v", e.name, err)
		}
	})
	config.DBName = name
	config.ParseTime = true
	return config.FormatDSN()
}

// mysqlRun runs statements on one connection.
func mysqlRun(ctx context.Context, dsn string, statements ...string) error {
	db, err := openMySQL(dsn)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for _, text := range statements {
		if _, err := conn.ExecContext(ctx, text); err != nil {
			return err
		}
	}
	return nil
}
