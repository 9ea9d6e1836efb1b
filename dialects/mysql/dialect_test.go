package mysql_test

import (
	"testing"

	"github.com/occkit/occkit/dialects/mysql"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	sqlgentest.Golden(t, mysql.New(), "testdata")
}
