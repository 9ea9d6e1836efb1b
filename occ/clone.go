package occ

import (
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"
)

// copier copies rows so that original and copy share nothing that could change:
// what is done to one is not seen in the other. Only mapped fields are copied,
// which makes a copy what a fresh read would be.
type copier[T any] struct {
	fields []field
	clones []cloneFunc // parallel to fields; nil where assignment is enough
	whole  bool        // assignment of the struct is enough
	types  *cloneTypes
}

// cloneFunc copies src to dst, which is of the same type and zero. It returns
// false when it cannot. Depth is how many pointers were followed to get there.
type cloneFunc func(dst, src reflect.Value, depth int) bool

// maxDepth is how deep a row may be nested. A deeper one is not copied: it may
// be a circle.
const maxDepth = 100

func newCopier[T any](m *mapping, immutable []reflect.Type) *copier[T] {
	c := &copier[T]{fields: m.fields, types: &cloneTypes{immutable: immutable}}
	c.whole = mappedWhole(m.typ)
	for i := range m.fields {
		clone := c.types.of(m.fields[i].typ)
		c.clones = append(c.clones, clone)
		c.whole = c.whole && clone == nil
	}
	return c
}

// mappedWhole tells whether every field of a struct is mapped.
func mappedWhole(t reflect.Type) bool {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("occ")
		switch {
		case tag == "-":
			return false
		case tagged:
		case sf.Anonymous && sf.Type.Kind() == reflect.Struct:
			if !mappedWhole(sf.Type) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// copy makes *dst, which is zero, a copy of *src. False means that the row holds
// something that cannot be copied; *dst is then of no use.
func (c *copier[T]) copy(dst, src *T) bool {
	if c.whole {
		*dst = *src
		return true
	}
	to, from := reflect.ValueOf(dst).Elem(), reflect.ValueOf(src).Elem()
	for i := range c.fields {
		d, s := c.fields[i].of(to), c.fields[i].of(from)
		if clone := c.clones[i]; clone == nil {
			d.Set(s)
		} else if !clone(d, s, 0) {
			return false
		}
	}
	return true
}

// cloneTypes finds out how values of a type are copied.
type cloneTypes struct {
	immutable []reflect.Type
	known     sync.Map // reflect.Type -> cloneFunc
}

// values whose insides are shared by assignment and never change.
var immutableTypes = []reflect.Type{
	timeType, reflect.TypeFor[time.Location](),
	reflect.TypeFor[netip.Addr](), reflect.TypeFor[netip.AddrPort](), reflect.TypeFor[netip.Prefix](),
}

func refuseClone(reflect.Value, reflect.Value, int) bool { return false }

// of returns how to copy a t; nil when assignment is enough.
func (c *cloneTypes) of(t reflect.Type) cloneFunc {
	if clone, ok := c.known.Load(t); ok {
		return clone.(cloneFunc)
	}
	// A type that contains itself finds this while it is being looked at.
	c.known.Store(t, cloneFunc(func(dst, src reflect.Value, depth int) bool {
		clone, _ := c.known.Load(t)
		return clone.(cloneFunc)(dst, src, depth)
	}))
	clone := c.make(t)
	c.known.Store(t, clone)
	return clone
}

func (c *cloneTypes) make(t reflect.Type) cloneFunc {
	if slices.Contains(immutableTypes, t) || slices.Contains(c.immutable, t) {
		return nil
	}
	switch t.Kind() {
	case reflect.Slice:
		return c.slice(t)
	case reflect.Array:
		return c.array(t)
	case reflect.Map:
		return c.mapping(t)
	case reflect.Pointer:
		return c.pointer(t)
	case reflect.Interface:
		return c.dynamic
	case reflect.Struct:
		return c.structure(t)
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return refuseClone
	default:
		return nil
	}
}

// cloneValue copies one value by the function of its type.
func cloneValue(clone cloneFunc, dst, src reflect.Value, depth int) bool {
	if clone != nil {
		return clone(dst, src, depth)
	}
	dst.Set(src)
	return true
}

func (c *cloneTypes) slice(t reflect.Type) cloneFunc {
	elem := c.of(t.Elem())
	return func(dst, src reflect.Value, depth int) bool {
		if src.IsNil() || depth > maxDepth {
			return src.IsNil()
		}
		dst.Set(reflect.MakeSlice(t, src.Len(), src.Len()))
		if elem == nil {
			reflect.Copy(dst, src)
			return true
		}
		return elements(elem, dst, src, depth+1)
	}
}

func elements(elem cloneFunc, dst, src reflect.Value, depth int) bool {
	for i := range src.Len() {
		if !elem(dst.Index(i), src.Index(i), depth) {
			return false
		}
	}
	return true
}

func (c *cloneTypes) array(t reflect.Type) cloneFunc {
	elem := c.of(t.Elem())
	if elem == nil {
		return nil
	}
	return func(dst, src reflect.Value, depth int) bool { return elements(elem, dst, src, depth) }
}

func (c *cloneTypes) mapping(t reflect.Type) cloneFunc {
	if c.of(t.Key()) != nil { // equal by address, perhaps: a copy would not be found
		return refuseClone
	}
	elem := c.of(t.Elem())
	return func(dst, src reflect.Value, depth int) bool {
		if src.IsNil() || depth > maxDepth {
			return src.IsNil()
		}
		dst.Set(reflect.MakeMapWithSize(t, src.Len()))
		for entries := src.MapRange(); entries.Next(); {
			value := reflect.New(t.Elem()).Elem()
			if !cloneValue(elem, value, entries.Value(), depth+1) {
				return false
			}
			dst.SetMapIndex(entries.Key(), value)
		}
		return true
	}
}

func (c *cloneTypes) pointer(t reflect.Type) cloneFunc {
	elem := c.of(t.Elem())
	return func(dst, src reflect.Value, depth int) bool {
		if src.IsNil() || depth > maxDepth {
			return src.IsNil()
		}
		dst.Set(reflect.New(t.Elem()))
		return cloneValue(elem, dst.Elem(), src.Elem(), depth+1)
	}
}

// dynamic copies what an interface holds.
func (c *cloneTypes) dynamic(dst, src reflect.Value, depth int) bool {
	if src.IsNil() || depth > maxDepth {
		return src.IsNil()
	}
	value := reflect.New(src.Elem().Type()).Elem()
	if !cloneValue(c.of(value.Type()), value, src.Elem(), depth+1) {
		return false
	}
	dst.Set(value)
	return true
}

// structure copies a struct by assignment, and then what its exported fields
// share. Shared things in fields that are not exported cannot be copied.
func (c *cloneTypes) structure(t reflect.Type) cloneFunc {
	var fields []int
	var clones []cloneFunc
	for i := range t.NumField() {
		clone := c.of(t.Field(i).Type)
		switch {
		case clone == nil:
		case !t.Field(i).IsExported():
			return refuseClone
		default:
			fields, clones = append(fields, i), append(clones, clone)
		}
	}
	if len(fields) == 0 {
		return nil
	}
	return func(dst, src reflect.Value, depth int) bool {
		dst.Set(src)
		for n, i := range fields {
			dst.Field(i).SetZero()
			if !clones[n](dst.Field(i), src.Field(i), depth) {
				return false
			}
		}
		return true
	}
}
