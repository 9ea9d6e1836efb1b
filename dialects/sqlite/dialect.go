// Package sqlite is the dialect of SQLite 3.35 and later, the first with
// RETURNING. It imports no driver: errors of modernc.org/sqlite and
// github.com/mattn/go-sqlite3 are recognised by their shape.
package sqlite

import (
	"math"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

// Dialect writes SQLite's statements and classifies its errors.
type Dialect struct{ sqlgen.Generator }

var (
	_ dialects.Dialect       = Dialect{}
	_ dialects.LockingReader = Dialect{}
	_ dialects.MultiReader   = Dialect{}
	_ dialects.Finder        = Dialect{}
	_ dialects.InPlaceWriter = Dialect{}
	_ dialects.Beginner      = Dialect{}
)

// New returns the dialect of SQLite.
func New() Dialect {
	return Dialect{sqlgen.Generator{Syntax: sqlgen.Syntax{
		Name: "sqlite",
		// Defaults of SQLITE_MAX_VARIABLE_NUMBER and SQLITE_MAX_COLUMN. Names
		// have no limit but that of the whole statement. Time has no type of
		// its own; a microsecond is what every driver's text form keeps.
		// https://www.sqlite.org/limits.html
		Limits:  dialects.Limits{Params: 32766, TimePrecision: time.Microsecond, TextTime: true, Embedded: true},
		Columns: 2000,
		// Not the double quote: a name in double quotes that no column has is
		// read as a string, so that a misspelt column would be selected as a
		// constant and a misspelt version compared as one.
		// https://www.sqlite.org/quirks.html#dblquote
		QuoteChar:       '`',
		InsertReturning: true,
		UpdateReturning: true,
		// One above the greatest integer is a REAL that equals itself plus one:
		// from there on every stale write would match.
		CounterLimit: math.MaxInt64,
		IntegerTest:  "typeof(%s) = 'integer'", // for the same reason
		// IN takes a row value only with a subquery on its right.
		// https://www.sqlite.org/rowvalue.html#row_value_in_operators
		Rows: sqlgen.InValues,
	}}}
}
