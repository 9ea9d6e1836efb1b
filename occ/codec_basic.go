package occ

import (
	"reflect"
	"time"
	"unsafe"
)

// basicOf returns the codec of the types that drivers know best. A field of a type
// that is defined as one of them is bound and scanned as the basic one.
func basicOf(t reflect.Type) (codec, bool) {
	switch {
	case t == timeType:
		return codec{bindAs[time.Time], destAs[time.Time]}, true
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Uint8:
		return codec{bindBytes, destAs[[]byte]}, true
	}
	c, ok := basics[t.Kind()]
	return c, ok
}

var basics = map[reflect.Kind]codec{
	reflect.Bool:    {bindAs[bool], destAs[bool]},
	reflect.String:  {bindAs[string], destAs[string]},
	reflect.Int:     {bindInt[int], destAs[int]},
	reflect.Int8:    {bindInt[int8], destAs[int8]},
	reflect.Int16:   {bindInt[int16], destAs[int16]},
	reflect.Int32:   {bindInt[int32], destAs[int32]},
	reflect.Int64:   {bindAs[int64], destAs[int64]},
	reflect.Uint:    {bindUint[uint], destAs[uint]},
	reflect.Uint8:   {bindUint[uint8], destAs[uint8]},
	reflect.Uint16:  {bindUint[uint16], destAs[uint16]},
	reflect.Uint32:  {bindUint[uint32], destAs[uint32]},
	reflect.Uint64:  {bindUint[uint64], destAs[uint64]},
	reflect.Float32: {func(p unsafe.Pointer) (any, error) { return float64(*(*float32)(p)), nil }, destAs[float32]},
	reflect.Float64: {bindAs[float64], destAs[float64]},
}

func bindAs[B any](p unsafe.Pointer) (any, error) { return *(*B)(p), nil }

func bindInt[N int | int8 | int16 | int32](p unsafe.Pointer) (any, error) {
	return int64(*(*N)(p)), nil
}

func bindUint[N uint | uint8 | uint16 | uint32 | uint64](p unsafe.Pointer) (any, error) {
	u := uint64(*(*N)(p))
	if u > 1<<63-1 {
		return u, nil // drivers that cannot take it say so
	}
	return int64(u), nil //nolint:gosec // in range: checked above
}

func bindBytes(p unsafe.Pointer) (any, error) {
	b := *(*[]byte)(p)
	if b == nil {
		return nil, nil //nolint:nilnil // nil is SQL's NULL
	}
	return b, nil
}
