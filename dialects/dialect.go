// Package dialects is the contract between occkit and databases.
//
// A [Dialect] is pure: it writes SQL text and classifies error values, and it
// never touches a connection. A transport ([DB], [Conn], [Rows]) carries text
// to a server and knows no SQL beyond transaction control. Everything that
// makes a write versioned lives above, in package occ.
//
// What a database can do beyond the minimum is an optional interface of one
// method ([LockingReader], [MultiReader], [Finder], [Beginner],
// [SessionChecker], [InPlaceWriter]); only the core asserts on them. Embedding a family's
// dialect promotes its abilities, so a child that lacks one returns
// [errors.ErrUnsupported] from that method.
//
// The package imports the standard library alone. Implementations prove
// themselves with the suite in dialects/dialecttest.
package dialects

import "time"

// Dialect writes the statements of versioned rows for one database and
// classifies its errors. Implementations are values without state: every
// method is safe for concurrent use and returns equal results for equal
// arguments.
//
// Statement methods return an error when the table cannot be served: an
// identifier that the database cannot hold, a version kind that it lacks
// (then the error is [errors.ErrUnsupported]), too many columns.
type Dialect interface {
	// Name is the dialect's name in messages and on command lines, such as
	// "postgres". No code outside dialects/<name> may compare it.
	Name() string

	// Limits are the database's bounds.
	Limits() Limits

	// Select reads every column of the row whose key is bound.
	Select(t *Table) (Statement, error)

	// Insert writes one row. Columns that the server provides
	// ([Column.Generated], [Column.ReadOnly]) are not bound, and come back
	// through Returns where the database can.
	Insert(t *Table) (Statement, error)

	// Update writes every writable column of the row whose key is bound and
	// whose version equals [Expected], and moves the version. It must match no
	// row when the version differs, whatever the expected version is. A table
	// without writable columns moves the version alone.
	Update(t *Table) (Statement, error)

	// Delete removes the row whose key is bound and whose version equals
	// [Expected].
	Delete(t *Table) (Statement, error)

	// Classify tells what an error of this database proves. It looks through
	// wrapped errors and returns [Unknown] for what it does not know.
	Classify(err error) Class
}

// Limits are the bounds of a database that the core must respect.
type Limits struct {
	// Params is the greatest number of bound parameters of one statement.
	Params int
	// Identifier is the greatest length of an identifier, in the unit that the
	// database counts: bytes, or characters. Zero: none.
	Identifier int
	// TimePrecision is the finest step of time that a column can hold.
	TimePrecision time.Duration
	// TextTime says that times are stored as text together with their zone, so
	// that they are best bound in UTC.
	TextTime bool
	// Embedded says that the database runs in the caller's process: many rows are
	// best written by a loop over prepared statements, each of which is too short
	// to be interrupted.
	Embedded bool
}

// LockingReader is implemented by dialects whose database can read a row and
// keep other writers from it until the transaction ends.
type LockingReader interface {
	// SelectForUpdate reads like [Dialect.Select], sees the newest committed
	// state whatever the isolation level's snapshot says, and locks the row. On
	// databases where the transaction itself excludes writers it equals Select.
	SelectForUpdate(t *Table) (Statement, error)
}

// ShareLocker is implemented by dialects whose database can keep a row's version
// from changing until the transaction ends and still let others do the same.
// Without it, units of work lock the rows that they only read like the rows that
// they write.
type ShareLocker interface {
	// SelectForShare reads like [LockingReader.SelectForUpdate], with a lock
	// that blocks every change of the version and is shared with other readers.
	SelectForShare(t *Table) (Statement, error)
}

// Guarder is implemented by dialects that can make the server itself refuse a
// stale unit of work, so that its commit needs no answer in between.
//
// A guarded statement returns exactly one row (the columns in Returns, as far as
// there are any, then one that is always 1), or fails with an error for which
// Stale is true. It aborts the transaction that it is part of.
type Guarder interface {
	// GuardWrite makes a checked update or delete of t, or an insert, fail unless
	// it writes exactly one row.
	GuardWrite(t *Table, st Statement) (Statement, error)
	// GuardRead locks the row like [ShareLocker], and fails unless its version
	// equals [Expected].
	GuardRead(t *Table) (Statement, error)
	// GuardAbsent fails when there is a row with the key.
	GuardAbsent(t *Table) (Statement, error)
	// Stale reports whether err is the failure of a guarded statement.
	Stale(err error) bool
}

// Compounder is implemented by Guarders whose database runs several statements
// as one. Their guarded statements return no rows and are only valid as parts.
type Compounder interface {
	Guarder
	// Compound returns one statement that runs parts in a transaction of its
	// own, and undoes all of it when one fails.
	Compound(parts []string) string
}

// MultiReader is implemented by dialects that can read several rows by key in
// one statement.
type MultiReader interface {
	// SelectMany reads the rows of n keys, in any order. Its arguments are the
	// key columns of the first key, then of the second, and so on.
	SelectMany(t *Table, n int) (Statement, error)
}

