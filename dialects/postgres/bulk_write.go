package postgres

import (
	"errors"
	"fmt"
	"math"

	"github.com/occkit/occkit/dialects"
)

// write returns the checked update or delete of many rows.
//
// cur locks the rows in the order of the input, in which the caller has put them
// so that concurrent calls do not deadlock, and holds what they are then, also
// after waiting for somebody else's commit. (The order of the keys in the database
// may depend on a collation; units of work could not lock in that order.) Whether a
// row may be written is decided on that, and stays true because the row is locked. cur
// carries the input along, so that w joins the table once.
// The last part reports what cur found wrong; when all went well it is empty.
func (b *arrays) write() (dialects.Statement, error) {
	if b.Skip {
		return b.skip()
	}
	writes := b.reported() // before cur: the arguments are collected on the way
	columns := b.columns()
	text := fmt.Sprintf("WITH cur AS MATERIALIZED (%s), w AS (%s)", b.current(columns), writes) +
		fmt.Sprintf(" SELECT o, %d::bigint, v", dialects.Written) + list(columns, "", func(int) string { return ", NULL" }) + " FROM w" +
		fmt.Sprintf(" UNION ALL SELECT o, CASE WHEN same THEN %d ELSE %d END, v", dialects.Untouched, dialects.Stale) +
		list(columns, "", func(i int) string { return fmt.Sprintf(", CASE WHEN NOT same THEN t%d END", i) }) +
		" FROM cur WHERE NOT same OR " + b.incomplete()
	return dialects.Statement{Text: text, Args: b.args, Returns: columns}, nil
}

func (b *arrays) columns() []int {
	columns := make([]int, len(b.table.Columns))
	for i := range columns {
		columns[i] = i
	}
	return columns
}

// current is the query of cur.
func (b *arrays) current(columns []int) string {
	same := b.same()
	match := b.match("i")
	return fmt.Sprintf("SELECT i.*, %s AS v, %s AS same", b.read(b.table.VersionColumn()), same) +
		list(columns, "", func(i int) string { return fmt.Sprintf(", %s AS t%d", b.read(i), i) }) +
		fmt.Sprintf(" FROM %s JOIN %s AS t ON %s %s", b.unnest(len(b.args)), b.tableName(), match, b.inOrder())
}

// inOrder locks the rows of t in the order of the input. A delete needs the stronger
// lock: asking for it later could deadlock with those who share the weaker one.
func (b *arrays) inOrder() string {
	mode := lock
	if b.Verb == dialects.BulkDelete {
		mode = "FOR UPDATE"
	}
	return "ORDER BY i.o " + mode + " OF t"
}

// match compares the key of t with that of the input.
func (b *arrays) match(alias string) string {
	return list(b.table.KeyColumns(), " AND ", func(i int) string { return b.read(i) + " = " + b.input(alias, dialects.Field, i) })
}

// sure is write for the case that nothing is in the way, which costs half: the rows
// are locked and counted by a subquery that reads keys alone and is run once, before
// the change, which then takes what the input says; and hardly anything is reported.
// What changed while the lock was waited for is older in the statement's snapshot, and
// is compared again when the row is changed. See [dialects.ArrayWrite].
// https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
func (b *arrays) sure() (dialects.Statement, error) {
	match := b.match("i") // the keys are the first arguments, which the subquery needs alone
	keys := b.unnest(len(b.args))
	chosen := fmt.Sprintf("%s AND %s AND (SELECT count(*) FROM (SELECT FROM %s JOIN %s AS t ON %s %s) AS l) = %s",
		match, b.same(), keys, b.tableName(), match, b.inOrder(), b.count())
	moved := b.moved()
	writes := b.change("i", chosen)
	returns := "1"
	if moved != "" {
		returns = fmt.Sprintf("i.o, %s AS v, %s AS moved", b.read(b.table.VersionColumn()), moved)
	}
	const written = "(SELECT count(*) FROM w)"
	text := fmt.Sprintf("WITH w AS (%s RETURNING %s)", writes, returns) +
		fmt.Sprintf(" SELECT 0::bigint, CASE WHEN %s = %s THEN %d::bigint ELSE ('%s' || %s)::bigint END, NULL",
			written, b.count(), dialects.Written, partialMark, written)
	if moved != "" {
		text += fmt.Sprintf(" UNION ALL SELECT o, %d::bigint, v FROM w WHERE moved", dialects.Written)
	}
	return dialects.Statement{Text: text, Args: b.args}, nil
}

// moved tells whether a written row has another version than the caller expects.
// Empty: none has.
func (b *arrays) moved() string {
	i := b.table.VersionColumn()
	switch kind := b.table.Columns[i].Version; {
	case b.Verb == dialects.BulkDelete || b.Plain:
		return ""
	case kind == dialects.Xmin:
		return "true"
	case kind == dialects.Counter:
		return b.read(i) + " <> " + b.input("i", dialects.Expected, i) + " + 1"
	default:
		return b.read(i) + " <> " + b.input("i", dialects.Next, i)
	}
}

// change writes the chosen rows of t with what alias holds: cur, or the input itself.
func (b *arrays) change(alias, chosen string) string {
	verb, set, from := "UPDATE", " SET "+b.assignments(alias)+" FROM ", alias
	if b.Verb == dialects.BulkDelete {
		verb, set = "DELETE FROM", " USING "
	}
	if alias == "i" {
		from = b.unnest(len(b.args))
	}
	return fmt.Sprintf("%s %s AS t%s%s WHERE %s", verb, b.tableName(), set, from, chosen)
}

