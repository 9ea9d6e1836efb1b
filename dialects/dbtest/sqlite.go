package dbtest

import (
	"net/url"
	"path/filepath"
	"testing"

	_ "modernc.org/sqlite" // the "sqlite" driver, for Open
)

// SQLite returns the DSN of a new database file for the driver "sqlite"
// (modernc.org/sqlite): WAL, a busy timeout of five seconds, synchronous
// NORMAL, foreign keys on. The file goes away with the test.
func SQLite(t testing.TB) string {
	t.Helper()
	file := url.URL{Path: filepath.ToSlash(filepath.Join(t.TempDir(), "test.db"))}
	// busy_timeout first: switching to WAL already takes a lock.
	return "file:" + file.EscapedPath() + "?_pragma=busy_timeout(5000)" +
		"&_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=foreign_keys(ON)"
}
