package sqlite_test

import (
	"testing"

	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
	"github.com/occkit/occkit/dialects/sqlite"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	sqlgentest.Golden(t, sqlite.New(), "testdata")
}
