package occ

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unsafe"

	"github.com/occkit/occkit/dialects"
)

// mapping is a struct type described as a table: made once by reflection, and
// only read afterwards.
type mapping struct {
	typ     reflect.Type
	table   dialects.Table
	fields  []field // parallel to table.Columns
	keys    []int   // indices of the key columns
	version int     // index of the version column
	utc     bool    // times are bound in UTC
}

// field is one mapped struct field.
type field struct {
	name    string // Go path, for messages
	index   []int  // for reflect.Value.FieldByIndex
	offset  uintptr
	typ     reflect.Type
	codec   codec
	nullish bool // NULL in the database is the zero value in Go
}

// of returns the field's value in a struct of the mapping's type.
func (f *field) of(row reflect.Value) reflect.Value {
	if len(f.index) == 1 {
		return row.Field(f.index[0])
	}
	return row.FieldByIndex(f.index)
}

// at returns where the field is in a struct of the mapping's type.
func (f *field) at(row reflect.Value) unsafe.Pointer { return unsafe.Add(pointer(row), f.offset) }

// newMapping describes typ, which must be a struct with occ tags.
func newMapping(typ reflect.Type, table string, opts *RepositoryOptions, limits dialects.Limits) (*mapping, error) {
	m := &mapping{typ: typ, version: -1, utc: limits.TextTime}
	if typ.Kind() != reflect.Struct {
		return nil, m.errorf("", "is a %s; a repository maps structs", typ.Kind())
	}
	m.table.Name = table
	if err := m.name(table, opts); err != nil {
		return nil, err
	}
	if err := m.walk(typ, nil, 0, ""); err != nil {
		return nil, err
	}
	return m, m.check()
}

// name splits "schema.table", unless the options name the schema.
func (m *mapping) name(table string, opts *RepositoryOptions) error {
	m.table.Name = table
	if opts != nil && opts.Schema != "" {
		m.table.Schema = opts.Schema
		return nil
	}
	if schema, name, ok := strings.Cut(table, "."); ok {
		m.table.Schema, m.table.Name = schema, name
		if schema == "" || strings.Contains(name, ".") {
			return m.errorf("", "table name %q: want \"table\" or \"schema.table\"; for names with dots set RepositoryOptions.Schema", table)
		}
	}
	if m.table.Name == "" {
		return m.errorf("", "the table has no name")
	}
	return nil
}

func (m *mapping) errorf(fieldName, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &MappingError{Type: m.typ.String(), Field: fieldName, Reason: err.Error(), Err: errors.Unwrap(err)}
}

// walk maps the tagged fields of t and of the structs that it embeds.
func (m *mapping) walk(t reflect.Type, index []int, offset uintptr, path string) error {
	for i := range t.NumField() {
		sf := t.Field(i)
		tag, tagged := sf.Tag.Lookup("occ")
		at := append(slices.Clone(index), i)
		name := path + sf.Name
		switch {
		case tag == "-":
		case tagged:
			if !sf.IsExported() {
				return m.errorf(name, "is tagged but not exported")
			}
			if err := m.add(sf, at, offset, name, tag); err != nil {
				return err
			}
		case sf.Anonymous && sf.Type.Kind() == reflect.Struct:
			if err := m.walk(sf.Type, at, offset+sf.Offset, name+"."); err != nil {
				return err
			}
		case sf.Anonymous && sf.Type.Kind() == reflect.Pointer && hasTags(sf.Type.Elem()):
			return m.errorf(name, "embeds a pointer; embed the struct itself")
		}
	}
	return nil
}

// hasTags tells whether a struct type has occ tags.
func hasTags(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for i := range t.NumField() {
		if _, ok := t.Field(i).Tag.Lookup("occ"); ok {
			return true
		}
	}
	return false
}

