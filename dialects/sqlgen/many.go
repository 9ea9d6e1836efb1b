package sqlgen

import (
	"errors"
	"fmt"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// SelectMany reads the rows of n keys, in any order.
func (g Generator) SelectMany(t *dialects.Table, n int) (dialects.Statement, error) {
	if err := g.check(t); err != nil {
		return dialects.Statement{}, err
	}
	if err := g.checkMany(t, n); err != nil {
		return dialects.Statement{}, fmt.Errorf("%s: table %s: %w", g.Syntax.Name, abbreviate(t.Name), err)
	}
	w := g.writer(t)
	columns := w.selectFrom()
	w.WriteString(" WHERE ")
	keys := t.KeyColumns()
	switch {
	case len(keys) == 1:
		w.column(keys[0])
		w.WriteString(" IN (")
		w.repeat(n, ", ", func() { w.bind(dialects.Field, keys[0]) })
		w.WriteString(")")
	case g.Syntax.Rows == AnyOf:
		w.repeat(n, " OR ", func() {
			w.WriteString("(")
			w.key()
			w.WriteString(")")
		})
	default:
		w.rowsIn(keys, n)
	}
	return w.statement(columns), nil
}

func (g Generator) checkMany(t *dialects.Table, n int) error {
	keys, limit := len(t.KeyColumns()), g.Syntax.Limits.Params
	switch {
	case n < 1:
		return errors.New("reading several rows needs at least one key")
	case limit > 0 && n > limit/keys:
		return fmt.Errorf("%d keys of %d columns each need more than the %d parameters of a statement", n, keys, limit)
	}
	return nil
}

// rowsIn writes the comparison of composite keys as rows.
func (w *writer) rowsIn(keys []int, n int) {
	row := func(item func(int)) {
		w.WriteString("(")
		w.list(", ", keys, item)
		w.WriteString(")")
	}
	row(w.column)
	w.WriteString(" IN (")
	if w.syntax.Rows == InValues {
		w.WriteString("VALUES ")
	}
	w.repeat(n, ", ", func() {
		row(func(i int) { w.bind(dialects.Field, i) })
	})
	w.WriteString(")")
}

func (w *writer) repeat(n int, separator string, item func()) {
	for i := range n {
		if i > 0 {
			w.WriteString(separator)
		}
		item()
	}
}

// Find reads every column of the rows that the caller's own tail selects.
func (g Generator) Find(t *dialects.Table, tail string) (dialects.Statement, error) {
	if err := g.check(t); err != nil {
		return dialects.Statement{}, err
	}
	tail, err := g.Syntax.Placeholders(tail)
	if err != nil {
		return dialects.Statement{}, fmt.Errorf("%s: table %s: %w", g.Syntax.Name, abbreviate(t.Name), err)
	}
	w := g.writer(t)
	columns := w.selectFrom()
	if strings.TrimSpace(tail) != "" {
		w.WriteString(" " + tail)
	}
	return w.statement(columns), nil
}
