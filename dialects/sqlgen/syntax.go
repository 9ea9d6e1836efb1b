package sqlgen

import "github.com/occkit/occkit/dialects"

// Syntax is how a database spells what differs between databases. It is plain,
// comparable data; the zero value of an optional field means that the database
// lacks the feature.
type Syntax struct {
	// Name is the dialect's name, for messages.
	Name string
	// Limits are the database's bounds. [dialects.Limits.Identifier] zero means
	// that names may have any length.
	Limits dialects.Limits
	// Columns is the greatest number of columns of a table. Zero: any.
	Columns int
	// QuoteChar opens and closes a quoted identifier; inside it is doubled.
	QuoteChar byte
	// Characters counts the length of names in characters instead of bytes.
	Characters bool
	// BasicPlane says that names may not hold characters above U+FFFF.
	BasicPlane bool
	// Numbered placeholders are $1, $2, ...; otherwise each is a bare ?.
	Numbered bool
	// Backslash says that a backslash escapes the next character of a string,
	// and that # begins a comment.
	Backslash bool
	// InsertReturning says that INSERT takes a RETURNING clause.
	InsertReturning bool
	// UpdateReturning says that UPDATE takes a RETURNING clause.
	UpdateReturning bool
	// ReturnsStored says that RETURNING shows what is stored in the end, whatever
	// the row's triggers did to it, so that it is worth to ask for the version.
	ReturnsStored bool
	// Lock is the clause that makes a SELECT lock its rows against writers.
	// Empty: a writing transaction excludes all other writers anyway.
	Lock string
	// ShareLock is the clause that makes a SELECT lock its rows against every
	// change of version and share the lock with other readers. Empty: as Lock.
	ShareLock string
	// Rows tells how a list of composite keys is compared.
	Rows RowComparison
	// ValuesRow is the keyword before each row of a VALUES list that stands for a
	// table. Empty: none.
	ValuesRow string
	// CounterLimit is the counter that no update moves any more, for databases
	// whose integers turn into another type instead of overflowing. Zero: none.
	CounterLimit int64
	// Identity says that LAST_INSERT_ID(value) makes a value what the driver
	// reports as last insert id, for databases whose UPDATE returns nothing.
	Identity bool
	// IntegerCast gives a placeholder, in place of %s, the widest integer type,
	// where the database would give it the narrower one of a column. Empty: not
	// needed.
	IntegerCast string
	// IntegerTest is the predicate that the sum in place of %s has not turned into
	// another type, for databases where that happens. Empty: none.
	IntegerTest string
	// NextTime is the greater of the bound time (the first %s) and the least time
	// after that in a column (the second). Empty: the database cannot count time.
	NextTime string
	// Xmin tells how rows are versioned by the system column xmin.
	Xmin Xmin
}

// RowComparison tells how a list of composite keys is compared.
type RowComparison uint8

const (
	// AnyOf spells out (a = ? AND b = ?) OR (...).
	AnyOf RowComparison = iota
	// InList is (a, b) IN ((?, ?), ...).
	InList
	// InValues is (a, b) IN (VALUES (?, ?), ...).
	InValues
)

// Xmin tells how PostgreSQL's system column xmin is read and compared.
type Xmin struct {
	// Read is the expression that selects it. Empty: the database has none.
	Read string
	// Match is the predicate of a checked write, with %s where the placeholder
	// of the expected version stands.
	Match string
}
