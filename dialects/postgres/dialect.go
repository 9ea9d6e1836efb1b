// Package postgres is the dialect of PostgreSQL 13 and later.
//
// It is the family of the databases that speak PostgreSQL's protocol: they
// embed [Dialect] and override what differs.
package postgres

import (
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

// Dialect writes PostgreSQL's statements and classifies its errors.
type Dialect struct{ sqlgen.Generator }

var (
	_ dialects.Dialect       = Dialect{}
	_ dialects.LockingReader = Dialect{}
	_ dialects.MultiReader   = Dialect{}
	_ dialects.Finder        = Dialect{}
	_ dialects.InPlaceWriter = Dialect{}
	_ dialects.Beginner      = Dialect{}
)

// New returns the dialect of PostgreSQL.
func New() Dialect {
	return Dialect{sqlgen.Generator{Syntax: sqlgen.Syntax{
		Name: "postgres",
		// Parameters are counted in 16 bits in the protocol's Bind message.
		// https://www.postgresql.org/docs/current/limits.html
		Limits:          dialects.Limits{Params: 65535, Identifier: 63, TimePrecision: time.Microsecond},
		Columns:         1600,
		QuoteChar:       '"',
		Numbered:        true,
		InsertReturning: true,
		UpdateReturning: true,
		ReturnsStored:   true,
		Lock:            lock,
		ShareLock:       "FOR SHARE",
		Rows:            sqlgen.InList,
		// In an expression a parameter takes the type of its neighbour, and drivers
		// refuse to send a number that does not fit: a sum that overflows would be
		// an error without a code, or none.
		IntegerCast: "%s::bigint",
		NextTime:    "GREATEST(%s, %s + interval '1 microsecond')",
		Xmin:        sqlgen.Xmin{Read: xmin, Match: xminMatch},
	}}}
}
