package sqlgen

import (
	"fmt"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// ListRows is [dialects.RowsWriter] for databases that join a table with a list of
// values, which is MySQL's family. The first part of the list is an empty
// selection from the table itself: it gives the list the names, the types and the
// collations of the columns, so that keys are compared by their index.
//
// STRAIGHT_JOIN reads the list first, so that rows are locked in its order, and
// that no other rows are.
type ListRows struct{ Generator }

// LockRows reads rows by key, in the order of the list.
func (g ListRows) LockRows(t *dialects.Table, n int) (dialects.Statement, error) {
	l, err := g.list(t, n)
	if err != nil {
		return dialects.Statement{}, err
	}
	columns := make([]int, len(t.Columns))
	reads := make([]string, len(t.Columns))
	for i := range columns {
		columns[i], reads[i] = i, "t."+l.quote(i)
	}
	join := l.join(false, true)
	text := "SELECT i.n, " + strings.Join(reads, ", ") + " FROM " + join + " " + g.Syntax.Lock
	return dialects.Statement{Text: text, Args: l.args, Returns: columns}, nil
}

// UpdateRows updates the rows of a list.
func (g ListRows) UpdateRows(t *dialects.Table, n int) (dialects.Statement, error) {
	l, err := g.list(t, n)
	if err != nil {
		return dialects.Statement{}, err
	}
	var set []string
	for _, i := range assigned(t) {
		value := "t." + l.quote(i) + " + 1"
		switch c := t.Columns[i]; {
		case c.Version == dialects.Counter:
		case c.Version != dialects.NotVersion:
			value = l.input(dialects.Next, i)
		default:
			value = l.input(dialects.Field, i)
		}
		set = append(set, "t."+l.quote(i)+" = "+value)
	}
	text := "UPDATE " + l.join(true, false) + " SET " + strings.Join(set, ", ")
	return dialects.Statement{Text: text, Args: l.args}, nil
}

// DeleteRows deletes the rows of a list.
func (g ListRows) DeleteRows(t *dialects.Table, n int) (dialects.Statement, error) {
	l, err := g.list(t, n)
	if err != nil {
		return dialects.Statement{}, err
	}
	return dialects.Statement{Text: "DELETE t FROM " + l.join(true, false), Args: l.args}, nil
}

// InsertRows inserts rows.
func (g ListRows) InsertRows(t *dialects.Table, n int) (dialects.Statement, error) {
	l, err := g.list(t, n)
	if err != nil {
		return dialects.Statement{}, err
	}
	bound, provided := insertColumns(t)
	if len(bound) == 0 {
		return dialects.Statement{}, fmt.Errorf("%s: table %s: no column is bound", g.Syntax.Name, abbreviate(t.Name))
	}
	w := g.writer(t)
	w.WriteString("INSERT INTO ")
	w.name()
	w.values(bound)
	row := strings.TrimSuffix(strings.Repeat("?, ", len(bound)), ", ")
	w.WriteString(strings.Repeat(", ("+row+")", l.rows-1))
	var returns []int
	if g.Syntax.InsertReturning && len(provided) > 0 {
		returns = append(t.KeyColumns(), provided...)
	}
	w.returning(returns)
	return w.statement(returns), nil
}

// list is a list of rows to be joined.
type list struct {
	generator Generator
	table     *dialects.Table
	rows      int
	args      []dialects.Arg
}

func (g ListRows) list(t *dialects.Table, n int) (*list, error) {
	if n < 1 {
		return nil, fmt.Errorf("%s: table %s: a list needs at least one row", g.Syntax.Name, abbreviate(t.Name))
	}
	return &list{generator: g.Generator, table: t, rows: n}, g.check(t)
}

func (l *list) quote(i int) string { return l.generator.Syntax.quote(l.table.Columns[i].Name) }

// input returns the expression of an argument.
func (l *list) input(source dialects.Source, i int) string {
	l.args = append(l.args, dialects.Arg{Source: source, Column: i})
	return fmt.Sprintf("i.i%d", len(l.args)-1)
}

// join returns the list joined with the table, on the key, and with checked on the
// expected version as well. Numbered lists have a column n.
func (l *list) join(checked, numbered bool) string {
	var on []string
	for _, i := range l.table.KeyColumns() {
		on = append(on, "t."+l.quote(i)+" = "+l.input(dialects.Field, i))
	}
	if i := l.table.VersionColumn(); checked {
		on = append(on, "t."+l.quote(i)+" = "+l.input(dialects.Expected, i))
	}
	return l.values(numbered) + " STRAIGHT_JOIN " + l.name() + " AS t ON " + strings.Join(on, " AND ")
}

func (l *list) name() string {
	w := l.generator.writer(l.table)
	w.name()
	return w.String()
}

// values returns the list as a table with the alias i.
func (l *list) values(numbered bool) string {
	var b strings.Builder
	b.WriteString("(SELECT ")
	if numbered {
		b.WriteString("0 AS n, ")
	}
	for n, a := range l.args {
		if n > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s AS i%d", l.quote(a.Column), n)
	}
	fmt.Fprintf(&b, " FROM %s WHERE FALSE UNION ALL VALUES ", l.name())
	row := strings.TrimSuffix(strings.Repeat("?, ", len(l.args)), ", ")
	for n := range l.rows {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(l.generator.Syntax.ValuesRow + "(")
		if numbered {
			fmt.Fprintf(&b, "%d, ", n+1)
		}
		b.WriteString(row + ")")
	}
	b.WriteString(") AS i")
	return b.String()
}