// add maps one tagged field.
func (m *mapping) add(sf reflect.StructField, index []int, offset uintptr, name, tag string) error {
	parts := strings.Split(tag, ",")
	col := dialects.Column{Name: parts[0], Type: sf.Type}
	if col.Name == "" {
		return m.errorf(name, "has no column name: write `occ:\"column\"`, or `occ:\"-\"` to leave it out")
	}
	f := field{name: name, index: index, offset: offset + sf.Offset, typ: sf.Type}
	for _, option := range parts[1:] {
		if err := m.option(&col, &f, option); err != nil {
			return err
		}
	}
	if err := m.checkColumn(&col, &f); err != nil {
		return err
	}
	c, reason := newCodec(sf.Type, &col, f.nullish, m.utc)
	if reason != "" {
		return m.errorf(name, "%s", reason)
	}
	f.codec = c
	if col.Key {
		m.keys = append(m.keys, len(m.fields))
	}
	if col.Version != dialects.NotVersion {
		if m.version >= 0 {
			return m.errorf(name, "is a second version; %s is one already", m.fields[m.version].name)
		}
		m.version = len(m.fields)
	}
	m.fields = append(m.fields, f)
	m.table.Columns = append(m.table.Columns, col)
	return nil
}

const tagOptions = "key, version, version=token, version=xmin, version=timestamp, readonly, generated, nullable, json"

func (m *mapping) option(col *dialects.Column, f *field, option string) error {
	switch option {
	case "key":
		col.Key = true
	case "version":
		kind, err := m.versionKind(f)
		if err != nil {
			return err
		}
		col.Version = kind
	case "version=counter":
		col.Version = dialects.Counter
	case "version=token":
		col.Version = dialects.Token
	case "version=xmin":
		col.Version = dialects.Xmin
	case "version=timestamp":
		col.Version = dialects.Timestamp
	case "readonly":
		col.ReadOnly = true
	case "generated":
		col.Generated = true
	case "nullable":
		f.nullish = true
	case "json":
		col.JSON = true
	default:
		return m.errorf(f.name, "unknown option %q in `occ:%q`; known are %s", option, col.Name+",…", tagOptions)
	}
	return nil
}

// versionKind chooses the kind of a version that is tagged without one.
func (m *mapping) versionKind(f *field) (dialects.VersionKind, error) {
	switch {
	case isInteger(f.typ):
		return dialects.Counter, nil
	case f.typ == timeType:
		return 0, m.errorf(f.name, "is a time: clocks repeat and columns round, so a stale write can pass the check; "+
			"use an integer, or say version=timestamp if you accept that")
	default:
		return dialects.Token, nil
	}
}

// checkColumn refuses combinations that contradict themselves.
func (m *mapping) checkColumn(col *dialects.Column, f *field) error {
	for i, c := range m.table.Columns {
		if c.Name == col.Name {
			return m.errorf(f.name, "maps column %q, which %s maps already", col.Name, m.fields[i].name)
		}
	}
	isVersion := col.Version != dialects.NotVersion
	switch {
	case col.Key && isVersion:
		return m.errorf(f.name, "is both key and version")
	case col.Key && (col.JSON || col.ReadOnly || f.nullish):
		return m.errorf(f.name, "is a key, which can be neither json nor readonly nor nullable")
	case isVersion && (col.JSON || col.ReadOnly || col.Generated || f.nullish):
		return m.errorf(f.name, "is the version, which takes no other option")
	case col.ReadOnly && col.Generated:
		return m.errorf(f.name, "is both readonly and generated; readonly columns are never written")
	case isVersion:
		return m.checkVersionType(col.Version, f)
	}
	return nil
}

func (m *mapping) checkVersionType(kind dialects.VersionKind, f *field) error {
	switch {
	case kind == dialects.Counter && !isInteger(f.typ):
		return m.errorf(f.name, "is a %s; a counter version is an integer that cannot be NULL, best int64", f.typ)
	case kind == dialects.Xmin && f.typ.Kind() != reflect.Uint32 && f.typ.Kind() != reflect.Int64:
		return m.errorf(f.name, "is a %s; an xmin version is a uint32 or an int64", f.typ)
	case kind == dialects.Token && !isToken(f.typ):
		return m.errorf(f.name, "is a %s; a token version is a string, or a 16-byte array such as uuid.UUID", f.typ)
	case kind == dialects.Timestamp && f.typ != timeType:
		return m.errorf(f.name, "is a %s; a timestamp version is a time.Time", f.typ)
	}
	return nil
}

// check refuses a struct that cannot be a versioned row.
func (m *mapping) check() error {
	switch {
	case len(m.fields) == 0:
		return m.errorf("", "has no fields with `occ` tags")
	case len(m.keys) == 0:
		return m.errorf("", "has no key: tag the primary key's fields `occ:\"column,key\"`")
	case m.version < 0:
		return m.errorf("", "has no version: tag one field `occ:\"column,version\"`")
	}
	return nil
}
