package postgres_test

import (
	"testing"

	"github.com/occkit/occkit/dialects/dialecttest/servertest"
)

// row is a line of the table of errors, and the test that provokes it on a real
// server. Each of the files server_*_test.go begins with its own lines.
type row struct {
	Line string
	Test func(*testing.T)
}

// leftOut are the lines of PostgreSQL that were reproduced once and have no test
// here, and why.
var leftOut = []struct{ Line, Why string }{
	{"finding 3: most ambiguous commits had been applied", "a frequency; bench/ measures it"},
	{"finding 4: reading the row back resolves nothing", "resolving ambiguous writes is not built yet"},
	{"finding 5: a ledger resolves every ambiguous commit", "resolving ambiguous writes is not built yet"},
	{"finding 8: checked writes alone do not stop write skew", "units do: TestWriteSkew of package occ"},
	{"57P02, 58xxx, XX000, 53100: crash, disk, corruption", "not marked as reproduced; classified from the documentation"},
}

// TestServerCoverage prints which line is held by which test.
func TestServerCoverage(t *testing.T) {
	t.Parallel()
	servertest.Coverage(t, "postgres", leftOut, conflictRows, stoppedRows, refusedRows, suppressedRows, planRows, lostRows, outageRows)
}
