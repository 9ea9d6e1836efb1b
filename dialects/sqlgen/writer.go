package sqlgen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// writer builds one statement for a table that was checked.
type writer struct {
	strings.Builder
	syntax Syntax
	table  *dialects.Table
	args   []dialects.Arg
}

func (g Generator) writer(t *dialects.Table) *writer {
	return &writer{syntax: g.Syntax, table: t}
}

// statement returns what was written.
func (w *writer) statement(returns []int) dialects.Statement {
	return dialects.Statement{Text: w.String(), Args: w.args, Returns: returns}
}

// name writes the table's name.
func (w *writer) name() {
	if w.table.Schema != "" {
		w.WriteString(w.syntax.quote(w.table.Schema) + ".")
	}
	w.WriteString(w.syntax.quote(w.table.Name))
}

// column writes the name of column i.
func (w *writer) column(i int) { w.WriteString(w.syntax.quote(w.table.Columns[i].Name)) }

// bind writes the next placeholder and notes what it is bound to.
func (w *writer) bind(source dialects.Source, column int) {
	w.WriteString(w.placeholder(source, column))
}

func (w *writer) placeholder(source dialects.Source, column int) string {
	w.args = append(w.args, dialects.Arg{Source: source, Column: column})
	return w.syntax.Placeholder(len(w.args))
}

// reads writes the expressions that read the columns.
func (w *writer) reads(columns []int) {
	w.list(", ", columns, func(i int) {
		if w.table.Columns[i].Version == dialects.Xmin {
			w.WriteString(w.syntax.Xmin.Read)
			return
		}
		w.column(i)
	})
}

// returning writes the RETURNING clause, unless there is nothing to return.
func (w *writer) returning(columns []int) {
	if len(columns) > 0 {
		w.WriteString(" RETURNING ")
		w.reads(columns)
	}
}

// key writes the predicate that selects one row by its key.
func (w *writer) key() {
	w.list(" AND ", w.table.KeyColumns(), func(i int) {
		w.column(i)
		w.WriteString(" = ")
		w.bind(dialects.Field, i)
	})
}

// expected writes the predicate that makes the write a checked one.
func (w *writer) expected() {
	i := w.table.VersionColumn()
	if w.table.Columns[i].Version == dialects.Xmin {
		fmt.Fprintf(w, w.syntax.Xmin.Match, w.placeholder(dialects.Expected, i))
		return
	}
	w.column(i)
	w.WriteString(" = ")
	w.bind(dialects.Expected, i)
}

// list writes one item per column.
func (w *writer) list(separator string, columns []int, item func(column int)) {
	for n, i := range columns {
		if n > 0 {
			w.WriteString(separator)
		}
		item(i)
	}
}

// belowLimit keeps a counter from growing out of its type.
func (w *writer) belowLimit() {
	i := w.table.VersionColumn()
	if w.syntax.CounterLimit == 0 || w.table.Columns[i].Version != dialects.Counter {
		return
	}
	w.WriteString(" AND ")
	w.column(i)
	w.WriteString(" < " + strconv.FormatInt(w.syntax.CounterLimit, 10))
}
