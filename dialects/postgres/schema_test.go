package postgres_test

import (
	"slices"
	"testing"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

func TestSchema(t *testing.T) {
	t.Parallel()
	base := dialects.SchemaFacts{
		{Kind: "server", Name: "15.18", Value: "150018"},
		{Kind: "table", Name: "accounts", Value: "shop"},
		{Kind: "relkind", Name: "r", Value: "p"},
		{Kind: "key", Name: "id", Value: "bigint"},
	}
	with := func(more ...dialects.SchemaFact) dialects.SchemaFacts { return slices.Concat(base, more) }
	nullable := dialects.SchemaFact{Kind: "column", Name: "integer"}
	sqlgentest.GoldenSchema(t, postgres.New(), "testdata/schema", []sqlgentest.SchemaCase{
		{Name: "enforce", Facts: base},
		{Name: "strict", Table: dialects.VersionTable{Guard: dialects.GuardStrict}, Facts: base},
		{Name: "none", Table: dialects.VersionTable{Guard: dialects.GuardNone}, Facts: base},
		{Name: "token", Table: dialects.VersionTable{Kind: dialects.Token}, Facts: base},
		{Name: "legacy", Table: dialects.VersionTable{Column: "lock_version"}, Facts: with(nullable)},
		{Name: "composite", Facts: with(nullable, dialects.SchemaFact{Kind: "key", Name: "line", Value: "text"},
			dialects.SchemaFact{Kind: "nulls", Value: "some"})},
		{Name: "foreign", Facts: with(dialects.SchemaFact{Kind: "trigger", Name: "zz_occkit_version_v1", Value: "O19 shop.something0"})},
		{Name: "refused", Facts: dialects.SchemaFacts{
			{Kind: "table", Name: "accounts", Value: "shop"}, {Kind: "relkind", Name: "v", Value: "p"}, {Kind: "column", Name: "text"},
		}},
		{Name: "missing"},
	})
}
