package sqlgen

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"reflect"
	"strconv"

	"github.com/occkit/occkit/dialects"
)

// InPlaceUpdate changes a row by what stands in it, and moves the version. It has
// no version predicate: see [dialects.InPlaceWriter].
func (g Generator) InPlaceUpdate(t *dialects.Table, in dialects.InPlace) (dialects.Statement, error) {
	w, err := g.inPlace(t, in)
	if err != nil {
		return dialects.Statement{}, err
	}
	w.WriteString("UPDATE ")
	w.name()
	w.WriteString(" SET ")
	for i, c := range in.Changes {
		if i > 0 {
			w.WriteString(", ")
		}
		w.change(i, c)
	}
	version := t.VersionColumn()
	identity := w.moveVersion(version)
	w.WriteString(" WHERE ")
	w.key()
	for i, c := range in.Conditions {
		w.WriteString(" AND ")
		w.condition(i, c)
	}
	for _, guard := range w.guards(in) {
		w.WriteString(" AND ")
		guard.holds()
	}
	if !g.Syntax.UpdateReturning {
		st := w.statement(nil)
		st.Identity = identity
		return st, nil
	}
	w.returning([]int{version})
	return w.statement([]int{version}), nil
}

// InPlaceCheck reads the row, locked, and what InPlaceUpdate would do to it.
func (g Generator) InPlaceCheck(t *dialects.Table, in dialects.InPlace) (dialects.Statement, error) {
	w, err := g.inPlace(t, in)
	if err != nil {
		return dialects.Statement{}, err
	}
	columns := make([]int, len(t.Columns))
	for i := range columns {
		columns[i] = i
	}
	w.WriteString("SELECT ")
	w.reads(columns)
	w.WriteString(", CASE")
	for i, c := range in.Conditions {
		w.unless(func() { w.condition(i, c) }, dialects.InPlaceUnmet)
	}
	for _, guard := range w.guards(in) {
		w.unless(guard.holds, guard.verdict)
	}
	fmt.Fprintf(w, " WHEN 1 = 1 THEN %d END FROM ", dialects.InPlaceWrites)
	w.name()
	w.WriteString(" WHERE ")
	w.key()
	if g.Syntax.Lock != "" {
		w.WriteString(" " + g.Syntax.Lock)
	}
	return w.statement(columns), nil
}

// unless writes a branch for a predicate that is false, or unknown for NULL.
func (w *writer) unless(predicate func(), verdict dialects.InPlaceVerdict) {
	w.WriteString(" WHEN COALESCE(NOT (")
	predicate()
	w.WriteString("), 1 = 1) THEN " + strconv.FormatInt(verdict, 10))
}

// inPlace checks what is asked for, and returns a writer for it.
func (g Generator) inPlace(t *dialects.Table, in dialects.InPlace) (*writer, error) {
	if err := g.check(t); err != nil {
		return nil, err
	}
	if err := g.checkInPlace(t, in); err != nil {
		return nil, fmt.Errorf("%s: table %s: %w", g.Syntax.Name, abbreviate(t.Name), err)
	}
	return g.writer(t), nil
}

func (g Generator) checkInPlace(t *dialects.Table, in dialects.InPlace) error {
	if len(in.Changes) == 0 {
		return errors.New("no changes in place")
	}
	seen := make(map[int]bool, len(in.Changes))
	for _, c := range in.Changes {
		if c.Column < 0 || c.Column >= len(t.Columns) || !t.Columns[c.Column].Writable() || seen[c.Column] || c.Op > dialects.InPlaceMin {
			return errors.New("a change in place is for one writable column each, by a known operator")
		}
		seen[c.Column] = true
	}
	for _, c := range in.Conditions {
		if c.Column < 0 || c.Column >= len(t.Columns) || t.Columns[c.Column].Version != dialects.NotVersion || c.Is > dialects.InPlaceIsNotNull {
			return errors.New("a condition in place is about a column that is not the version, by a known comparison")
		}
	}
	return g.checkMove(t.Columns[t.VersionColumn()].Version)
}

