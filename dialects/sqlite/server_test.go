package sqlite_test

import (
	"testing"

	"github.com/occkit/occkit/dialects/dialecttest/servertest"
)

// row is a line of the table of errors, and the test that provokes it on real
// files. Each of the files server_*_test.go begins with its own lines.
type row struct {
	Line string
	Test func(*testing.T)
}

// leftOut are lines of SQLite that have no test here, and why.
var leftOut = []struct{ Line, Why string }{
	{"a lost reply", "the engine is in the process: there is none"},
	{"6 LOCKED, 262 LOCKED_SHAREDCACHE", "a shared cache is not a supported setup"},
	{"7 NOMEM, 10 IOERR, 11 CORRUPT, 26 NOTADB, 261 BUSY_RECOVERY", "not marked as reproduced; classified from the documentation"},
}

// TestServerCoverage prints which line is held by which test.
func TestServerCoverage(t *testing.T) {
	t.Parallel()
	servertest.Coverage(t, "sqlite", leftOut, busyRows, refusedRows, versionRows)
}
