// Package mariadb is the dialect of MariaDB 10.5 and later, the first with
// INSERT ... RETURNING.
package mariadb

import (
	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/mysql"
)

// Dialect writes MariaDB's statements. Errors, the session's settings and all
// that is not overridden are those of MySQL.
type Dialect struct{ mysql.Dialect }

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

// New returns the dialect of MariaDB.
func New() Dialect {
	d := Dialect{mysql.New()}
	d.Syntax.Name, d.DDL = "mariadb", ddl
	// INSERT and DELETE return rows, UPDATE does not.
	// https://mariadb.com/docs/server/reference/sql-statements/data-manipulation/inserting-loading-data/insertreturning
	d.Syntax.InsertReturning = true
	// MariaDB has not taken over MySQL 8's FOR SHARE.
	// https://mariadb.com/docs/server/reference/sql-statements/data-manipulation/selecting-data/lock-in-share-mode
	d.Syntax.ShareLock = "LOCK IN SHARE MODE"
	// https://mariadb.com/docs/server/reference/sql-structure/sql-language-structure/table-value-constructors
	d.Syntax.ValuesRow = ""
	return d
}
