package occ

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"reflect"
	"time"
	"unsafe"

	"github.com/occkit/occkit/dialects"
)

var (
	timeType    = reflect.TypeFor[time.Time]()
	scannerType = reflect.TypeFor[scanner]()
	valuerType  = reflect.TypeFor[driver.Valuer]()
)

// scanner is sql.Scanner, restated so that occ needs no database/sql.
type scanner interface{ Scan(src any) error }

// codec moves one field between its struct and a driver. It is given a pointer to
// the field, because every statement of a hot path comes by here for each of its
// columns: see [pointer].
type codec struct {
	// bind returns the value to hand to the driver. Bytes are not copied: the
	// row must not change while the statement runs.
	bind bindFunc
	// dest returns what to scan into, and what to do once the scan succeeded
	// (nil: nothing).
	dest destFunc
}

type (
	bindFunc func(p unsafe.Pointer) (any, error)
	destFunc func(p unsafe.Pointer) (dest any, finish func())
)

// pointer returns where an addressable value is. The pointers that codecs are given
// come from here or are such a one plus the offset of a field, and are read as the
// type that the codec was made for: patterns 5 and 3 of package unsafe.
func pointer(v reflect.Value) unsafe.Pointer { return unsafe.Pointer(v.UnsafeAddr()) }

// valueAt is the inverse of pointer.
func valueAt(t reflect.Type, p unsafe.Pointer) reflect.Value { return reflect.NewAt(t, p).Elem() }

// bindValue makes a bindFunc for type t of a function on its values.
func bindValue(t reflect.Type, bind func(v reflect.Value) (any, error)) bindFunc {
	return func(p unsafe.Pointer) (any, error) { return bind(valueAt(t, p)) }
}

// newCodec chooses the codec of a field type, or returns why there is none.
func newCodec(t reflect.Type, col *dialects.Column, nullish, utc bool) (c codec, reason string) {
	switch {
	case col.JSON && nullish:
		return codec{}, "is json and nullable; use a pointer field for a json column that can be NULL"
	case col.JSON:
		return codec{bind: bindValue(t, bindJSON), dest: destJSON(t)}, ""
	}
	bind, reason := binder(t, col.ReadOnly)
	if reason != "" {
		return codec{}, reason
	}
	if utc && (t == timeType || t == reflect.PointerTo(timeType)) {
		bind = inUTC(bind)
	}
	c = codec{bind: bind, dest: destOf(t)}
	if reflect.PointerTo(t).Implements(scannerType) {
		c = codec{bind: bind, dest: destScanner(t, nullish)}
		if nullish {
			c.bind = orNull(t, bind)
		}
		return c, ""
	}
	if nullish {
		if t.Kind() == reflect.Pointer {
			return codec{}, "is a pointer, which is nullable as it is"
		}
		c = codec{bind: orNull(t, bind), dest: destNullable(t)}
	}
	return c, ""
}

// binder returns how values of type t are bound.
func binder(t reflect.Type, readonly bool) (bind bindFunc, reason string) {
	scans := reflect.PointerTo(t).Implements(scannerType)
	pointer := t.Kind() == reflect.Pointer // has the methods of what it points to
	if scans || (t.Implements(valuerType) && !pointer) {
		return valuerBinder(t, scans, readonly)
	}
	if basic, ok := basicOf(t); ok {
		return basic.bind, ""
	}
	if pointer && t.Elem().Kind() != reflect.Pointer {
		bind, reason := binder(t.Elem(), readonly)
		if reason != "" {
			return nil, reason
		}
		return func(p unsafe.Pointer) (any, error) {
			if p = *(*unsafe.Pointer)(p); p == nil {
				return nil, nil //nolint:nilnil // nil is SQL's NULL
			}
			return bind(p)
		}, ""
	}
	return nil, fmt.Sprintf("has type %s, which no column holds: use the json option, or a type that implements sql.Scanner and driver.Valuer", t)
}

func valuerBinder(t reflect.Type, scans, readonly bool) (bind bindFunc, reason string) {
	byValue, byPointer := t.Implements(valuerType), reflect.PointerTo(t).Implements(valuerType)
	switch {
	case !scans:
		return nil, fmt.Sprintf("has type %s, which implements driver.Valuer but not sql.Scanner", t)
	case byValue:
		return bindValue(t, func(v reflect.Value) (any, error) { return v.Interface().(driver.Valuer).Value() }), ""
	case byPointer:
		return bindValue(t, func(v reflect.Value) (any, error) { return v.Addr().Interface().(driver.Valuer).Value() }), ""
	case readonly:
		return nil, "" // never bound
	default:
		return nil, fmt.Sprintf("has type %s, which implements sql.Scanner but not driver.Valuer; only a readonly column can do without", t)
	}
}

