package postgres_test

import (
	"testing"

	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	sqlgentest.Golden(t, postgres.New(), "testdata")
}
