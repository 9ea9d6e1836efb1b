package named

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
)

// openSQLite opens a file, or a temporary one when there is no DSN.
func openSQLite(ctx context.Context, db *Database, dsn string, _ Options) error {
	remove := func() error { return nil }
	if dsn == "" {
		dir, err := os.MkdirTemp("", "occkit-")
		if err != nil {
			return fmt.Errorf("sqlite: cannot make a temporary file: %w", err)
		}
		remove = func() error { return os.RemoveAll(dir) }
		dsn = temporaryDSN(filepath.Join(dir, "occkit.db"))
		db.DSN = dsn
	} else if err := checkFile(dsn); err != nil {
		return err
	}
	pool, err := sql.Open("sqlite", withBusyTimeout(dsn))
	if err != nil {
		_ = remove()
		return unreadable("sqlite")
	}
	// SQLite has one writer. Writers on connections of their own find it taken
	// and sleep; in the pool's queue they take turns without sleeping.
	pool.SetMaxOpenConns(1)
	db.Dialect, db.DB, db.Connections = sqlite.New(), sqldb.New(pool), 1
	db.placeholder = sqlite.New().Syntax.Placeholder
	db.close = func() error { return errors.Join(pool.Close(), remove()) }
	if err := db.readSQLite(ctx); err != nil {
		_ = db.close()
		return unreachable("sqlite", dsn, "", err)
	}
	return nil
}

// temporaryDSN has the settings of a service: readers do not block, and a
// commit survives the end of the process.
func temporaryDSN(path string) string {
	file := url.URL{Path: filepath.ToSlash(path)}
	// busy_timeout first: switching to WAL already takes a lock.
	return "file:" + file.EscapedPath() +
		"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)"
}

// withBusyTimeout lets a writer wait for a file that another process uses,
// unless the DSN says how long. Nothing else is changed about a caller's file.
func withBusyTimeout(dsn string) string {
	if strings.Contains(dsn, "_timeout") {
		return dsn
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + "_pragma=busy_timeout(10000)"
}

// checkFile refuses a file that does not exist: SQLite would make an empty one.
func checkFile(dsn string) error {
	path, _, _ := strings.Cut(dsn, "?")
	if path == ":memory:" || strings.Contains(dsn, "mode=memory") {
		return nil
	}
	if after, ok := strings.CutPrefix(path, "file:"); ok {
		u, err := url.Parse("file:" + after)
		if err != nil {
			return unreadable("sqlite")
		}
		path = u.Path
		if u.Opaque != "" {
			if path, err = url.PathUnescape(u.Opaque); err != nil {
				return unreadable("sqlite")
			}
		}
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return errors.New("sqlite: the database file of the DSN cannot be found: create it first, or give no DSN for a temporary one")
	case info.IsDir():
		return errors.New("sqlite: the DSN names a directory: name a database file, or give no DSN for a temporary one")
	}
	return nil
}

func (d *Database) readSQLite(ctx context.Context) error {
	if err := d.readText(ctx, "SELECT sqlite_version()", &d.Version); err != nil {
		return err
	}
	for _, name := range []string{"journal_mode", "synchronous", "busy_timeout", "page_size"} {
		var value string
		if err := d.readText(ctx, "PRAGMA "+name, &value); err != nil {
			return err
		}
		d.Settings[name] = value
	}
	return nil
}
