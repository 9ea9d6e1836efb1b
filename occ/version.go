package occ

import (
	"fmt"
	"math"
	"reflect"
	"time"

	"github.com/google/uuid"

	"github.com/occkit/occkit/dialects"
)

// versioner computes versions: the first of a row, and the next after one.
type versioner struct {
	kind      dialects.VersionKind
	typ       reflect.Type
	field     *field
	precision time.Duration
	now       func() time.Time
}

// first sets dst to the version of a new row. It leaves dst alone where only
// the database can know it.
func (v *versioner) first(dst reflect.Value) error {
	switch {
	case v.kind != dialects.Counter:
		return v.unordered(dst, time.Time{})
	case dst.CanInt():
		dst.SetInt(1)
	default:
		dst.SetUint(1)
	}
	return nil
}

// next sets dst to the version that a write gives a row which is at expected.
// It refuses to leave the range of the Go type: 2^63-1 + 1 wraps in Go, becomes
// a float on SQLite and an error elsewhere.
func (v *versioner) next(dst, expected reflect.Value) error {
	switch {
	case v.kind == dialects.Timestamp:
		return v.unordered(dst, expected.Interface().(time.Time).Add(v.precision))
	case v.kind != dialects.Counter:
		return v.unordered(dst, time.Time{})
	case dst.CanInt():
		n := expected.Int()
		if n == math.MaxInt64 || dst.OverflowInt(n+1) {
			return v.overflow(n)
		}
		dst.SetInt(n + 1)
	default:
		n := expected.Uint()
		if n >= math.MaxInt64 || dst.OverflowUint(n+1) { // columns are signed
			return v.overflow(n)
		}
		dst.SetUint(n + 1)
	}
	return nil
}

func (v *versioner) overflow(n any) error {
	return fmt.Errorf("version %v is the last that a %s holds", n, v.typ)
}

// unordered sets dst to a version that does not count: a UUIDv7 (RFC 9562), or
// the clock's time but no earlier than earliest.
func (v *versioner) unordered(dst reflect.Value, earliest time.Time) error {
	switch v.kind {
	case dialects.Token:
		id, err := uuid.NewV7()
		if err != nil {
			return fmt.Errorf("version token: %w", err)
		}
		if v.typ.Kind() == reflect.String {
			dst.SetString(id.String())
		} else {
			dst.Set(reflect.ValueOf(id).Convert(v.typ))
		}
	case dialects.Timestamp:
		now := v.now().UTC().Truncate(v.precision)
		if now.Before(earliest) {
			now = earliest.UTC()
		}
		dst.Set(reflect.ValueOf(now))
	}
	return nil
}

// same tells whether two versions are equal.
func (v *versioner) same(a, b reflect.Value) bool {
	switch {
	case v.kind == dialects.Timestamp:
		return a.Interface().(time.Time).Equal(b.Interface().(time.Time))
	case a.CanInt():
		return a.Int() == b.Int()
	default:
		return a.Equal(b)
	}
}
