package occ

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// inPlace is one change in place on its way.
type inPlace[T any, K comparable] struct {
	w          writing[T, K]
	statements *inPlaceStatements
	operands   []any // values of the changes
	limits     []any // values of the conditions
	about      []string
}

// inPlaceStatements are what a shape of changes and conditions is compiled to.
type inPlaceStatements struct{ update, check dialects.Statement }

// planInPlace checks changes and conditions against the mapping, and returns them
// with their values as they are bound.
func (c *core[T, K]) planInPlace(op string, changes []Change, conditions []Condition) (*inPlace[T, K], error) {
	in := &inPlace[T, K]{}
	var shape dialects.InPlace
	for _, ch := range changes {
		planned, value, err := c.planChange(ch)
		switch {
		case err != nil:
			return nil, c.usage(op, "%w", err)
		case ch.op == dialects.InPlaceSet && len(conditions) == 0:
			return nil, c.usage(op, "column %q is set without a condition, which would overwrite what others write: add one, or use Patch or Overwrite", ch.column)
		case slices.ContainsFunc(shape.Changes, func(p dialects.InPlaceChange) bool { return p.Column == planned.Column }):
			return nil, c.usage(op, "column %q is changed twice", ch.column)
		}
		// In the order of the columns, so that few statements are compiled.
		at, _ := slices.BinarySearchFunc(shape.Changes, planned.Column, func(p dialects.InPlaceChange, column int) int { return p.Column - column })
		shape.Changes = slices.Insert(shape.Changes, at, planned)
		in.operands = slices.Insert(in.operands, at, value)
	}
	if len(changes) == 0 {
		return nil, c.usage(op, "no changes are given; Touch moves the version alone")
	}
	for _, cond := range conditions {
		planned, value, err := c.planCondition(cond)
		if err != nil {
			return nil, c.usage(op, "%w", err)
		}
		shape.Conditions = append(shape.Conditions, planned)
		in.limits = append(in.limits, value)
		if !slices.Contains(in.about, cond.column) {
			in.about = append(in.about, cond.column)
		}
	}
	var err error
	if in.statements, err = c.compileInPlace(shape); err != nil {
		return nil, c.usage(op, "%w", err)
	}
	return in, nil
}

// compileInPlace returns the statements of a shape, compiled once for each.
func (c *core[T, K]) compileInPlace(shape dialects.InPlace) (*inPlaceStatements, error) {
	var b strings.Builder
	for _, ch := range shape.Changes {
		fmt.Fprintf(&b, "%d %d,", ch.Column, ch.Op)
	}
	for _, cond := range shape.Conditions {
		fmt.Fprintf(&b, "?%d %d,", cond.Column, cond.Is)
	}
	if st, ok := c.inPlace.Load(b.String()); ok {
		return st.(*inPlaceStatements), nil
	}
	w, ok := c.db.dialect.(dialects.InPlaceWriter)
	if !ok {
		return nil, fmt.Errorf("dialect %s changes no rows in place", c.db.dialect.Name())
	}
	var st inPlaceStatements
	var err error
	if st.update, err = w.InPlaceUpdate(&c.m.table, shape); err != nil {
		return nil, err
	}
	if st.check, err = w.InPlaceCheck(&c.m.table, shape); err != nil {
		return nil, err
	}
	c.inPlace.Store(b.String(), &st)
	return &st, nil
}

// changeable tells which columns may be changed in place.
func changeable(col dialects.Column) bool { return col.Writable() && !col.JSON }

// comparable tells which columns may be compared.
func comparableColumn(col dialects.Column) bool {
	return col.Version == dialects.NotVersion && !col.JSON
}

// columnFor returns the index of a column that is fit for a use.
func (c *core[T, K]) columnFor(name, use string, fit func(dialects.Column) bool) (int, error) {
	i := slices.IndexFunc(c.m.table.Columns, func(col dialects.Column) bool { return col.Name == name && fit(col) })
	if i < 0 {
		return 0, fmt.Errorf("no column %q can be %s in place; those that can are %s", name, use, c.columnNames(fit))
	}
	return i, nil
}

func (c *core[T, K]) planChange(ch Change) (p dialects.InPlaceChange, value any, err error) {
	i, err := c.columnFor(ch.column, "changed", changeable)
	if err != nil {
		return p, nil, err
	}
	f := &c.m.fields[i]
	p = dialects.InPlaceChange{Column: i, Op: ch.op, NullIsZero: f.nullish}
	if ch.op == dialects.InPlaceSet {
		value, err = f.bindAny(ch.column, ch.value)
		return p, value, err
	}
	if !isNumber(f.typ) {
		return p, nil, fmt.Errorf("column %q is a %s in Go, not a number", ch.column, f.typ)
	}
	value, err = f.bindNumber(ch.column, ch.value, ch.op == dialects.InPlaceAdd)
	return p, value, err
}

