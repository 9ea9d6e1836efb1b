package dialects

import "reflect"

// Table describes a table of versioned rows: what a [Dialect] needs to know to
// write its statements.
type Table struct {
	// Schema qualifies the name. Empty: the connection's default.
	Schema string
	// Name is the table's name, unquoted.
	Name string
	// Columns are the columns that are read, in the order of the rows that
	// Select returns.
	Columns []Column
}

// Column is one column of a [Table].
type Column struct {
	// Name is the column's name, unquoted.
	Name string
	// Key marks a column of the primary key.
	Key bool
	// Version tells how the column versions the row; [NotVersion] for others.
	// A table has exactly one version column.
	Version VersionKind
	// ReadOnly columns are read and never written.
	ReadOnly bool
	// Generated columns are filled by the server on insert when the row has the
	// zero value there: an identity, a sequence, a default.
	Generated bool
	// JSON columns hold a JSON document, bound and read as text.
	JSON bool
	// Type is the Go type of the field behind the column; nil when unknown.
	Type reflect.Type
}

// Writable tells whether an update writes the column's value from the row: it
// is neither key nor version nor read-only.
func (c Column) Writable() bool {
	return !c.Key && c.Version == NotVersion && !c.ReadOnly
}

// KeyColumns returns the indices of the key columns, in column order.
func (t *Table) KeyColumns() []int {
	var keys []int
	for i, c := range t.Columns {
		if c.Key {
			keys = append(keys, i)
		}
	}
	return keys
}

// VersionColumn returns the index of the version column, or -1.
func (t *Table) VersionColumn() int {
	for i, c := range t.Columns {
		if c.Version != NotVersion {
			return i
		}
	}
	return -1
}

// VersionKind tells what a version column holds and who moves it.
type VersionKind uint8

const (
	// NotVersion marks a column that is not the version.
	NotVersion VersionKind = iota
	// Counter is an integer that the database increments by one. New rows start
	// at 1; zero is a version like any other.
	Counter
	// Token is an opaque value, unique to each write, that the client chooses.
	Token
	// Xmin is PostgreSQL's system column: the transaction that wrote the row.
	// It does not change between two updates of one transaction and does not
	// survive dump and restore.
	Xmin
	// Timestamp is the client's clock, forced to grow by at least
	// [Limits.TimePrecision] from one version of a row to the next. A column
	// that stores time more coarsely than that defeats the check.
	Timestamp
)

// String returns the kind as it stands in a struct tag.
func (k VersionKind) String() string {
	switch k {
	case Counter:
		return "counter"
	case Token:
		return "token"
	case Xmin:
		return "xmin"
	case Timestamp:
		return "timestamp"
	default:
		return "none"
	}
}
