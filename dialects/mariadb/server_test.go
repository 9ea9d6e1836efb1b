package mariadb_test

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

// leftOut are the lines of MariaDB that were reproduced once and have no test
// here, and why.
var leftOut = []struct{ Line, Why string }{
	{"finding 3: most ambiguous commits had been applied", "a frequency; bench/ measures it"},
	{"finding 5: a ledger resolves every ambiguous commit", "resolving ambiguous writes is not built yet"},
	{"finding 7, 1180, 1047 WSREP, 1213 of certification", "need a Galera cluster"},
	{"finding 8: checked writes alone do not stop write skew", "units do: TestWriteSkew of package occ"},
	{"hazard 31: DDL in a unit, MyISAM", "Tx.Exec says what does not belong into a unit; nothing detects it"},
	{"3572, 3101, 3100, 3024", "MySQL's own numbers; see dialects/mysql"},
}

// TestServerCoverage prints which line is held by which test.
func TestServerCoverage(t *testing.T) {
	t.Parallel()
	servertest.Coverage(t, "mariadb", leftOut, conflictRows, refusedRows, sessionRows, lostRows)
}
