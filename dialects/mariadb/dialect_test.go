package mariadb_test

import (
	"testing"

	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	sqlgentest.Golden(t, mariadb.New(), "testdata")
}
