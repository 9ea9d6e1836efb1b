package sqlite_test

import (
	"slices"
	"testing"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
	"github.com/occkit/occkit/dialects/sqlite"
)

func TestSchema(t *testing.T) {
	t.Parallel()
	base := dialects.SchemaFacts{
		{Kind: "server", Name: "3.54.1"},
		{Kind: "table", Name: "accounts", Value: "table"},
		{Kind: "key", Name: "id", Value: "INTEGER"},
	}
	with := func(more ...dialects.SchemaFact) dialects.SchemaFacts { return slices.Concat(base, more) }
	nullable := dialects.SchemaFact{Kind: "column", Name: "Version", Value: "INT"}
	line := dialects.SchemaFact{Kind: "key", Name: "line", Value: "TEXT"}
	sqlgentest.GoldenSchema(t, sqlite.New(), "testdata/schema", []sqlgentest.SchemaCase{
		{Name: "enforce", Facts: base},
		{Name: "strict", Table: dialects.VersionTable{Guard: dialects.GuardStrict}, Facts: base},
		{Name: "none", Table: dialects.VersionTable{Guard: dialects.GuardNone}, Facts: base},
		{Name: "token", Table: dialects.VersionTable{Kind: dialects.Token}, Facts: base},
		{Name: "legacy", Facts: with(nullable)},
		{Name: "composite", Facts: with(nullable, line, dialects.SchemaFact{Kind: "without rowid"}, dialects.SchemaFact{Kind: "nulls", Value: "some"})},
		{Name: "foreign", Facts: with(dialects.SchemaFact{Kind: "trigger", Name: "accounts_occkit_version_bump_v1", Value: "CREATE TRIGGER ..."})},
		{Name: "refused", Facts: with(dialects.SchemaFact{
			Kind: "trigger", Name: "touch", Value: "CREATE TRIGGER touch AFTER UPDATE ON accounts BEGIN UPDATE accounts SET at = 1; END",
		})},
		{Name: "missing"},
	})
}
