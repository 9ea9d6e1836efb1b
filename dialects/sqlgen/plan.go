package sqlgen

import (
	"fmt"
	"strconv"

	"github.com/occkit/occkit/dialects"
)

// Steps writes the steps of a plan for one table, with quoted names.
type Steps interface {
	Table() (table, column string)
	Guard() (dialects.GuardState, dialects.GuardMode)
	// Text is the type that a number is cast to to be read as a text.
	Text() string
	Filled() dialects.SchemaQuery
	Steps() []dialects.SchemaStep
	Unguard() []dialects.SchemaStep
	DropColumn() []dialects.SchemaStep
}

// NewPlan begins a plan with what every engine's facts have in common: its server
// and target, the table, the rows, the key and the history.
func NewPlan(t *dialects.VersionTable, f dialects.SchemaFacts) dialects.SchemaPlan {
	p := dialects.SchemaPlan{
		Table: *t, Server: f.Name("server"), Target: f.Value("target"), Exists: f.Has("table"), Rows: -1,
		Initial: t.Initial, Guard: dialects.GuardMissing, GuardMode: dialects.GuardNone, History: f.Has("history"),
	}
	if rows, err := strconv.ParseInt(f.Value("rows"), 10, 64); err == nil {
		p.Rows = rows
	}
	for _, k := range f.All("key") {
		p.Key = append(p.Key, dialects.SchemaColumn{Name: k.Name, Type: k.Value})
	}
	return p
}

// Found is a version column that is there already. Its default is what versions
// begin with.
func Found(p *dialects.SchemaPlan, c dialects.SchemaColumn) {
	if v, ok := IntegerDefault(c.Default); ok {
		p.Initial = v
	}
	p.Column, p.Table.Column = &c, c.Name
}

// Complete fills in the steps, unless the table's findings speak against any.
// NoNulls says that the column is known to have no NULL; otherwise the plan asks.
func Complete(p *dialects.SchemaPlan, w Steps, noNulls bool) {
	p.Guard, p.GuardMode = w.Guard()
	if Findings(p.Findings).Unfit() {
		return
	}
	if p.Column != nil {
		p.Used = used(p, w)
		if p.Column.Nullable {
			p.Filled = w.Filled()
		}
		if p.Column.Nullable && !noNulls {
			table, column := w.Table()
			p.Ask = []dialects.SchemaQuery{{Text: fmt.Sprintf(
				"SELECT 'nulls', '', CASE WHEN EXISTS (SELECT 1 FROM %s WHERE %s IS NULL) THEN 'some' ELSE 'none' END", table, column)}}
		}
	}
	p.Steps = w.Steps()
	p.Unguard, p.DropColumn = w.Unguard(), w.DropColumn()
}

// used asks for the least and the greatest version. Tokens have no order.
func used(p *dialects.SchemaPlan, w Steps) dialects.SchemaQuery {
	if p.Table.Kind == dialects.Token {
		return dialects.SchemaQuery{Text: "SELECT 'used', 'some', ''"}
	}
	table, column := w.Table()
	return dialects.SchemaQuery{Text: fmt.Sprintf(
		"SELECT 'used', CASE WHEN COALESCE(MAX(%[2]s), %[3]d) = %[3]d AND COALESCE(MIN(%[2]s), %[3]d) = %[3]d THEN 'none' ELSE 'some' END,"+
			" COALESCE(CAST(MAX(%[2]s) AS %[4]s), '') FROM %[1]s", table, column, p.Initial, w.Text())}
}
