package mysql_test

import (
	"testing"

	"github.com/occkit/occkit/dialects/mysql"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

func TestSchema(t *testing.T) {
	t.Parallel()
	sqlgentest.GoldenSchema(t, mysql.New(), "testdata/schema", sqlgentest.MySQLSchemas())
}
