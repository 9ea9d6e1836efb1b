// Package named turns a database's name and a DSN into a dialect and an open
// transport. It is for command lines: it links every driver, so no library
// imports it.
//
// No error of this package shows a DSN or a password.
package named

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/occkit/occkit/dialects"
)

// Options are the choices of [Open]. The zero value works.
type Options struct {
	// Connections is the size of the pool that is wished for. The pool is
	// smaller when the server allows fewer, and on SQLite, where one connection
	// is best for writing. Defaults to 16.
	Connections int
	// ConnectTimeout bounds the first connection. Defaults to 10 s.
	ConnectTimeout time.Duration
	// Dial opens the connections to the server. Defaults to what the driver does.
	// Databases without a server refuse it.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// CommitDelay makes every commit that has to be flushed take so much longer, as
	// on a slow disk. Databases that have no setting for it refuse it, and servers
	// on which it would have no effect. Defaults to nothing.
	CommitDelay time.Duration

	_ struct{} // no positional literals, so that fields may be added
}

// Database is an open database.
type Database struct {
	// Name is the name that it was opened by.
	Name string
	// DSN leads other processes to the same database. It may hold a password.
	DSN string
	// Dialect is what it speaks.
	Dialect dialects.Dialect
	// DB is the transport.
	DB dialects.DB
	// Version is the server's version.
	Version string
	// Settings are the server's settings that decide how durable and how
	// isolated commits are, by the server's own names.
	Settings map[string]string
	// Connections is the greatest number of connections that the pool opens.
	Connections int
	// Report wraps an SQL expression of an UPDATE so that its value comes back as
	// the statement's last insert id. Nil on databases that have no such way.
	Report func(expression string) string

	placeholder func(n int) string
	close       func() error
}

// entry is one database of the list.
type entry struct {
	name  string
	usage string // the form of its DSN
	open  func(ctx context.Context, db *Database, dsn string, opts Options) error

	server bool // there is a server to dial
	delays bool // it has a setting that delays commits
}

// entries is the list: whoever adds a dialect adds a line.
func entries() []entry {
	const mysqlForm = "user:password@tcp(127.0.0.1:3306)/database"
	return []entry{
		{name: "sqlite", usage: "the path of an existing database file, or nothing for a temporary one", open: openSQLite},
		{name: "postgres", usage: "postgres://user:password@127.0.0.1:5432/database", open: openPostgres, server: true, delays: true},
		{name: "mysql", usage: mysqlForm, open: openMySQL, server: true},
		{name: "mariadb", usage: mysqlForm, open: openMariaDB, server: true},
	}
}

// Names returns the names that [Open] knows.
func Names() []string {
	var names []string
	for _, e := range entries() {
		names = append(names, e.name)
	}
	return names
}

// Usage returns the form of a database's DSN, or nothing for an unknown name.
func Usage(name string) string {
	for _, e := range entries() {
		if e.name == name {
			return e.usage
		}
	}
	return ""
}

// Open opens the database of a name and makes sure that it answers. The DSN of
// sqlite may be empty: the database is then a temporary file that [Database.Close]
// removes. Options may be nil. Errors are one line and say what to do.
func Open(ctx context.Context, name, dsn string, opts *Options) (*Database, error) {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Connections <= 0 {
		o.Connections = 16
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 10 * time.Second
	}
	for _, e := range entries() {
		if e.name != name {
			continue
		}
		if err := e.able(o); err != nil {
			return nil, err
		}
		db := &Database{Name: name, DSN: dsn, Settings: map[string]string{}}
		if err := e.open(ctx, db, dsn, o); err != nil {
			return nil, err
		}
		return db, nil
	}
	return nil, fmt.Errorf("unknown database %q: choose from %s", name, strings.Join(Names(), ", "))
}

// able tells whether the database can do what the options ask for.
func (e entry) able(o Options) error {
	switch {
	case o.Dial != nil && !e.server:
		return fmt.Errorf("%s: there is no server, and no way to it that could be longer: choose another database", e.name)
	case o.CommitDelay < 0 || o.CommitDelay > maxCommitDelay || o.CommitDelay%time.Microsecond != 0:
		return fmt.Errorf("%s: a commit delay is 1us to %s, in whole microseconds, not %s", e.name, maxCommitDelay, o.CommitDelay)
	case o.CommitDelay > 0 && !e.delays:
		return fmt.Errorf("%s: it has no setting that delays commits: choose another database", e.name)
	default:
		return nil
	}
}

// Placeholder returns the placeholder of the n-th bound parameter, from 1.
func (d *Database) Placeholder(n int) string { return d.placeholder(n) }

// Exec runs a statement of the caller's own on any connection.
func (d *Database) Exec(ctx context.Context, text string, args ...any) error {
	conn, err := d.DB.Conn(ctx)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, text, args)
	conn.Release(err != nil)
	return err
}

// Query runs a query of the caller's own on any connection and passes each row
// to scan.
func (d *Database) Query(ctx context.Context, text string, args []any, scan func(row dialects.Rows) error) error {
	conn, err := d.DB.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Release(false)
	rows, err := conn.Query(ctx, text, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// Close closes the pool and removes what is temporary.
func (d *Database) Close() error { return d.close() }

// share returns how many of a server's connections a pool may have: some are
// left to others.
func share(wished, limit int) int {
	if limit <= 0 {
		return wished
	}
	return max(1, min(wished, limit*3/4))
}
