package postgres

import "github.com/occkit/occkit/dialects"

var _ dialects.TriggerChecker = Dialect{}

// triggerCheck asks the catalog for what changes a row on its way to the table:
// BEFORE triggers for each row (bits 1, 2 and 16 of tgtype), and rules. A disabled
// trigger may be enabled later and counts. Views, foreign and partitioned tables,
// and tables with children, may have triggers elsewhere.
// https://www.postgresql.org/docs/current/catalog-pg-trigger.html
const triggerCheck = `SELECT relkind <> 'r' OR relhassubclass OR relhasrules OR EXISTS (` +
	`SELECT FROM pg_trigger WHERE tgrelid = pg_class.oid AND NOT tgisinternal AND tgtype::int & 19 = 19)` +
	` FROM pg_class WHERE oid = $1::text::regclass`

// TriggerCheck asks the catalog.
func (d Dialect) TriggerCheck(t *dialects.Table) (query string, args []any, err error) {
	name, err := d.Syntax.QuoteTable(t.Schema, t.Name)
	return triggerCheck, []any{name}, err
}
