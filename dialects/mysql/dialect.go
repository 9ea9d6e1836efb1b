// Package mysql is the dialect of MySQL 8.0 and later.
//
// It is the family of the databases that speak MySQL's protocol: they embed
// [Dialect] and override what differs.
package mysql

import (
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

// Dialect writes MySQL's statements and classifies its errors.
type Dialect struct {
	sqlgen.Generator
	// DDL is how tables are changed.
	DDL DDL
}

var (
	_ dialects.Dialect        = Dialect{}
	_ dialects.LockingReader  = Dialect{}
	_ dialects.MultiReader    = Dialect{}
	_ dialects.Finder         = Dialect{}
	_ dialects.InPlaceWriter  = Dialect{}
	_ dialects.Beginner       = Dialect{}
	_ dialects.SessionChecker = Dialect{}
	_ dialects.SchemaChanger  = Dialect{}
)

// New returns the dialect of MySQL.
func New() Dialect {
	return Dialect{DDL: ddl, Generator: sqlgen.Generator{Syntax: sqlgen.Syntax{
		Name: "mysql",
		// Placeholders are counted in 16 bits in the protocol's reply to
		// COM_STMT_PREPARE. Names have 64 characters of the Basic Multilingual
		// Plane; the server refuses others with an error that does not say why.
		// https://dev.mysql.com/doc/refman/8.4/en/identifiers.html
		// https://dev.mysql.com/doc/refman/8.4/en/column-count-limit.html
		Limits:     dialects.Limits{Params: 65535, Identifier: 64, TimePrecision: time.Microsecond},
		Columns:    4096,
		QuoteChar:  '`',
		Characters: true,
		BasicPlane: true,
		Backslash:  true,
		Lock:       "FOR UPDATE",
		ShareLock:  "FOR SHARE",
		Rows:       sqlgen.InList,
		ValuesRow:  "ROW",
		// https://dev.mysql.com/doc/refman/8.4/en/information-functions.html#function_last-insert-id
		Identity: true,
	}}}
}
