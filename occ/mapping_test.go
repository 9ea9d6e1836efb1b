package occ_test

import (
	"database/sql"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
)

// build makes a repository and returns what went wrong.
func build[T any, K comparable](db *occ.DB) error {
	_, err := occ.NewRepository[T, K](db, "t", nil)
	return err
}

// misfit is a struct, or a pair of struct and key type, that does not fit.
type misfit struct {
	build func(*occ.DB) error
	field string // empty: the error is about the whole struct
	text  string // after "occ: mapping occ_test."
}

// Row is embedded by the structs below: a key and a version.
type Row struct {
	ID      int64 `occ:"id,key"`
	Version int64 `occ:"version,version"`
}

const types = ", which no column holds: use the json option, or a type that implements sql.Scanner and driver.Valuer"

func TestMappingErrors(t *testing.T) {
	t.Parallel()
	type NoTags struct{ ID, Version int64 }
	type NoKey struct {
		Version int64 `occ:"version,version"`
	}
	type NoVersion struct {
		ID int64 `occ:"id,key"`
	}
	type TwoVersions struct {
		Row
		Rev int64 `occ:"rev,version"`
	}
	type Unknown struct {
		ID int64 `occ:"id,pk"`
	}
	type Spaced struct {
		ID int64 `occ:"id, key"`
	}
	type Chan struct {
		Row
		C chan int `occ:"c"`
	}
	type Map struct {
		Row
		M map[string]int `occ:"m"`
	}
	type Strings struct {
		Row
		Tags []string `occ:"tags"`
	}
	type Array struct {
		Row
		Hash [16]byte `occ:"hash"`
	}
	type Func struct {
		Row
		F func() `occ:"f"`
	}
	type Any struct {
		Row
		V any `occ:"v"`
	}
	type PtrPtr struct {
		Row
		P **int64 `occ:"p"`
	}
	type Struct struct {
		Row
		Addr netip.Addr `occ:"addr"`
	}
	type NullPtr struct {
		Row
		P *int64 `occ:"p,nullable"`
	}
	type NullJSON struct {
		Row
		M map[string]int `occ:"m,json,nullable"`
	}
	type unexported struct {
		Row
		note string `occ:"note"`
	}
	type Twice struct {
		Row
		A string `occ:"note"`
		B string `occ:"note"`
	}
	type TwiceEmbedded struct {
		Row
		Other int64 `occ:"version"`
	}
	type KeyVersion struct {
		ID int64 `occ:"id,key,version"`
	}
	type JSONKey struct {
		ID int64 `occ:"id,key,json"`
	}
	type NullKey struct {
		ID int64 `occ:"id,key,nullable"`
	}
	type ReadOnlyVersion struct {
		V int64 `occ:"v,version,readonly"`
	}
	type GeneratedReadOnly struct {
		Row
		At time.Time `occ:"at,readonly,generated"`
	}
	type TimeVersion struct {
		At time.Time `occ:"at,version"`
	}
	type TextCounter struct {
		V string `occ:"v,version=counter"`
	}
	type NullCounter struct {
		V sql.NullInt64 `occ:"v,version=counter"`
	}
	type PtrCounter struct {
		V *int64 `occ:"v,version=counter"`
	}
	type FloatVersion struct {
		V float64 `occ:"v,version"`
	}
	type IntStamp struct {
		V int64 `occ:"v,version=timestamp"`
	}
	type TextXmin struct {
		V string `occ:"xmin,version=xmin"`
	}
	type EmbeddedPtr struct {
		*Row
	}
	type NoColumn struct {
		Row
		Note string `occ:",nullable"`
	}
	type Account2 struct {
		Row
		Note string `occ:"note"`
	}

	for name, m := range map[string]misfit{
		"not a struct":           {build[int, int64], "", "is a int; a repository maps structs"},
		"pointer":                {build[*Row, int64], "", "is a ptr; a repository maps structs"},
		"no tags":                {build[NoTags, int64], "", "NoTags: has no fields with `occ` tags"},
		"no key":                 {build[NoKey, int64], "", "NoKey: has no key: tag the primary key's fields `occ:\"column,key\"`"},
		"no version":             {build[NoVersion, int64], "", "NoVersion: has no version: tag one field `occ:\"column,version\"`"},
		"two versions":           {build[TwoVersions, int64], "Rev", "is a second version; Row.Version is one already"},
		"unknown option":         {build[Unknown, int64], "ID", "unknown option \"pk\" in `occ:\"id,…\"`; known are key, version, version=token, version=xmin, version=timestamp, readonly, generated, nullable, json"},
		"space in option":        {build[Spaced, int64], "ID", "unknown option \" key\" in `occ:\"id,…\"`; known are key, version, version=token, version=xmin, version=timestamp, readonly, generated, nullable, json"},
		"chan":                   {build[Chan, int64], "C", "has type chan int" + types},
		"map":                    {build[Map, int64], "M", "has type map[string]int" + types},
		"strings":                {build[Strings, int64], "Tags", "has type []string" + types},
		"array":                  {build[Array, int64], "Hash", "has type [16]uint8" + types},
		"func":                   {build[Func, int64], "F", "has type func()" + types},
		"interface":              {build[Any, int64], "V", "has type interface {}" + types},
		"pointer pointer":        {build[PtrPtr, int64], "P", "has type **int64" + types},
		"struct":                 {build[Struct, int64], "Addr", "has type netip.Addr" + types},
		"nullable ptr":           {build[NullPtr, int64], "P", "is a pointer, which is nullable as it is"},
		"nullable json":          {build[NullJSON, int64], "M", "is json and nullable; use a pointer field for a json column that can be NULL"},
		"unexported":             {build[unexported, int64], "note", "is tagged but not exported"},
		"same column":            {build[Twice, int64], "B", `maps column "note", which A maps already`},
		"embedded column":        {build[TwiceEmbedded, int64], "Other", `maps column "version", which Row.Version maps already`},
		"key and version":        {build[KeyVersion, int64], "ID", "is both key and version"},
		"json key":               {build[JSONKey, int64], "ID", "is a key, which can be neither json nor readonly nor nullable"},
		"nullable key":           {build[NullKey, int64], "ID", "is a key, which can be neither json nor readonly nor nullable"},
		"readonly version":       {build[ReadOnlyVersion, int64], "V", "is the version, which takes no other option"},
		"readonly and generated": {build[GeneratedReadOnly, int64], "At", "is both readonly and generated; readonly columns are never written"},
		"time version": {
			build[TimeVersion, int64], "At",
			"is a time: clocks repeat and columns round, so a stale write can pass the check; use an integer, or say version=timestamp if you accept that",
		},
		"text counter":     {build[TextCounter, int64], "V", "is a string; a counter version is an integer that cannot be NULL, best int64"},
		"nullable counter": {build[NullCounter, int64], "V", "is a sql.NullInt64; a counter version is an integer that cannot be NULL, best int64"},
		"pointer counter":  {build[PtrCounter, int64], "V", "is a *int64; a counter version is an integer that cannot be NULL, best int64"},
		"float version":    {build[FloatVersion, int64], "V", "is a float64; a token version is a string, or a 16-byte array such as uuid.UUID"},
		"integer stamp":    {build[IntStamp, int64], "V", "is a int64; a timestamp version is a time.Time"},
		"text xmin":        {build[TextXmin, int64], "V", "is a string; an xmin version is a uint32 or an int64"},
		"embedded pointer": {build[EmbeddedPtr, int64], "Row", "embeds a pointer; embed the struct itself"},
		"no column":        {build[NoColumn, int64], "Note", "has no column name: write `occ:\"column\"`, or `occ:\"-\"` to leave it out"},
		"key type":         {build[Account2, int], "Row.ID", "is the key and a int64, but the repository's key type is int"},
		"key is struct":    {build[Account2, struct{ ID int64 }], "Row.ID", "is part of the key, but key type struct { ID int64 } has no field tagged `occ:\"id\"`"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireMisfit(t, m)
		})
	}
}

