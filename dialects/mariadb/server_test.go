package mariadb_test

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// row is a line of the table of errors, and the test that provokes it on a real
// server. Each of the files server_*_test.go begins with its own lines.
type row struct {
	line string
	test func(*testing.T)
}

// leftOut are the lines of MariaDB that were reproduced once and have no test
// here, and why.
var leftOut = []struct{ line, why string }{
	{"finding 3: most ambiguous commits had been applied", "a frequency; bench/ measures it"},
	{"finding 5: a ledger resolves every ambiguous commit", "resolving ambiguous writes is not built yet"},
	{"finding 7, 1180, 1047 WSREP, 1213 of certification", "need a Galera cluster"},
	{"finding 8: checked writes alone do not stop write skew", "units of several rows are not built yet"},
	{"hazard 31: DDL in a unit, MyISAM", "units of several rows are not built yet"},
	{"3572, 3101, 3100, 3024", "MySQL's own numbers; see dialects/mysql"},
}

// TestServerCoverage prints which line is held by which test.
func TestServerCoverage(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	lines := 0
	for _, file := range [][]row{conflictRows, refusedRows, sessionRows, lostRows} {
		for _, r := range file {
			name := runtime.FuncForPC(reflect.ValueOf(r.test).Pointer()).Name()
			name = name[strings.LastIndex(name, ".")+1:]
			require.True(t, strings.HasPrefix(name, "TestServer"), name)
			tests[name] = true
			lines++
			t.Logf("%-82s %s", r.line, name)
		}
	}
	for _, l := range leftOut {
		t.Logf("%-82s left out: %s", l.line, l.why)
	}
	t.Logf("mariadb: %d lines provoked on a real server by %d tests, %d left out", lines, len(tests), len(leftOut))
}
