package dialecttest

import (
	"bytes"
	"fmt"
	"reflect"

	"github.com/occkit/occkit/occ"
)

const (
	featureTypes    = "Go types round-trip"
	featureJSON     = "JSON columns"
	featureServer   = "Columns that the server fills"
	featureKeys     = "Composite keys"
	featureUUIDKeys = "uuid.UUID keys"
)

var typeCases = []testCase{
	{"integers", featureTypes, "every integer type keeps its least and its greatest value", caseIntegers},
	{"big-unsigned", featureTypes, "an unsigned integer above MaxInt64 is kept or refused, never changed", caseBigUnsigned},
	{"floats", featureTypes, "floats keep every bit", caseFloats},
	{"bools", featureTypes, "booleans, plain and behind pointers", caseBools},
	{"strings", featureTypes, "strings keep quotes, control characters, spaces and all of Unicode", caseStrings},
	{"bytes", featureTypes, "byte strings keep every byte, and nil is NULL", caseBytes},
	{"empty-bytes", "Empty byte strings are not nil", "an empty byte string is neither stored as NULL nor read as nil", caseEmptyBytes},
	{"named", featureTypes, "named types of every kind", caseNamed},
	{"times", featureTypes, "times keep their instant at the dialect's precision, in any zone", caseTimes},
	{"pointers", featureTypes, "a nil pointer is NULL, any other is its value", casePointers},
	{"sql-null", featureTypes, "sql.Null and its kin, valid or not", caseSQLNull},
	{"uuid", featureTypes, "uuid.UUID and *uuid.UUID", caseUUID},
	{"scanner-valuer", featureTypes, "types that implement sql.Scanner and driver.Valuer", caseScannerValuer},
	{"nullable", featureTypes, "with the nullable option NULL is the zero value", caseNullable},
	{"json", featureJSON, "structs, maps, slices and pointers as JSON documents; a nil pointer is NULL", caseJSON},
	{"embedded", featureTypes, "embedded structs are flattened, at any depth", caseEmbedded},
	{"identity", featureServer, "a generated key comes back from Insert, and a given one is kept", caseIdentity},
	{"computed", featureServer, "readonly columns come back from Insert and are never written", caseComputed},
	{"defaults", featureServer, "generated columns take their default when zero, and their value when not", caseDefaults},
	{"composite-key", featureKeys, "a key of two columns selects one row in every operation", caseCompositeKey},
	{"uuid-key", featureUUIDKeys, "a uuid.UUID can be the key in every operation", caseUUIDKey},
	{"key-types", featureTypes, "small, unsigned, named and string keys", caseKeyTypes},
}

// base is the part that the rows of these cases share.
type base struct {
	ID      int64 `occ:"id,key"`
	Version int64 `occ:"version,version"`
}

func (b *base) head() *base { return b }

const baseColumns = "id {bigint} NOT NULL PRIMARY KEY, version {bigint} NOT NULL, "

// row is a pointer to a T that embeds base.
type row[T any] interface {
	*T
	head() *base
}

// roundTrip writes and reads back each value: by Insert, by Update, by GetMany
// and by Find.
func roundTrip[T any, P row[T]](p *probe, columns string, values ...T) {
	r := repository[T, int64](p, p.open(&occ.Options{Retry: &few}), p.create(baseColumns+columns), nil)
	want := map[int64]T{}
	var keys []int64
	for i, v := range values {
		P(&v).head().ID = int64(i + 1)
		if p.ok(r.Insert(p.ctx, &v), "insert %+v", v) {
			want[int64(i+1)], keys = v, append(keys, int64(i+1))
		}
		got, err := r.Get(p.ctx, int64(i+1))
		p.ok(err, "get %+v", v)
		sameRow(p, "inserted", got, v)
	}
	many, err := r.GetMany(p.ctx, keys)
	p.ok(err, "get many")
	p.equal("the number of rows that GetMany returns", len(many), len(want))
	for key, v := range many {
		sameRow(p, "read by GetMany", v, want[key])
	}
	for v, err := range r.Find(p.ctx, "ORDER BY id") {
		if p.ok(err, "find") {
			sameRow(p, "found", v, want[P(&v).head().ID])
		}
	}
	updates[T, P](p, r, want[1], values)
}

// updates makes one row take every value in turn.
func updates[T any, P row[T]](p *probe, r *occ.Repository[T, int64], current T, values []T) {
	for _, v := range append(values, values[0]) {
		*P(&v).head() = *P(&current).head()
		if !p.ok(r.Update(p.ctx, &v), "update to %+v", v) {
			return
		}
		got, err := r.Get(p.ctx, 1)
		p.ok(err, "get")
		sameRow(p, "updated", got, v)
		current = v
	}
}

// sameRow notes the fields in which two rows differ. Times are compared as
// instants, and byte strings by content and by being nil.
func sameRow[T any](p *probe, how string, got, want T) {
	gv, wv := reflect.ValueOf(got), reflect.ValueOf(want)
	for _, f := range reflect.VisibleFields(gv.Type()) {
		if f.Anonymous || !f.IsExported() {
			continue
		}
		g, w := gv.FieldByIndex(f.Index).Interface(), wv.FieldByIndex(f.Index).Interface()
		if !sameValue(g, w) {
			p.failf("%s: field %s came back as %s, want %s", how, f.Name, show(g), show(w))
		}
	}
}

func sameValue(got, want any) bool {
	if g, ok := instant(got); ok {
		w, ok := instant(want)
		return ok && g.Equal(w)
	}
	if g, ok := got.([]byte); ok {
		w, ok := want.([]byte)
		return ok && bytes.Equal(g, w) && (g == nil) == (w == nil)
	}
	return reflect.DeepEqual(got, want)
}

// show renders a value, looking through one pointer, and not at full length.
func show(v any) string {
	if rv := reflect.ValueOf(v); rv.Kind() == reflect.Pointer && !rv.IsNil() {
		return "&" + show(rv.Elem().Interface())
	}
	s := fmt.Sprintf("%#v", v)
	if i, ok := instant(v); ok {
		s = i.String()
	}
	if len(s) > 200 {
		s = s[:200] + "..."
	}
	return s
}
