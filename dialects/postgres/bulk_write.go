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
// may depend on a collation; units of work could not lock in that order.) Whether a row may be written is decided on that, and stays true because
// the row is locked. cur carries the input along, so that w joins the table once.
// The last part reports what cur found wrong; when all went well it is empty.
func (b *arrays) write() (dialects.Statement, error) {
	w := b.update
	if b.Verb == dialects.BulkDelete {
		w = b.remove
	}
	if b.Skip {
		return b.skip()
	}
	writes := w() // before cur: the arguments are collected on the way
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

// current is the query of cur. A delete needs the stronger lock: asking for it
// later could deadlock with those who share the weaker one.
func (b *arrays) current(columns []int) string {
	same := b.same()
	match := b.match("i")
	mode := lock
	if b.Verb == dialects.BulkDelete {
		mode = "FOR UPDATE"
	}
	version := ""
	if !b.Sure {
		version = fmt.Sprintf("%s AS v, ", b.read(b.table.VersionColumn()))
	}
	return fmt.Sprintf("SELECT i.*, %s%s AS same", version, same) +
		list(columns, "", func(i int) string { return fmt.Sprintf(", %s AS t%d", b.read(i), i) }) +
		fmt.Sprintf(" FROM %s JOIN %s AS t ON %s ORDER BY i.o %s OF t", b.unnest(), b.tableName(), match, mode)
}

// match compares the key of t with that of the input.
func (b *arrays) match(alias string) string {
	return list(b.table.KeyColumns(), " AND ", func(i int) string { return b.read(i) + " = " + b.input(alias, dialects.Field, i) })
}

// sure is write for the case that nothing is in the way, which costs about half: cur
// is as narrow as can be, and hardly anything is reported. See [dialects.ArrayWrite].
func (b *arrays) sure() (dialects.Statement, error) {
	w := b.update
	if b.Verb == dialects.BulkDelete {
		w = b.remove
	}
	writes := w()
	const written = "(SELECT count(*) FROM w)"
	text := fmt.Sprintf("WITH cur AS MATERIALIZED (%s), w AS (%s, %s AS moved)", b.current(nil), writes, b.moved()) +
		fmt.Sprintf(" SELECT 0::bigint, CASE WHEN %s = %s THEN %d::bigint ELSE ('%s' || %s)::bigint END, (SELECT v FROM w LIMIT 1)",
			written, b.count(), dialects.Written, partialMark, written) +
		fmt.Sprintf(" UNION ALL SELECT o, %d::bigint, v FROM w WHERE moved", dialects.Written)
	return dialects.Statement{Text: text, Args: b.args}, nil
}

// moved tells whether a written row has another version than the caller expects.
func (b *arrays) moved() string {
	i := b.table.VersionColumn()
	switch kind := b.table.Columns[i].Version; {
	case b.Verb == dialects.BulkDelete:
		return "false"
	case kind == dialects.Xmin:
		return "true"
	case kind == dialects.Counter:
		return b.read(i) + " <> " + b.input("cur", dialects.Expected, i) + " + 1"
	default:
		return b.read(i) + " <> " + b.input("cur", dialects.Next, i)
	}
}

// update is what [sqlgen.Generator.Update] writes, for the rows of cur.
func (b *arrays) update() string {
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
	assignments := list(set, ", ", func(i int) string {
		switch c := b.table.Columns[i]; {
		case c.Version == dialects.Counter:
			return b.quote(i) + " = t." + b.quote(i) + " + 1"
		case c.Version != dialects.NotVersion:
			return b.quote(i) + " = " + b.input("cur", dialects.Next, i)
		case c.Key:
			return b.quote(i) + " = t." + b.quote(i)
		default:
			return b.quote(i) + " = " + b.input("cur", dialects.Field, i)
		}
	})
	return fmt.Sprintf("UPDATE %s AS t SET %s FROM cur WHERE %s RETURNING cur.o, %s AS v", b.tableName(), assignments, b.chosen(), b.read(version))
}

func (b *arrays) remove() string {
	return fmt.Sprintf("DELETE FROM %s AS t USING cur WHERE %s RETURNING cur.o, %s AS v", b.tableName(), b.chosen(), b.read(b.table.VersionColumn()))
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
	writes := b.update() // before cur: the arguments are collected on the way
	text := fmt.Sprintf("WITH cur AS MATERIALIZED (SELECT i.*, t.* FROM %s CROSS JOIN LATERAL (SELECT ", b.unnest()) +
		list(keys, ", ", func(i int) string { return fmt.Sprintf("%s AS t%d", b.read(i), i) }) +
		fmt.Sprintf(" FROM %s AS t WHERE %s %s OF t SKIP LOCKED) AS t LIMIT (SELECT %d)), w AS (%s) SELECT o, %d::bigint, v FROM w",
			b.tableName(), match, lock, math.MaxInt32, writes, dialects.Written)
	return dialects.Statement{Text: text, Args: b.args}, nil
}

// chosen is the predicate of the rows that are written. It compares no version
// of t: the snapshot of the statement may be older than what cur has waited for.
func (b *arrays) chosen() string {
	if b.Sure {
		return b.match("cur") + " AND cur.same"
	}
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
		b.tableName(), list(bound, ", ", b.quote), values, b.unnest()) +
		list(returns, ", ", func(i int) string { return fmt.Sprintf("%s AS t%d", b.read(i), i) })
	if b.All {
		const written = "(SELECT count(*) FROM w)"
		text = fmt.Sprintf("WITH w AS (%s) SELECT %s FROM w WHERE CASE %s WHEN %s THEN true ELSE %s END",
			text, list(returns, ", ", func(i int) string { return fmt.Sprintf("t%d", i) }), written, b.count(), partly(written))
	}
	return dialects.Statement{Text: text, Args: b.args, Returns: returns}, nil
}
