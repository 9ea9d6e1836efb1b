package postgres

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

var _ dialects.SchemaChanger = Dialect{}

// SchemaPlan reads what [Dialect.SchemaFacts] asked for.
func (d Dialect) SchemaPlan(t *dialects.VersionTable, f dialects.SchemaFacts) (dialects.SchemaPlan, error) {
	p := sqlgen.NewPlan(t, f)
	p.Details = map[string]string{"deadlock_timeout": f.Value("deadlock")}
	if !p.Exists {
		p.Findings = missing(t)
		return p, nil
	}
	read(&p, f)
	p.Findings = findings(&p, f)
	w, err := d.writer(&p, f)
	if err != nil {
		return p, err
	}
	sqlgen.Complete(&p, w, f.Has("nulls") || f.Value("check") == "valid")
	return p, nil
}

// read fills in what the facts say about the table.
func read(p *dialects.SchemaPlan, f dialects.SchemaFacts) {
	p.Table.Schema, p.Table.Name = f.Value("table"), f.Name("table")
	if f.Has("column") {
		sqlgen.Found(p, dialects.SchemaColumn{
			Name: p.Table.Column, Type: f.Name("column"), Nullable: f.Value("column") != "not null", Default: f.Value("default"),
		})
	}
}

// writer writes the steps of one table.
type writer struct {
	p     *dialects.SchemaPlan
	f     dialects.SchemaFacts
	names names
	// quoted
	schema, table, column, trigger, check string
	functions                             map[dialects.GuardMode]string
}

// Table returns the names.
func (w *writer) Table() (table, column string) { return w.table, w.column }

func (d Dialect) writer(p *dialects.SchemaPlan, f dialects.SchemaFacts) (*writer, error) {
	w := &writer{p: p, f: f, names: d.names(&p.Table), functions: map[dialects.GuardMode]string{}}
	var err error
	quote := func(to *string, schema, name string) {
		if err == nil {
			*to, err = d.Syntax.QuoteTable(schema, name)
		}
	}
	schema := p.Table.Schema
	if p.Table.Bare {
		schema = ""
	}
	quote(&w.table, schema, p.Table.Name)
	quote(&w.schema, "", p.Table.Schema)
	quote(&w.column, "", p.Table.Column)
	quote(&w.trigger, "", w.names.trigger)
	quote(&w.check, "", w.names.check)
	for _, m := range []dialects.GuardMode{dialects.GuardEnforce, dialects.GuardStrict} {
		var name string
		quote(&name, schema, w.names.function(m))
		w.functions[m] = name
	}
	return w, err
}

// exclusive runs an ALTER TABLE that changes the catalog alone.
func (w *writer) exclusive(id, observe string, done bool, undo []string, sql ...string) dialects.SchemaStep {
	return dialects.SchemaStep{
		ID: id, SQL: sql, Lock: dialects.LockAll, LockName: "ACCESS EXCLUSIVE", Work: dialects.WorkInstant,
		Observe: observe, Undo: undo, Done: done,
	}
}

func (w *writer) alter(format string, args ...any) string {
	return "ALTER TABLE " + w.table + " " + fmt.Sprintf(format, args...)
}

func (w *writer) Steps() []dialects.SchemaStep {
	c := w.p.Column
	var steps []dialects.SchemaStep
	if c != nil && c.Nullable || w.f.Has("check") {
		steps = w.legacy()
	} else {
		steps = w.fresh()
	}
	if w.p.Table.Guard == dialects.GuardNone {
		return append(steps, w.Unguard()...)
	}
	return append(steps, w.guardSteps()...)
}

// fresh adds the column with a constant default, which changes the catalog
// alone. A CHECK in the same statement would read the whole table under the
// exclusive lock. https://www.postgresql.org/docs/current/sql-altertable.html
func (w *writer) fresh() []dialects.SchemaStep {
	what := fmt.Sprintf("occkit: row version, initial %d, moved by every UPDATE", w.p.Initial)
	typ, initial := "bigint", strconv.FormatInt(w.p.Initial, 10)
	if w.p.Table.Kind == dialects.Token {
		what, typ, initial = "occkit: row version, replaced by every UPDATE", "uuid", "'00000000-0000-0000-0000-000000000000'"
	}
	has := w.p.Column != nil
	steps := []dialects.SchemaStep{w.exclusive("add-column", "pg_attribute has the column", has,
		[]string{w.alter("DROP COLUMN IF EXISTS %s", w.column)},
		w.alter("ADD COLUMN IF NOT EXISTS %s %s NOT NULL DEFAULT %s", w.column, typ, initial),
		fmt.Sprintf("COMMENT ON COLUMN %s.%s IS %s", w.table, w.column, literal(what)))}
	expr := initial
	if w.p.Table.Kind == dialects.Token {
		expr = "gen_random_uuid()"
		if has && w.p.Column.Type != "uuid" {
			expr = tokenOf(w.p.Column.Type)
		}
	}
	if w.p.Table.Kind == dialects.Token || has && w.p.Column.Default == "" {
		done := has && w.p.Column.Default != "" && (w.p.Table.Kind != dialects.Token || strings.Contains(w.p.Column.Default, "("))
		steps = append(steps, w.setDefault(expr, done))
	}
	return steps
}