// requireMisfit checks the error of a struct that does not fit: whose it is, the
// field that it names, and its text.
func requireMisfit(t *testing.T, m misfit) {
	t.Helper()
	err := m.build(offline())
	require.Error(t, err)
	requireKind(t, err, occ.ErrMapping)
	var mapping *occ.MappingError
	require.ErrorAs(t, err, &mapping)
	require.Equal(t, m.field, mapping.Field)
	if m.field == "" {
		require.Contains(t, err.Error(), m.text)
		return
	}
	require.Equal(t, m.text, mapping.Reason)
	require.EqualError(t, err, "occ: mapping "+mapping.Type+"."+m.field+": "+m.text)
}

type lineKey struct {
	Doc  int64  `occ:"doc"`
	Line string `occ:"line"`
}

type lineRow struct {
	Doc     int64  `occ:"doc,key"`
	Line    string `occ:"line,key"`
	Version int64  `occ:"version,version"`
}

func TestCompositeKeyErrors(t *testing.T) {
	t.Parallel()
	type Missing struct {
		Doc int64 `occ:"doc"`
	}
	type Extra struct {
		lineKey
		Page int64 `occ:"page"`
	}
	type Wrong struct {
		Doc  int32  `occ:"doc"`
		Line string `occ:"line"`
	}
	for name, m := range map[string]misfit{
		"scalar":   {build[lineRow, string], "", `occ_test.lineRow: has the key columns ["doc" "line"], but the key type is string: use a struct with the same tags`},
		"missing":  {build[lineRow, Missing], "Line", "is part of the key, but key type occ_test.Missing has no field tagged `occ:\"line\"`"},
		"extra":    {build[lineRow, Extra], "", `occ_test.lineRow: key type occ_test.Extra has a field Page for column "page", which is no key column`},
		"mistyped": {build[lineRow, Wrong], "Doc", "is a int64, but occ_test.Wrong.Doc is a int32"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireMisfit(t, m)
		})
	}
	require.NoError(t, build[lineRow, lineKey](offline()))
}
