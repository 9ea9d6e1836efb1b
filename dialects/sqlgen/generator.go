package sqlgen

import (
	"cmp"

	"github.com/occkit/occkit/dialects"
)

// Generator writes statements in its Syntax. It is a value without state and
// safe for concurrent use. Everything of [dialects.Dialect] but Classify is
// here, and [dialects.LockingReader], [dialects.MultiReader], [dialects.Finder] and
// [dialects.InPlaceWriter].
type Generator struct {
	// Syntax is the spelling of the database.
	Syntax Syntax
}

var (
	_ dialects.LockingReader = Generator{}
	_ dialects.ShareLocker   = Generator{}
	_ dialects.MultiReader   = Generator{}
	_ dialects.Finder        = Generator{}
	_ dialects.InPlaceWriter = Generator{}
)

// Name returns the dialect's name.
func (g Generator) Name() string { return g.Syntax.Name }

// Limits returns the database's bounds.
func (g Generator) Limits() dialects.Limits { return g.Syntax.Limits }

// Select reads every column of the row whose key is bound.
func (g Generator) Select(t *dialects.Table) (dialects.Statement, error) {
	return g.selectRow(t, "")
}

// SelectForUpdate reads like Select and locks the row.
func (g Generator) SelectForUpdate(t *dialects.Table) (dialects.Statement, error) {
	return g.selectRow(t, g.Syntax.Lock)
}

// SelectForShare reads like Select and locks the row against writers, together
// with other readers.
func (g Generator) SelectForShare(t *dialects.Table) (dialects.Statement, error) {
	return g.selectRow(t, cmp.Or(g.Syntax.ShareLock, g.Syntax.Lock))
}

func (g Generator) selectRow(t *dialects.Table, lock string) (dialects.Statement, error) {
	if err := g.check(t); err != nil {
		return dialects.Statement{}, err
	}
	w := g.writer(t)
	columns := w.selectFrom()
	w.WriteString(" WHERE ")
	w.key()
	if lock != "" {
		w.WriteString(" " + lock)
	}
	return w.statement(columns), nil
}

// selectFrom writes SELECT of every column, and returns their indices.
func (w *writer) selectFrom() []int {
	columns := make([]int, len(w.table.Columns))
	for i := range columns {
		columns[i] = i
	}
	w.WriteString("SELECT ")
	w.reads(columns)
	w.WriteString(" FROM ")
	w.name()
	return columns
}

// Update writes every writable column of the row whose key and version match,
// and moves the version: a counter in the database, so that its new value is
// the database's own, the other kinds by a bound value.
func (g Generator) Update(t *dialects.Table) (dialects.Statement, error) {
	if err := g.check(t); err != nil {
		return dialects.Statement{}, err
	}
	w := g.writer(t)
	w.WriteString("UPDATE ")
	w.name()
	w.WriteString(" SET ")
	w.list(", ", assigned(t), w.assign)
	w.WriteString(" WHERE ")
	w.key()
	w.WriteString(" AND ")
	w.expected()
	w.belowLimit()
	version := t.VersionColumn()
	if !g.Syntax.UpdateReturning || !g.Syntax.ReturnsStored {
		return w.statement(nil), nil
	}
	plain := w.String()
	if t.Columns[version].Version == dialects.Xmin { // only the database knows the next one
		plain = ""
	}
	w.returning([]int{version})
	st := w.statement([]int{version})
	st.Plain = plain
	return st, nil
}

// assigned returns the columns that an update assigns: the writable ones, then
// the version unless the database moves it by itself. A SET clause cannot be
// empty: where nothing is left, it is the first key column, set to itself.
func assigned(t *dialects.Table) []int {
	var columns []int
	for i, c := range t.Columns {
		if c.Writable() {
			columns = append(columns, i)
		}
	}
	if i := t.VersionColumn(); t.Columns[i].Version != dialects.Xmin {
		return append(columns, i)
	}
	if len(columns) == 0 {
		return t.KeyColumns()[:1]
	}
	return columns
}

func (w *writer) assign(i int) {
	w.column(i)
	w.WriteString(" = ")
	switch c := w.table.Columns[i]; {
	case c.Version == dialects.Counter:
		w.column(i)
		w.WriteString(" + 1")
	case c.Version != dialects.NotVersion:
		w.bind(dialects.Next, i)
	case c.Key:
		w.column(i)
	default:
		w.bind(dialects.Field, i)
	}
}

// Delete removes the row whose key and version match.
func (g Generator) Delete(t *dialects.Table) (dialects.Statement, error) {
	if err := g.check(t); err != nil {
		return dialects.Statement{}, err
	}
	w := g.writer(t)
	w.WriteString("DELETE FROM ")
	w.name()
	w.WriteString(" WHERE ")
	w.key()
	w.WriteString(" AND ")
	w.expected()
	return w.statement(nil), nil
}
