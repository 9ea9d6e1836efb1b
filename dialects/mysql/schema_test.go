package mysql_test

import (
	"slices"
	"testing"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/mysql"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

func TestSchema(t *testing.T) {
	t.Parallel()
	base := dialects.SchemaFacts{
		{Kind: "server", Name: "1", Value: "a database"},
		{Kind: "table", Name: "accounts", Value: "shop"},
		{Kind: "kind", Name: "BASE TABLE", Value: "InnoDB"},
		{Kind: "key", Name: "id", Value: "bigint(20)"},
	}
	with := func(more ...dialects.SchemaFact) dialects.SchemaFacts { return slices.Concat(base, more) }
	nullable := []dialects.SchemaFact{
		{Kind: "column", Name: "Version", Value: "int(11)"}, {Kind: "nullable", Name: "YES", Value: "INVISIBLE"}, {Kind: "default", Name: "NULL", Value: "it's"},
	}
	sqlgentest.GoldenSchema(t, mysql.New(), "testdata/schema", []sqlgentest.SchemaCase{
		{Name: "enforce", Facts: base},
		{Name: "strict", Table: dialects.VersionTable{Guard: dialects.GuardStrict}, Facts: base},
		{Name: "none", Table: dialects.VersionTable{Guard: dialects.GuardNone}, Facts: base},
		{Name: "token", Table: dialects.VersionTable{Kind: dialects.Token}, Facts: base},
		{Name: "invisible", Table: dialects.VersionTable{Invisible: true}, Facts: base},
		{Name: "legacy", Facts: with(nullable...)},
		{Name: "composite", Facts: with(append(nullable, dialects.SchemaFact{Kind: "key", Name: "line", Value: "varchar(20)"},
			dialects.SchemaFact{Kind: "nulls", Value: "some"})...)},
		{Name: "foreign", Facts: with(dialects.SchemaFact{Kind: "trigger", Name: "accounts_occkit_version_v1", Value: "BEFORE UPDATE\nSET NEW.version = 3"})},
		{Name: "refused", Facts: with(dialects.SchemaFact{Kind: "rows", Name: "Compressed"}, dialects.SchemaFact{Kind: "fulltext", Name: "f"},
			dialects.SchemaFact{Kind: "versions", Value: "60"})},
		{Name: "missing"},
	})
}