// assignments are what [sqlgen.Generator.Update] assigns.
func (b *arrays) assignments(alias string) string {
	if b.Verb == dialects.BulkDelete {
		return ""
	}
	version := b.table.VersionColumn()
	var set []int
	for i, c := range b.table.Columns {
		if c.Writable() || i == version && c.Version != dialects.Xmin {
			set = append(set, i)
		}
	}
	if len(set) == 0 { // a SET clause cannot be empty
		set = b.table.KeyColumns()[:1]
	}
	return list(set, ", ", func(i int) string {
		switch c := b.table.Columns[i]; {
		case c.Version == dialects.Counter:
			return b.quote(i) + " = t." + b.quote(i) + " + 1"
		case c.Version != dialects.NotVersion:
			return b.quote(i) + " = " + b.input(alias, dialects.Next, i)
		case c.Key:
			return b.quote(i) + " = t." + b.quote(i)
		default:
			return b.quote(i) + " = " + b.input(alias, dialects.Field, i)
		}
	})
}

// reported is change, and what it reports of each row.
func (b *arrays) reported() string {
	return b.change("cur", b.chosen()) + " RETURNING cur.o, " + b.read(b.table.VersionColumn()) + " AS v"
}

// skip returns the update that waits for nobody. The subquery is run for each row
// in turn, because it locks: it finds the row by its key whatever the planner
// thinks of the size of the table, and cannot deadlock, because it skips. The limit
// is none: the planner, which does not know it, expects a tenth of the rows under it,
// and so lets the update find its few rows by their keys as well instead of reading
// the whole of a small table.
// https://www.postgresql.org/docs/current/sql-select.html#SQL-FOR-UPDATE-SHARE
func (b *arrays) skip() (dialects.Statement, error) {
	if b.Verb != dialects.BulkUpdate || b.All {
		return dialects.Statement{}, errors.ErrUnsupported
	}
	keys := b.table.KeyColumns()
	match := b.match("i") + " AND " + b.same()
	writes := b.reported() // before cur: the arguments are collected on the way
	text := fmt.Sprintf("WITH cur AS MATERIALIZED (SELECT i.*, t.* FROM %s CROSS JOIN LATERAL (SELECT ", b.unnest(len(b.args))) +
		list(keys, ", ", func(i int) string { return fmt.Sprintf("%s AS t%d", b.read(i), i) }) +
		fmt.Sprintf(" FROM %s AS t WHERE %s %s OF t SKIP LOCKED) AS t LIMIT (SELECT %d)), w AS (%s) SELECT o, %d::bigint, v FROM w",
			b.tableName(), match, lock, math.MaxInt32, writes, dialects.Written)
	return dialects.Statement{Text: text, Args: b.args}, nil
}

// chosen is the predicate of the rows that are written. It compares no version
// of t: the snapshot of the statement may be older than what cur has waited for.
func (b *arrays) chosen() string {
	chosen := list(b.table.KeyColumns(), " AND ", func(i int) string { return fmt.Sprintf("%s = cur.t%d", b.read(i), i) })
	if b.Skip {
		return chosen
	}
	if chosen += " AND cur.same"; b.All {
		chosen += " AND (SELECT count(*) FROM cur WHERE same) = " + b.count()
	}
	return chosen
}

// incomplete is true of a row that should have been written and was not.
func (b *arrays) incomplete() string {
	if !b.All {
		return "o NOT IN (SELECT o FROM w)"
	}
	const written = "(SELECT count(*) FROM w)"
	return fmt.Sprintf("CASE %s WHEN %s THEN false WHEN 0 THEN true ELSE %s END", written, b.count(), partly(written))
}

// partly fails, naming how many rows there are.
func partly(count string) string { return fmt.Sprintf("('%s' || %s)::int = 0", partialMark, count) }

// insert returns the insert of many rows.
func (b *arrays) insert() (dialects.Statement, error) {
	var bound, returns []int
	for i, c := range b.table.Columns {
		provided := c.Version == dialects.Xmin || c.Version == dialects.NotVersion && (c.Generated || c.ReadOnly)
		if !provided {
			bound = append(bound, i)
		}
		if provided || c.Key {
			returns = append(returns, i)
		}
	}
	values := list(bound, ", ", func(i int) string {
		if b.table.Columns[i].Version != dialects.NotVersion {
			return b.input("i", dialects.Next, i)
		}
		return b.input("i", dialects.Field, i)
	})
	text := fmt.Sprintf("INSERT INTO %s AS t (%s) SELECT %s FROM %s ORDER BY i.o RETURNING ",
		b.tableName(), list(bound, ", ", b.quote), values, b.unnest(len(b.args))) +
		list(returns, ", ", func(i int) string { return fmt.Sprintf("%s AS t%d", b.read(i), i) })
	if b.All {
		const written = "(SELECT count(*) FROM w)"
		text = fmt.Sprintf("WITH w AS (%s) SELECT %s FROM w WHERE CASE %s WHEN %s THEN true ELSE %s END",
			text, list(returns, ", ", func(i int) string { return fmt.Sprintf("t%d", i) }), written, b.count(), partly(written))
	}
	return dialects.Statement{Text: text, Args: b.args, Returns: returns}, nil
}
