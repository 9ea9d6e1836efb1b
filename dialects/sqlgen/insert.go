package sqlgen

import (
	"fmt"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// Insert writes one row, without the columns that the server provides. They
// come back through RETURNING where the database has it. Elsewhere a generated
// key comes back as the last insert id, which is one integer; the other columns
// do not come back and the caller reads the row again.
func (g Generator) Insert(t *dialects.Table) (dialects.Statement, error) {
	if err := g.check(t); err != nil {
		return dialects.Statement{}, err
	}
	bound, provided := insertColumns(t)
	w := g.writer(t)
	w.WriteString("INSERT INTO ")
	w.name()
	if len(bound) == 0 {
		w.WriteString(" DEFAULT VALUES")
	} else {
		w.values(bound)
	}
	if !g.Syntax.InsertReturning {
		identity, err := identity(t)
		if err != nil {
			return dialects.Statement{}, fmt.Errorf("%s: table %s: %w", g.Syntax.Name, abbreviate(t.Name), err)
		}
		s := w.statement(nil)
		s.Identity = identity
		return s, nil
	}
	w.returning(provided)
	return w.statement(provided), nil
}

func (w *writer) values(columns []int) {
	w.WriteString(" (")
	w.list(", ", columns, w.column)
	w.WriteString(") VALUES (")
	w.list(", ", columns, func(i int) {
		if w.table.Columns[i].Version != dialects.NotVersion {
			w.bind(dialects.Next, i)
			return
		}
		w.bind(dialects.Field, i)
	})
	w.WriteString(")")
}

// insertColumns divides the columns into those that an insert binds and those
// that the server provides. The version is bound whatever its flags say, except
// for xmin: a row without a known version could not be checked.
func insertColumns(t *dialects.Table) (bound, provided []int) {
	for i, c := range t.Columns {
		switch {
		case c.Version == dialects.Xmin:
			provided = append(provided, i)
		case c.Version == dialects.NotVersion && (c.Generated || c.ReadOnly):
			provided = append(provided, i)
		default:
			bound = append(bound, i)
		}
	}
	return bound, provided
}

// identity returns the key column that the driver reports as last insert id,
// or nothing when the caller knows the whole key.
func identity(t *dialects.Table) (string, error) {
	name := ""
	for _, i := range t.KeyColumns() {
		c := t.Columns[i]
		if !c.Generated && !c.ReadOnly {
			continue
		}
		if name != "" {
			return "", fmt.Errorf("key columns %s and %s are both provided by the server: an insert reports one value", abbreviate(name), abbreviate(c.Name))
		}
		if !integer(c.Type) {
			return "", fmt.Errorf("key column %s is provided by the server and is a %s: an insert reports integers alone", abbreviate(c.Name), c.Type)
		}
		name = c.Name
	}
	return name, nil
}

// integer gives unknown types the benefit of the doubt.
func integer(t reflect.Type) bool {
	if t == nil {
		return true
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.Kind() >= reflect.Int && t.Kind() <= reflect.Uint64
}