// orNull binds the zero value as NULL.
func orNull(t reflect.Type, bind bindFunc) bindFunc {
	return func(p unsafe.Pointer) (any, error) {
		if valueAt(t, p).IsZero() {
			return nil, nil //nolint:nilnil // nil is SQL's NULL
		}
		return bind(p)
	}
}

// destOf returns how values of type t are scanned.
func destOf(t reflect.Type) destFunc {
	if basic, ok := basicOf(t); ok {
		return basic.dest
	}
	return func(p unsafe.Pointer) (any, func()) { return reflect.NewAt(t, p).Interface(), nil }
}

func destAs[B any](p unsafe.Pointer) (dest any, finish func()) { return (*B)(p), nil }

// inUTC binds times in UTC, for databases that store them as text: a zone without
// a name could not be read back.
func inUTC(bind bindFunc) bindFunc {
	return func(p unsafe.Pointer) (any, error) {
		bound, err := bind(p)
		if t, ok := bound.(time.Time); ok {
			return t.UTC(), err
		}
		return bound, err
	}
}

// destNullable scans through a pointer, and takes NULL for the zero value.
func destNullable(t reflect.Type) destFunc {
	return func(p unsafe.Pointer) (any, func()) {
		scanned := reflect.New(reflect.PointerTo(t))
		return scanned.Interface(), func() {
			if v := valueAt(t, p); scanned.Elem().IsNil() {
				v.SetZero()
			} else {
				v.Set(scanned.Elem().Elem())
			}
		}
	}
}

// bindJSON binds the document as text, which every database takes for JSON
// columns; MySQL refuses bytes. A nil pointer is NULL.
func bindJSON(v reflect.Value) (any, error) {
	if v.Kind() == reflect.Pointer && v.IsNil() {
		return nil, nil //nolint:nilnil // nil is SQL's NULL
	}
	b, err := json.Marshal(v.Interface())
	if err != nil {
		return nil, err
	}
	return string(b), nil
}

func destJSON(t reflect.Type) destFunc {
	return func(p unsafe.Pointer) (any, func()) { return &scanning{scanner: &jsonDest{valueAt(t, p)}}, nil }
}

// destScanner lets a type scan itself.
func destScanner(t reflect.Type, nullish bool) destFunc {
	return func(p unsafe.Pointer) (any, func()) {
		v := reflect.NewAt(t, p)
		s := &scanning{scanner: v.Interface().(scanner)}
		if nullish {
			s.null = v.Elem().SetZero
		}
		return s, nil
	}
}

// scanning calls the Scan of somebody else's type. A panic there must not unwind
// through database/sql, which holds a lock meanwhile that a deferred Close would
// wait for; it goes on in buffers.scan.
type scanning struct {
	scanner scanner
	null    func() // what NULL means; nil: Scan knows
}

func (s *scanning) Scan(src any) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{p}
		}
	}()
	if src == nil && s.null != nil {
		s.null()
		return nil
	}
	return s.scanner.Scan(src)
}

// panicError carries a panic to where it is safe.
type panicError struct{ value any }

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v", e.value) }

// values calls the Value methods of the caller's own arguments before anything
// is sent, so that their errors are no errors of the database.
func values(args []any) ([]any, error) {
	for i, arg := range args {
		valuer, ok := arg.(driver.Valuer)
		if !ok || (reflect.ValueOf(arg).Kind() == reflect.Pointer && reflect.ValueOf(arg).IsNil()) {
			continue
		}
		value, err := valuer.Value()
		if err != nil {
			return nil, fmt.Errorf("argument %d: %w", i+1, err)
		}
		args = append([]any(nil), args...)
		args[i] = value
	}
	return args, nil
}

// jsonDest scans a JSON document into a field. It starts from the zero value,
// so that nothing of an older document shines through.
type jsonDest struct{ v reflect.Value }

func (d *jsonDest) Scan(src any) error {
	d.v.SetZero()
	switch src := src.(type) {
	case nil:
		return nil
	case []byte:
		return json.Unmarshal(src, d.v.Addr().Interface())
	case string:
		return json.Unmarshal([]byte(src), d.v.Addr().Interface())
	default:
		return fmt.Errorf("a JSON column came as %T", src)
	}
}

func isInteger(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(scannerType) || t.Implements(valuerType) {
		return false
	}
	k := t.Kind()
	return k >= reflect.Int && k <= reflect.Uint64
}

func isToken(t reflect.Type) bool {
	if t.Kind() == reflect.String {
		return true
	}
	return t.Kind() == reflect.Array && t.Len() == 16 && t.Elem().Kind() == reflect.Uint8
}