// Finder is implemented by dialects that can read rows by the caller's own
// condition.
type Finder interface {
	// Find reads every column of the rows that tail selects. Tail is the
	// caller's own SQL after the FROM clause ("WHERE owner = ? ORDER BY id"),
	// with ? for each bound argument. Where the database has operators with
	// question marks, ?? is one of theirs. The statement's Args are empty: the
	// caller binds.
	Find(t *Table, tail string) (Statement, error)
}

// Beginner is implemented by dialects whose writing transactions do not begin
// with a plain BEGIN.
type Beginner interface {
	// Begin returns the text that opens a transaction which is going to write.
	Begin() string
}

// SessionChecker is implemented by dialects that depend on settings of the
// session, such as autocommit.
type SessionChecker interface {
	// SessionCheck returns a query of one text value, and a judge of that value.
	// The judge's error says which setting is wrong and what to do.
	SessionCheck() (query string, judge func(settings string) error)
}

// RowState is what became of one row of a statement that writes many.
type RowState int64

const (
	// Written rows were changed, deleted or inserted.
	Written RowState = iota
	// Untouched rows are at the expected version and were not written: another
	// row of the call was in the way, or the database swallowed the write.
	Untouched
	// Stale rows are at another version.
	Stale
)

// BulkVerb tells what a statement does with many rows.
type BulkVerb uint8

const (
	// BulkUpdate writes what [Dialect.Update] writes.
	BulkUpdate BulkVerb = iota
	// BulkDelete removes what [Dialect.Delete] removes.
	BulkDelete
	// BulkInsert writes what [Dialect.Insert] writes.
	BulkInsert
)

// ArrayWrite is what [ArrayWriter.ArrayWrite] is asked for.
type ArrayWrite struct {
	Verb BulkVerb
	// Types are the types of the table's columns, parallel to its Columns, as
	// ArrayTypes reports them. Empty where there is none.
	Types []string
	// All makes the statement write every row or none.
	All bool
	// Skip makes an update wait for nobody: rows that somebody else has locked are
	// left out like stale ones. Only rows that are written come back, and nothing
	// of those that are not is told.
	Skip bool
	// Sure makes an update or a delete write every row or fail with an error that
	// is Partial, with All set as well. It reports one row with the number 0 and no
	// version, and then only those rows that got another version than expected,
	// which a trigger may have given them.
	Sure bool
	// Plain says of a Sure write that nothing moves a version: see [TriggerChecker].
	Plain bool
}

// ArrayWriter is implemented by dialects that check and write any number of rows
// in one statement, with one bound array for each argument.
type ArrayWriter interface {
	// ArrayTypes returns a query of two text columns: the name and the type of
	// each column of t.
	ArrayTypes(t *Table) (query string, args []any, err error)

	// ArrayWrite returns the statement. Each of its Args is bound to an Array
	// over the rows; with All, the number of rows is bound before them.
	//
	// For an update or a delete, a result row is the number of a row, counted
	// from 1 in the order of the arrays, its [RowState], its version, and the
	// columns in Returns, which are NULL unless the row is stale. Rows that do
	// not come back do not exist. Rows are locked in the order of the arrays.
	// When every row is written, only they come back.
	//
	// For an insert, a result row holds the columns in Returns of a row that was
	// inserted, in any order; the key is among them.
	ArrayWrite(t *Table, w ArrayWrite) (Statement, error)

	// Array returns what to bind for the values of a column of a type.
	Array(typ string, values []any) (any, error)

	// Partial reports whether err is the failure of a statement with All that
	// the database would have carried out for some of the rows alone.
	Partial(err error) bool
}

// TriggerChecker is implemented by dialects whose updates return the version only
// because a trigger may have moved it.
type TriggerChecker interface {
	// TriggerCheck returns a query of one boolean: whether something in the
	// database could give a row that [Dialect.Update] writes another version than
	// the one that was asked for. Where nothing can, [Statement.Plain] does the
	// same and costs less.
	TriggerCheck(t *Table) (query string, args []any, err error)
}

// RowsWriter is implemented by dialects that write many rows with a list of
// them, and cannot tell at the same time which ones they wrote. The Args of its
// statements are those of one row; they are bound for each row in turn.
type RowsWriter interface {
	// LockRows reads n rows by key, under the lock of
	// [LockingReader.SelectForUpdate], taken in the order given. A result row is
	// the number of a row, counted from 1, and then the columns in Returns.
	LockRows(t *Table, n int) (Statement, error)
	// UpdateRows, DeleteRows and InsertRows do for n rows what [Dialect.Update],
	// [Dialect.Delete] and [Dialect.Insert] do for one. What Returns names comes
	// back in any order, and the key is part of it.
	UpdateRows(t *Table, n int) (Statement, error)
	DeleteRows(t *Table, n int) (Statement, error)
	InsertRows(t *Table, n int) (Statement, error)
}
