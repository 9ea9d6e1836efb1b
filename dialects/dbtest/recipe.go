package dbtest

import (
	"context"
	"database/sql"
	"net"
	"net/url"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver, for Open
)

// recipe is how one engine's server is made and run.
type recipe interface {
	// setup is the command line that makes the data directory.
	setup(in *instance) []string
	// serve is the server's command line.
	serve(in *instance) []string
	// files are written into the directory before setup: name to content.
	files(in *instance) map[string]string
	// ping succeeds when the server answers on its socket.
	ping(ctx context.Context, in *instance) error
	// local and tcp are the DSNs of the server's own, empty database.
	local(in *instance) string
	tcp(in *instance) string
	// graceful and death are the signals for an orderly and an immediate end.
	graceful() syscall.Signal
	death() syscall.Signal
}

// superuser is the user that DSNs of started servers name.
const superuser = "occkit"

type postgresRecipe struct{}

func (postgresRecipe) setup(in *instance) []string {
	return []string{
		in.Setup, "-D", in.path("data"), "-U", superuser, "-E", "UTF8", "--locale=C", "-N",
		"--auth-local=trust", "--auth-host=scram-sha-256", "--pwfile=" + in.path("password"),
	}
}

func (postgresRecipe) files(in *instance) map[string]string {
	return map[string]string{"password": in.password + "\n"}
}

// serve leaves synchronous_commit and full_page_writes on: a test that kills
// the server must find its commits. Only the disk's own flush is skipped. Shared
// memory lies in files of the data directory, so that it goes away with that.
func (postgresRecipe) serve(in *instance) []string {
	return []string{
		in.Server, "-D", in.path("data"), "-k", in.dir, "-h", "127.0.0.1", "-p", strconv.Itoa(in.port),
		"-c", "fsync=off", "-c", "max_connections=200", "-c", "shared_buffers=64MB", "-c", "max_wal_size=256MB",
		"-c", "dynamic_shared_memory_type=mmap",
	}
}

func (r postgresRecipe) ping(ctx context.Context, in *instance) error {
	conn, err := pgx.Connect(ctx, r.local(in))
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

func (postgresRecipe) local(in *instance) string {
	q := url.Values{"host": {in.dir}, "port": {strconv.Itoa(in.port)}, "sslmode": {"disable"}}
	return "postgres://" + superuser + "@/postgres?" + q.Encode()
}

func (postgresRecipe) tcp(in *instance) string {
	return "postgres://" + superuser + ":" + in.password + "@" + in.addr() + "/postgres?sslmode=disable"
}

func (postgresRecipe) graceful() syscall.Signal { return syscall.SIGINT } // "fast": does not wait for clients
func (postgresRecipe) death() syscall.Signal    { return syscall.SIGQUIT }

// mysqlRecipe serves MariaDB and MySQL.
type mysqlRecipe struct{ mariadb bool }

func (r mysqlRecipe) setup(in *instance) []string {
	if !r.mariadb {
		return []string{in.Setup, "--no-defaults", "--initialize-insecure", "--datadir=" + in.path("data"), "--innodb-flush-method=nosync"}
	}
	return []string{
		in.Setup, "--no-defaults", "--datadir=" + in.path("data"), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--skip-name-resolve", "--innodb-flush-method=nosync",
	}
}

// files has the init file, which runs before the server answers: over TCP there
// is one user, with a password; without one root gets in by the socket, which
// is in a private directory.
func (r mysqlRecipe) files(in *instance) map[string]string {
	text := "CREATE USER IF NOT EXISTS '" + superuser + "'@'127.0.0.1' IDENTIFIED BY '" + in.password + "';\n" +
		"GRANT ALL ON *.* TO '" + superuser + "'@'127.0.0.1' WITH GRANT OPTION;\n" +
		"CREATE DATABASE IF NOT EXISTS " + superuser + ";\n"
	if r.mariadb {
		text = "DELETE FROM mysql.global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');\n" +
			"FLUSH PRIVILEGES;\n" + text
	}
	return map[string]string{"init.sql": text}
}

// serve writes the log at every commit, so that a test that kills the server
// finds its commits; only the disk's own flush is skipped.
func (r mysqlRecipe) serve(in *instance) []string {
	line := []string{
		in.Server, "--no-defaults", "--datadir=" + in.path("data"), "--socket=" + in.path("sock"),
		"--pid-file=" + in.path("pid"), "--init-file=" + in.path("init.sql"),
		"--bind-address=127.0.0.1", "--port=" + strconv.Itoa(in.port), "--skip-name-resolve",
		"--innodb-flush-log-at-trx-commit=2", "--innodb-flush-method=nosync", "--sync-binlog=0",
		"--innodb-buffer-pool-size=64M", "--loose-innodb-log-file-size=32M", "--performance-schema=OFF",
		"--max-connections=300", "--character-set-server=utf8mb4",
	}
	if !r.mariadb {
		line = append(line, "--mysqlx=OFF", "--skip-log-bin")
	}
	return line
}

// ping does not use sql.Open: the driver would log every attempt.
func (r mysqlRecipe) ping(ctx context.Context, in *instance) error {
	db, err := openMySQL(r.local(in))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	return db.PingContext(ctx)
}

func (mysqlRecipe) local(in *instance) string {
	return "root@unix(" + filepath.ToSlash(in.path("sock")) + ")/" + superuser + "?parseTime=true"
}

func (mysqlRecipe) tcp(in *instance) string {
	return superuser + ":" + in.password + "@tcp(" + in.addr() + ")/" + superuser + "?parseTime=true"
}

func (mysqlRecipe) graceful() syscall.Signal { return syscall.SIGTERM }
func (mysqlRecipe) death() syscall.Signal    { return syscall.SIGKILL }

// openMySQL opens a database whose driver logs nothing.
func openMySQL(dsn string) (*sql.DB, error) {
	config, err := mysql.ParseDSN(dsn)
	if err != nil {
		return nil, err
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func recipeOf(name string) recipe {
	if name == postgres.name {
		return postgresRecipe{}
	}
	return mysqlRecipe{mariadb: name == mariadb.name}
}

// addr is where the server listens on TCP.
func (in *instance) addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(in.port)) }
