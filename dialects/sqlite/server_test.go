package sqlite_test

import (
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// row is a line of the table of errors, and the test that provokes it on real
// files. Each of the files server_*_test.go begins with its own lines.
type row struct {
	line string
	test func(*testing.T)
}

// leftOut are lines of SQLite that have no test here, and why.
var leftOut = []struct{ line, why string }{
	{"a lost reply", "the engine is in the process: there is none"},
	{"6 LOCKED, 262 LOCKED_SHAREDCACHE", "a shared cache is not a supported setup"},
	{"7 NOMEM, 10 IOERR, 11 CORRUPT, 26 NOTADB, 261 BUSY_RECOVERY", "not marked as reproduced; classified from the documentation"},
}

// TestServerCoverage prints which line is held by which test.
func TestServerCoverage(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{}
	lines := 0
	for _, file := range [][]row{busyRows, refusedRows, versionRows} {
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
	t.Logf("sqlite: %d lines provoked on real files by %d tests, %d left out", lines, len(tests), len(leftOut))
}
