package mariadb_test

import (
	"testing"

	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

func TestSchema(t *testing.T) {
	t.Parallel()
	sqlgentest.GoldenSchema(t, mariadb.New(), "testdata/schema", sqlgentest.MySQLSchemas())
}