func (c *core[T, K]) planCondition(cond Condition) (p dialects.InPlaceCondition, value any, err error) {
	i, err := c.columnFor(cond.column, "compared", comparableColumn)
	if err != nil {
		return p, nil, err
	}
	f := &c.m.fields[i]
	p = dialects.InPlaceCondition{Column: i, Is: cond.is}
	if cond.is <= dialects.InPlaceNotEqual {
		if value, err = f.bindAny(cond.column, cond.value); err == nil && value == nil {
			p.Is += dialects.InPlaceIsNull - dialects.InPlaceEqual
		}
		return p, value, err
	}
	if isNumber(f.typ) {
		value, err = f.bindNumber(cond.column, cond.value, false)
		return p, value, err
	}
	// Times that are kept as text have no order that can be relied on.
	if t := base(f.typ); t.Kind() == reflect.String && !custom(t) || t == timeType && !c.m.utc {
		if value, err = f.bindAny(cond.column, cond.value); err == nil && value == nil && cond.value != nil {
			value = cond.value // the zero of a nullable column
		} else if value == nil && err == nil {
			err = fmt.Errorf("column %q is compared with nil", cond.column)
		}
		return p, value, err
	}
	return p, nil, fmt.Errorf("column %q is a %s in Go, which is not ordered here: numbers and strings are, and times unless they are kept as text", cond.column, f.typ)
}

// base returns what a pointer points to.
func base(t reflect.Type) reflect.Type {
	if t.Kind() == reflect.Pointer {
		return t.Elem()
	}
	return t
}

// custom tells whether a type decides itself how it is stored.
func custom(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(scannerType) || t.Implements(valuerType)
}

func isNumber(t reflect.Type) bool {
	t = base(t)
	return isInteger(t) || !custom(t) && (t.Kind() == reflect.Float32 || t.Kind() == reflect.Float64)
}

// bindAny binds a value as the field would be.
func (f *field) bindAny(column string, value any) (any, error) {
	v := reflect.New(f.typ).Elem()
	if value == nil && f.nullish {
		return nil, nil //nolint:nilnil // nil is SQL's NULL
	}
	if !assign(v, reflect.ValueOf(value)) {
		return nil, fmt.Errorf("column %q is a %s in Go, and cannot be %T(%v)", column, f.typ, value, value)
	}
	bound, err := f.codec.bind(pointer(v))
	if err != nil {
		return nil, fmt.Errorf("column %q: %w", column, err)
	}
	return bound, nil
}

// bindNumber binds a number for a column. A difference may be negative although
// the column is not, and wider than its field; it is never NULL.
func (f *field) bindNumber(column string, value any, difference bool) (any, error) {
	t := base(f.typ)
	if difference && isInteger(t) {
		t = reflect.TypeFor[int64]()
	}
	v := reflect.New(t).Elem()
	if !assign(v, reflect.ValueOf(value)) {
		return nil, fmt.Errorf("column %q is a %s in Go, and %T(%v) is no number for it", column, f.typ, value, value)
	}
	switch {
	case v.CanInt():
		return v.Int(), nil
	case v.CanUint() && v.Uint() <= math.MaxInt64:
		return int64(v.Uint()), nil
	case v.CanFloat() && !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0):
		return v.Float(), nil
	}
	return nil, fmt.Errorf("column %q cannot be reckoned with %v", column, value)
}

// assign sets dst to src if that loses nothing.
func assign(dst, src reflect.Value) bool {
	if !src.IsValid() { // nil
		return dst.Kind() == reflect.Pointer || dst.Kind() == reflect.Slice
	}
	t := dst.Type()
	switch {
	case src.Type().AssignableTo(t):
		dst.Set(src)
		return true
	case t.Kind() == reflect.Pointer:
		p := reflect.New(t.Elem())
		if !assign(p.Elem(), src) {
			return false
		}
		dst.Set(p)
		return true
	case src.Kind() == dst.Kind() && src.CanConvert(t):
		dst.Set(src.Convert(t))
		return true
	}
	return assignNumber(dst, src)
}

func assignNumber(dst, src reflect.Value) bool {
	switch {
	case dst.CanInt() && src.CanInt() && !dst.OverflowInt(src.Int()):
		dst.SetInt(src.Int())
	case dst.CanInt() && src.CanUint() && src.Uint() <= math.MaxInt64 && !dst.OverflowInt(int64(src.Uint())):
		dst.SetInt(int64(src.Uint()))
	case dst.CanUint() && src.CanUint() && !dst.OverflowUint(src.Uint()):
		dst.SetUint(src.Uint())
	case dst.CanUint() && src.CanInt() && src.Int() >= 0 && !dst.OverflowUint(uint64(src.Int())):
		dst.SetUint(uint64(src.Int()))
	case dst.CanFloat() && src.CanFloat():
		dst.SetFloat(src.Float())
	case dst.CanFloat() && src.CanInt():
		dst.SetFloat(float64(src.Int()))
	default:
		return false
	}
	return true
}
