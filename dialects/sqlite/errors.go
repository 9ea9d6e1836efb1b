package sqlite

import (
	"errors"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// codes are SQLite's result codes. An extended code that is not listed means
// what its primary code, the low byte, means.
// https://www.sqlite.org/rescode.html
var codes = map[int]dialects.Class{
	517: dialects.Conflict, // BUSY_SNAPSHOT: only a new transaction helps
	516: dialects.Conflict, // ABORT_ROLLBACK: another statement rolled back

	5:  dialects.Busy, // BUSY
	6:  dialects.Busy, // LOCKED
	15: dialects.Busy, // PROTOCOL: too many races for a lock of the WAL

	17: dialects.Replan, // SCHEMA

	1555: dialects.Duplicate, // CONSTRAINT_PRIMARYKEY
	2067: dialects.Duplicate, // CONSTRAINT_UNIQUE
	2579: dialects.Duplicate, // CONSTRAINT_ROWID

	1:  dialects.Rejected, // ERROR: syntax, missing table or column
	3:  dialects.Rejected, // PERM
	4:  dialects.Rejected, // ABORT
	8:  dialects.Rejected, // READONLY
	11: dialects.Rejected, // CORRUPT
	13: dialects.Rejected, // FULL: the whole transaction is rolled back
	14: dialects.Rejected, // CANTOPEN
	18: dialects.Rejected, // TOOBIG
	19: dialects.Rejected, // CONSTRAINT
	20: dialects.Rejected, // MISMATCH
	22: dialects.Rejected, // NOLFS
	23: dialects.Rejected, // AUTH
	25: dialects.Rejected, // RANGE
	26: dialects.Rejected, // NOTADB

	9: dialects.Canceled, // INTERRUPT

	// A failed fsync tells nothing about what will be found after a restart.
	7:  dialects.Unknown, // NOMEM
	10: dialects.Unknown, // IOERR
}

// Classify tells what an error of SQLite proves, whichever driver made it.
func (Dialect) Classify(err error) dialects.Class {
	code, ok := resultCode(err)
	if !ok {
		return dialects.ClassifyTransport(err)
	}
	if class, ok := codes[code]; ok {
		return class
	}
	return codes[code&0xff]
}

// resultCode returns the extended result code that err holds.
func resultCode(err error) (code int, ok bool) {
	// The error of modernc.org/sqlite.
	var coded interface{ Code() int }
	if errors.As(err, &coded) {
		return coded.Code(), true
	}
	return mattnCode(err)
}

// mattnCode finds the error of github.com/mattn/go-sqlite3, a struct whose
// codes are fields. Naming its type would make every program that uses this
// package need cgo.
func mattnCode(err error) (code int, ok bool) {
	v := reflect.Indirect(reflect.ValueOf(err))
	if v.IsValid() && v.Type().PkgPath() == "github.com/mattn/go-sqlite3" && v.Type().Name() == "Error" {
		if extended := v.FieldByName("ExtendedCode"); extended.IsValid() && extended.CanInt() && extended.Int() != 0 {
			return int(extended.Int()), true
		}
		if primary := v.FieldByName("Code"); primary.IsValid() && primary.CanInt() {
			return int(primary.Int()), true
		}
	}
	switch e := err.(type) { //nolint:errorlint // the chain is walked by hand
	case interface{ Unwrap() error }:
		return mattnCode(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			if code, ok := mattnCode(one); ok {
				return code, true
			}
		}
	}
	return 0, false
}
