package dialects

import "time"

// SchemaAttempt is what surrounds the statements of a step.
type SchemaAttempt struct {
	// Settings are set on the connection first, and put back last.
	Settings []SessionSetting
	// Begin opens the transaction. Empty: statements commit by themselves.
	Begin string
	// Mutex is a query of one text, "1" when no other migrator is at work on this
	// schema. Release gives it back; empty when the transaction's end does.
	// Mutex is empty where Begin keeps others out.
	Mutex, Release string
	// Lock are the statements that take the table's lock.
	Lock []string
	// Wait is for how long others may have to wait behind the attempt, at most.
	Wait time.Duration
}

// SessionSetting is a setting of the connection.
type SessionSetting struct {
	// Read is a query of the current value, as text. Set changes it. Restore is
	// a format with one %s, the value that was read.
	Read, Set, Restore string
}

// SchemaBlocker is one who holds a lock that is in the way.
type SchemaBlocker struct {
	// ID is what the server calls the session.
	ID string `json:"id"`
	// Who is the user, the application, the host.
	Who string `json:"who,omitempty"`
	// State is what the session does.
	State string `json:"state,omitempty"`
	// Lock is what it holds.
	Lock string `json:"lock,omitempty"`
	// Seconds is for how long its transaction has been open.
	Seconds int64 `json:"seconds"`
	// Yields is after how many milliseconds it gives way to one who waits; 0
	// when it does not.
	Yields int64 `json:"yields_ms,omitempty"`
	// End is the statement that would end it. Nothing here ever runs it.
	End string `json:"end,omitempty"`
}

// SchemaReplica is a replica as its server sees it.
type SchemaReplica struct {
	// Name is what the server calls it.
	Name string
	// Behind is by how many milliseconds it is behind. LagUnknown when the user may
	// not see it; then Name says what is lacking.
	Behind int64
}

// LagUnknown is what [SchemaReplica.Behind] is when it cannot be seen.
const LagUnknown = -1

// SchemaChunk is one part of a backfill: the rows after the last key.
type SchemaChunk struct {
	// First: there is no last key yet.
	First bool
	// Last: there is no upper key, the part goes to the end.
	Last bool
	// Rows is how many rows the part is to have.
	Rows int
}

// SchemaChunkSQL are the statements of a part. The keys are arguments: of the
// last key (After), and of the upper one (Upto).
type SchemaChunkSQL struct {
	// Attempt surrounds Write.
	Attempt SchemaAttempt
	// Find reads the upper key; no row when fewer than Rows are left.
	Find     string
	FindArgs []KeyArg
	// Write fills the rows in between.
	Write     string
	WriteArgs []KeyArg
}

// KeyArg tells which column of which key an argument is.
type KeyArg struct {
	Upto   bool
	Column int
}

// SchemaFile is what surrounds statements in a file.
type SchemaFile struct {
	// Begin and Commit are for tools that open no transaction of their own. Empty:
	// schema changes commit by themselves.
	Begin, Commit string
	// Before and After surround the statements, inside of the transaction.
	Before, After []string
	// Delimiter says that the database's own client must be told where statements
	// end that hold semicolons.
	Delimiter bool
}

// SchemaProbe are the statements that try a guard on one row.
type SchemaProbe struct {
	// Begin opens the transaction, which is rolled back.
	Begin string
	// Pick reads the key of a row.
	Pick string
	// Read reads the version, by key; Touch writes the row and leaves the version
	// alone; Jump moves it by seven; Regress moves it back. Their arguments are
	// the key, in order.
	Read, Touch, Jump, Regress string
}

// OwnTable is a table that belongs to occkit, described in terms that every
// database has. Names are lower case and are no keywords.
type OwnTable struct {
	Name    string
	Columns []OwnColumn
	// Key is the name of the key column.
	Key string
}

// OwnColumn is a column of an [OwnTable].
type OwnColumn struct {
	Name string
	// Size is the length of a text; 0 for a 64-bit integer, -1 for a text of any
	// length.
	Size int
}

// OwnSQL are the statements of an [OwnTable].
type OwnSQL struct {
	// Create makes the table unless it is there.
	Create string
	// Insert binds all columns in order.
	Insert string
	// Latest reads all columns of the rows whose table_name and column_name are
	// bound, the greatest key first.
	Latest string
}
