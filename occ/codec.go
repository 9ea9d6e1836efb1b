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

// codec moves one field between its struct and a driver.
type codec struct {
	// bind returns the value to hand to the driver. Bytes are not copied: the
	// row must not change while the statement runs.
	bind func(v reflect.Value) (any, error)
	// dest returns what to scan into, and what to do once the scan succeeded
	// (nil: nothing).
	dest func(v reflect.Value) (dest any, finish func())
}

// newCodec chooses the codec of a field type, or returns why there is none.
func newCodec(t reflect.Type, col *dialects.Column, nullish, utc bool) (c codec, reason string) {
	switch {
	case col.JSON && nullish:
		return codec{}, "is json and nullable; use a pointer field for a json column that can be NULL"
	case col.JSON:
		return codec{bind: bindJSON, dest: destJSON}, ""
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
		c = codec{bind: bind, dest: destScanner(nullish)}
		if nullish {
			c.bind = orNull(bind)
		}
		return c, ""
	}
	if nullish {
		if t.Kind() == reflect.Pointer {
			return codec{}, "is a pointer, which is nullable as it is"
		}
		c = codec{bind: orNull(bind), dest: destNullable}
	}
	return c, ""
}

// binder returns how values of type t are bound.
func binder(t reflect.Type, readonly bool) (bind func(reflect.Value) (any, error), reason string) {
	scans := reflect.PointerTo(t).Implements(scannerType)
	pointer := t.Kind() == reflect.Pointer // has the methods of what it points to
	if scans || (t.Implements(valuerType) && !pointer) {
		return valuerBinder(t, scans, readonly)
	}
	if t == timeType {
		return bindInterface, ""
	}
	switch t.Kind() {
	case reflect.Bool:
		return func(v reflect.Value) (any, error) { return v.Bool(), nil }, ""
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return func(v reflect.Value) (any, error) { return v.Int(), nil }, ""
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return bindUint, ""
	case reflect.Float32, reflect.Float64:
		return func(v reflect.Value) (any, error) { return v.Float(), nil }, ""
	case reflect.String:
		return func(v reflect.Value) (any, error) { return v.String(), nil }, ""
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return bindBytes, ""
		}
	case reflect.Pointer:
		if t.Elem().Kind() != reflect.Pointer {
			bind, reason := binder(t.Elem(), readonly)
			if reason != "" {
				return nil, reason
			}
			return func(v reflect.Value) (any, error) {
				if v.IsNil() {
					return nil, nil //nolint:nilnil // nil is SQL's NULL
				}
				return bind(v.Elem())
			}, ""
		}
	}
	return nil, fmt.Sprintf("has type %s, which no column holds: use the json option, or a type that implements sql.Scanner and driver.Valuer", t)
}

func valuerBinder(t reflect.Type, scans, readonly bool) (bind func(reflect.Value) (any, error), reason string) {
	byValue, byPointer := t.Implements(valuerType), reflect.PointerTo(t).Implements(valuerType)
	switch {
	case !scans:
		return nil, fmt.Sprintf("has type %s, which implements driver.Valuer but not sql.Scanner", t)
	case byValue:
		return func(v reflect.Value) (any, error) { return v.Interface().(driver.Valuer).Value() }, ""
	case byPointer:
		return func(v reflect.Value) (any, error) { return v.Addr().Interface().(driver.Valuer).Value() }, ""
	case readonly:
		return nil, "" // never bound
	default:
		return nil, fmt.Sprintf("has type %s, which implements sql.Scanner but not driver.Valuer; only a readonly column can do without", t)
	}
}

func bindInterface(v reflect.Value) (any, error) { return v.Interface(), nil }

func bindUint(v reflect.Value) (any, error) {
	if u := v.Uint(); u > 1<<63-1 {
		return u, nil // drivers that cannot take it say so
	}
	return int64(v.Uint()), nil //nolint:gosec // in range: checked above
}

func bindBytes(v reflect.Value) (any, error) {
	if v.IsNil() {
		return nil, nil //nolint:nilnil // nil is SQL's NULL
	}
	return v.Bytes(), nil
}

// orNull binds the zero value as NULL.
func orNull(bind func(reflect.Value) (any, error)) func(reflect.Value) (any, error) {
	return func(v reflect.Value) (any, error) {
		if v.IsZero() {
			return nil, nil //nolint:nilnil // nil is SQL's NULL
		}
		return bind(v)
	}
}

// destOf returns how values of type t are scanned. Drivers know the basic types
// best, so a field of a type that is defined as one is scanned as the basic one.
func destOf(t reflect.Type) func(reflect.Value) (any, func()) {
	if t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8 {
		return destAs[[]byte]
	}
	if dest, ok := basics[t.Kind()]; ok {
		return dest
	}
	return func(v reflect.Value) (any, func()) { return v.Addr().Interface(), nil }
}

var basics = map[reflect.Kind]func(reflect.Value) (any, func()){
	reflect.Bool: destAs[bool], reflect.String: destAs[string],
	reflect.Int: destAs[int], reflect.Int8: destAs[int8], reflect.Int16: destAs[int16],
	reflect.Int32: destAs[int32], reflect.Int64: destAs[int64],
	reflect.Uint: destAs[uint], reflect.Uint8: destAs[uint8], reflect.Uint16: destAs[uint16],
	reflect.Uint32: destAs[uint32], reflect.Uint64: destAs[uint64],
	reflect.Float32: destAs[float32], reflect.Float64: destAs[float64],
}

func destAs[B any](v reflect.Value) (dest any, finish func()) { return pointerTo[B](v), nil }

// pointerTo returns a pointer to v, whose type is B or defined as B. It does what
// v.Addr().Interface().(*B) does, but for the search for the pointer's type.
func pointerTo[B any](v reflect.Value) *B {
	return (*B)(unsafe.Pointer(v.UnsafeAddr())) //nolint:gosec // pattern 5 of package unsafe
}

// inUTC binds times in UTC, for databases that store them as text: a zone without
// a name could not be read back.
func inUTC(bind func(reflect.Value) (any, error)) func(reflect.Value) (any, error) {
	return func(v reflect.Value) (any, error) {
		bound, err := bind(v)
		if t, ok := bound.(time.Time); ok {
			return t.UTC(), err
		}
		return bound, err
	}
}

// destNullable scans through a pointer, and takes NULL for the zero value.
func destNullable(v reflect.Value) (dest any, finish func()) {
	p := reflect.New(reflect.PointerTo(v.Type()))
	return p.Interface(), func() {
		if p.Elem().IsNil() {
			v.SetZero()
		} else {
			v.Set(p.Elem().Elem())
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

func destJSON(v reflect.Value) (dest any, finish func()) {
	return &scanning{scanner: &jsonDest{v}}, nil
}

// destScanner lets a type scan itself.
func destScanner(nullish bool) func(reflect.Value) (any, func()) {
	return func(v reflect.Value) (any, func()) {
		s := &scanning{scanner: v.Addr().Interface().(scanner)}
		if nullish {
			s.null = v.SetZero
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
