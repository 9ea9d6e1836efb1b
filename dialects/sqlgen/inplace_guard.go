package sqlgen

import (
	"fmt"
	"math"
	"reflect"
	"strconv"

	"github.com/occkit/occkit/dialects"
)

// guard is a predicate without which an update in place would go wrong silently.
type guard struct {
	verdict dialects.InPlaceVerdict
	holds   func()
}

func (w *writer) guards(in dialects.InPlace) (guards []guard) {
	add := func(verdict dialects.InPlaceVerdict, holds func()) { guards = append(guards, guard{verdict, holds}) }
	for i, c := range in.Changes {
		if c.Op != dialects.InPlaceAdd {
			continue
		}
		if !c.NullIsZero {
			add(dialects.InPlaceNull, func() {
				w.column(c.Column)
				w.WriteString(comparisons[dialects.InPlaceIsNotNull])
			})
		}
		t := w.table.Columns[c.Column].Type
		if !number(t) {
			continue
		}
		sum := func() { w.sum(i, c) }
		if w.syntax.IntegerTest != "" {
			add(dialects.InPlaceRange, func() { w.around(w.syntax.IntegerTest, sum) })
		}
		if within := bounds(t); within != "" {
			add(dialects.InPlaceRange, func() { w.around(within, sum) })
		}
	}
	if limit := w.lastVersion(); limit != 0 {
		i := w.table.VersionColumn()
		add(dialects.InPlaceFull, func() {
			w.column(i)
			w.WriteString(" < " + strconv.FormatInt(limit, 10))
		})
	}
	return guards
}

// around writes format with what is written in place of its %s.
func (w *writer) around(format string, inner func()) {
	for i := range len(format) - 1 {
		if format[i:i+2] == "%s" {
			w.WriteString(format[:i])
			inner()
			w.WriteString(format[i+2:])
			return
		}
	}
}

// bounds returns the predicate that a number fits a Go integer type which is not
// as wide as the widest column. The column may be wider than the field, and a row
// that does not fit its struct could not be read any more.
func bounds(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	bits := uint(t.Bits())
	switch {
	case t.Kind() >= reflect.Uint && bits == 64:
		return "%s >= 0"
	case t.Kind() >= reflect.Uint:
		return fmt.Sprintf("%%s BETWEEN 0 AND %d", uint64(1)<<bits-1)
	case bits < 64:
		return fmt.Sprintf("%%s BETWEEN %d AND %d", -int64(1)<<(bits-1), int64(1)<<(bits-1)-1)
	default:
		return ""
	}
}

// lastVersion returns the counter that no update may move any more because the
// column's or the field's type ends there; zero when the database refuses itself.
func (w *writer) lastVersion() int64 {
	c := w.table.Columns[w.table.VersionColumn()]
	if c.Version != dialects.Counter {
		return 0
	}
	if c.Type != nil && integer(c.Type) {
		switch bits := uint(c.Type.Bits()); {
		case c.Type.Kind() >= reflect.Uint && bits < 64:
			return int64(1)<<bits - 1
		case c.Type.Kind() >= reflect.Uint:
			return math.MaxInt64 // columns are signed
		case bits < 64:
			return int64(1)<<(bits-1) - 1
		}
	}
	return w.syntax.CounterLimit
}