func (w *writer) setDefault(expr string, done bool) dialects.SchemaStep {
	return w.exclusive("set-default", "pg_attrdef has a default of the column", done,
		[]string{w.alter("ALTER COLUMN %s DROP DEFAULT", w.column)},
		w.alter("ALTER COLUMN %s SET DEFAULT %s", w.column, expr))
}

// legacy fills a column that may be NULL and ends with NOT NULL. The constraint
// comes before the backfill, so that no row can become NULL behind it; a valid
// one spares SET NOT NULL the reading of the table.
func (w *writer) legacy() []dialects.SchemaStep {
	c, check := w.p.Column, w.f.Has("check")
	initial := strconv.FormatInt(w.p.Initial, 10)
	if w.p.Table.Kind == dialects.Token {
		initial = tokenOf(c.Type)
	}
	valid := w.f.Value("check") == "valid" || !c.Nullable
	// Two statements: one ALTER TABLE drops before it alters, and would read the
	// whole table under the exclusive lock for want of the constraint.
	end := []string{w.alter("ALTER COLUMN %s SET NOT NULL", w.column), w.alter("DROP CONSTRAINT IF EXISTS %s", w.check)}
	notNull := w.exclusive("set-not-null", "pg_attribute says NOT NULL, and the constraint is gone", !c.Nullable && !check,
		[]string{w.alter("ALTER COLUMN %s DROP NOT NULL", w.column)}, end...)
	notNull.File = []string{whyIgnored + end[0], end[1]}
	return []dialects.SchemaStep{
		w.setDefault(initial, c.Default != ""),
		w.exclusive("check", "pg_constraint has the constraint", check || !c.Nullable,
			[]string{w.alter("DROP CONSTRAINT IF EXISTS %s", w.check)},
			w.alter("DROP CONSTRAINT IF EXISTS %s, ADD CONSTRAINT %s CHECK (%s IS NOT NULL) NOT VALID", w.check, w.check, w.column)),
		{
			ID: "backfill", Work: dialects.WorkChunks, LockName: "ROW EXCLUSIVE, and the rows of one part",
			Observe: "no row has NULL in the column", Done: valid || w.f.Value("nulls") == "none",
			SQL: []string{fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s IS NULL", w.table, w.column, initial, w.column)},
		},
		{
			ID: "validate", Work: dialects.WorkScan, Lock: dialects.LockSchema, LockName: "SHARE UPDATE EXCLUSIVE",
			Observe: "pg_constraint says that the constraint is valid", Done: valid,
			SQL: []string{w.alter("VALIDATE CONSTRAINT %s", w.check)},
		},
		notNull,
	}
}

// whyIgnored goes with the one finding of the linter squawk that is suppressed.
// It sees one file at a time; the constraint and its validation, in one file with
// the rest, satisfy it.
const whyIgnored = `-- The file before this one has validated a CHECK that says the same: PostgreSQL
-- 12 and later take its word, and do not read the table. squawk cannot see that from here.
-- squawk-ignore adding-not-nullable-field
`

// tokenOf is the expression of a new token for a column of a type.
func tokenOf(typ string) string {
	switch {
	case typ == "uuid":
		return "gen_random_uuid()"
	case typ == "bytea":
		return "convert_to(gen_random_uuid()::text, 'UTF8')"
	default:
		return "gen_random_uuid()::text"
	}
}

var integers = []string{"bigint", "integer"}

func isToken(typ string) bool {
	n := sqlgen.Length(typ)
	return slices.Contains([]string{"uuid", "text", "bytea"}, typ) || strings.HasPrefix(typ, "character varying") && (n == 0 || n >= sqlgen.TokenLength)
}

// Filled looks at 2,000 pages, or at all if there are no more: that is tens of
// milliseconds, and a few percent off at most.
func (w *writer) Filled() dialects.SchemaQuery {
	return dialects.SchemaQuery{Text: fmt.Sprintf(`WITH p AS MATERIALIZED (
  SELECT least(100, 100.0 * 2000 * current_setting('block_size')::bigint / greatest(1, pg_relation_size(%[1]s), sum(pg_relation_size(relid)))) AS part
  FROM pg_partition_tree(%[1]s)
), s AS (SELECT count(*) AS rows, count(%[2]s) AS filled FROM %[3]s TABLESAMPLE SYSTEM ((SELECT part::real FROM p)))
SELECT CASE WHEN part = 100 THEN 'exact' ELSE 'about' END, round(rows * 100 / part)::bigint::text, round(filled * 100 / part)::bigint::text FROM s, p`,
		literal(w.table), w.column, w.table)}
}

// Text is the type of texts.
func (w *writer) Text() string { return "text" }
