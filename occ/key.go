package occ

import (
	"reflect"
	"slices"
	"strings"
)

// keyer moves keys between K, rows and drivers.
type keyer[K comparable] struct {
	m      *mapping
	single *field // the key's field, when K is that field's own type
	plain  bool   // single, and drivers take K as it is
	parts  []part // else: how K's fields correspond to key columns, in column order
}

// part is one column of a composite key.
type part struct {
	in  []int  // index path in K
	col *field // field of the row
}

// newKeyer matches K with the key columns of m.
func newKeyer[K comparable](m *mapping) (*keyer[K], error) {
	kt := reflect.TypeFor[K]()
	k := &keyer[K]{m: m}
	if len(m.keys) == 1 && m.fields[m.keys[0]].typ == kt {
		k.single = &m.fields[m.keys[0]]
		k.plain = isPlain(kt)
		return k, nil
	}
	if kt.Kind() != reflect.Struct {
		return nil, k.mismatch(kt)
	}
	columns := map[string]reflect.StructField{}
	for _, sf := range reflect.VisibleFields(kt) {
		if name, _, _ := strings.Cut(sf.Tag.Get("occ"), ","); name != "" && sf.IsExported() {
			columns[name] = sf
		}
	}
	for _, i := range m.keys {
		f := &m.fields[i]
		sf, ok := columns[m.table.Columns[i].Name]
		if !ok {
			return nil, m.errorf(f.name, "is part of the key, but key type %s has no field tagged `occ:%q`", kt, m.table.Columns[i].Name)
		}
		if sf.Type != f.typ {
			return nil, m.errorf(f.name, "is a %s, but %s.%s is a %s", f.typ, kt, sf.Name, sf.Type)
		}
		k.parts = append(k.parts, part{in: sf.Index, col: f})
		delete(columns, m.table.Columns[i].Name)
	}
	for name, sf := range columns {
		return nil, m.errorf("", "key type %s has a field %s for column %q, which is no key column", kt, sf.Name, name)
	}
	return k, nil
}

func (k *keyer[K]) mismatch(kt reflect.Type) error {
	if len(k.m.keys) == 1 {
		f := k.m.fields[k.m.keys[0]]
		return k.m.errorf(f.name, "is the key and a %s, but the repository's key type is %s", f.typ, kt)
	}
	names := make([]string, len(k.m.keys))
	for i, c := range k.m.keys {
		names[i] = k.m.table.Columns[c].Name
	}
	return k.m.errorf("", "has the key columns %q, but the key type is %s: use a struct with the same tags", names, kt)
}

// isPlain tells whether drivers take values of t without conversion.
func isPlain(t reflect.Type) bool {
	return slices.Contains([]reflect.Type{
		reflect.TypeFor[int64](), reflect.TypeFor[string](), reflect.TypeFor[bool](), timeType,
	}, t)
}

// of returns the key of a row. The row must be addressable.
func (k *keyer[K]) of(row reflect.Value) K {
	if k.single != nil {
		return *(*K)(k.single.at(row))
	}
	var key K
	kv := reflect.ValueOf(&key).Elem()
	for _, p := range k.parts {
		kv.FieldByIndex(p.in).Set(p.col.of(row))
	}
	return key
}

// bind appends the driver values of a key, in column order.
func (k *keyer[K]) bind(args []any, key K) ([]any, error) {
	if k.plain {
		return append(args, key), nil
	}
	kv := reflect.ValueOf(&key).Elem()
	if k.single != nil {
		v, err := k.single.codec.bind(pointer(kv))
		return append(args, v), err
	}
	for _, p := range k.parts {
		v, err := p.col.codec.bind(pointer(kv.FieldByIndex(p.in)))
		if err != nil {
			return args, err
		}
		args = append(args, v)
	}
	return args, nil
}

// set gives a row its key. The row must be addressable.
func (k *keyer[K]) set(row reflect.Value, key K) {
	kv := reflect.ValueOf(&key).Elem()
	if k.single != nil {
		k.single.of(row).Set(kv)
		return
	}
	for _, p := range k.parts {
		p.col.of(row).Set(kv.FieldByIndex(p.in))
	}
}