// checkMove tells whether the version can be moved, and comes back, in one
// statement.
func (g Generator) checkMove(kind dialects.VersionKind) error {
	switch {
	case kind == dialects.Timestamp && g.Syntax.NextTime == "":
		return fmt.Errorf("a timestamp version must grow, and cannot be moved here without being read: %w", errors.ErrUnsupported)
	case kind == dialects.Counter && !g.Syntax.UpdateReturning && !g.Syntax.Identity:
		return fmt.Errorf("a counter that is moved here does not come back: %w", errors.ErrUnsupported)
	}
	return nil
}

var valuer = reflect.TypeFor[driver.Valuer]()

// number tells whether a field is an integer that is bound as one.
func number(t reflect.Type) bool {
	return t != nil && integer(t) && !t.Implements(valuer) && !reflect.PointerTo(t).Implements(valuer)
}

// value writes the placeholder of a number that is compared or reckoned with.
func (w *writer) value(source dialects.Source, column, index int) {
	w.args = append(w.args, dialects.Arg{Source: source, Column: column, Index: index})
	placeholder := w.syntax.Placeholder(len(w.args))
	if w.syntax.IntegerCast != "" && number(w.table.Columns[column].Type) {
		placeholder = fmt.Sprintf(w.syntax.IntegerCast, placeholder)
	}
	w.WriteString(placeholder)
}

// operandOf writes the column as a change starts from it.
func (w *writer) operandOf(c dialects.InPlaceChange) {
	if !c.NullIsZero {
		w.column(c.Column)
		return
	}
	w.WriteString("COALESCE(")
	w.column(c.Column)
	w.WriteString(", 0)")
}

func (w *writer) sum(i int, c dialects.InPlaceChange) {
	w.operandOf(c)
	w.WriteString(" + ")
	w.value(dialects.Operand, c.Column, i)
}

func (w *writer) change(i int, c dialects.InPlaceChange) {
	w.column(c.Column)
	w.WriteString(" = ")
	switch c.Op {
	case dialects.InPlaceSet:
		w.args = append(w.args, dialects.Arg{Source: dialects.Operand, Column: c.Column, Index: i})
		w.WriteString(w.syntax.Placeholder(len(w.args)))
	case dialects.InPlaceAdd:
		w.sum(i, c)
	default:
		// Not GREATEST: with NULL it means something else on each database.
		w.WriteString("CASE WHEN ")
		w.operandOf(c)
		w.WriteString(map[dialects.InPlaceOp]string{dialects.InPlaceMax: " >= ", dialects.InPlaceMin: " <= "}[c.Op])
		w.value(dialects.Operand, c.Column, i)
		w.WriteString(" THEN ")
		w.column(c.Column)
		w.WriteString(" ELSE ")
		w.value(dialects.Operand, c.Column, i)
		w.WriteString(" END")
	}
}

var comparisons = [...]string{
	dialects.InPlaceEqual: " = ", dialects.InPlaceNotEqual: " <> ",
	dialects.InPlaceLess: " < ", dialects.InPlaceAtMost: " <= ",
	dialects.InPlaceGreater: " > ", dialects.InPlaceAtLeast: " >= ",
	dialects.InPlaceIsNull: " IS NULL", dialects.InPlaceIsNotNull: " IS NOT NULL",
}

func (w *writer) condition(i int, c dialects.InPlaceCondition) {
	w.column(c.Column)
	w.WriteString(comparisons[c.Is])
	if c.Is < dialects.InPlaceIsNull {
		w.value(dialects.Bound, c.Column, i)
	}
}

// moveVersion writes the assignment of the version, and returns the column's name
// if its value is reported as last insert id.
func (w *writer) moveVersion(i int) (identity string) {
	c := w.table.Columns[i]
	if c.Version == dialects.Xmin { // moves by itself
		return ""
	}
	w.WriteString(", ")
	w.column(i)
	w.WriteString(" = ")
	switch {
	case c.Version == dialects.Timestamp:
		fmt.Fprintf(w, w.syntax.NextTime, w.placeholder(dialects.Next, i), w.syntax.quote(c.Name))
	case c.Version != dialects.Counter:
		w.bind(dialects.Next, i)
	case w.syntax.Identity && !w.syntax.UpdateReturning:
		w.WriteString("CAST(LAST_INSERT_ID(") // which is unsigned, and a version may be negative
		w.column(i)
		w.WriteString(" + 1) AS SIGNED)")
		return c.Name
	default:
		w.column(i)
		w.WriteString(" + 1")
	}
	return ""
}
