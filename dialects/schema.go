package dialects

import "time"

// SchemaChanger is implemented by dialects that can give the tables of their
// database a version column, and a guard that keeps every other writer from
// leaving the version where it was.
//
// Its methods are as pure as those of [Dialect]: they write SQL, and read what
// the catalog answered. Package migrations does the work. A dialect that lacks
// the ability returns [errors.ErrUnsupported] from SchemaFacts.
//
// Every [SchemaStep] must be visible in the catalog by itself: the caller looks,
// runs the first step that is not done, and looks again, so that a run that was
// cut off anywhere is continued by the next one.
type SchemaChanger interface {
	// SchemaFacts returns the queries that tell what is known of a table. They
	// read the catalog alone and take no lock that a writer could wait for. A
	// result row is a [SchemaFact]: three texts, none of them NULL.
	SchemaFacts(t *VersionTable) ([]SchemaQuery, error)

	// SchemaPlan reads facts: what state the table is in, which steps lead to
	// what t asks for, and which lead back.
	SchemaPlan(t *VersionTable, facts SchemaFacts) (SchemaPlan, error)

	// SchemaAttempt tells how to run a step of p such that nothing waits for its
	// lock longer than wait. Zero means: take the lock at once, or fail with an
	// error of class [Busy].
	SchemaAttempt(p *SchemaPlan, step *SchemaStep, wait time.Duration) (SchemaAttempt, error)

	// SchemaBlockers asks who keeps the lock of p's table from being granted. A
	// result row holds the fields of a [SchemaBlocker] in their order.
	SchemaBlockers(p *SchemaPlan) (SchemaQuery, error)

	// SchemaReplicas asks how far the server's replicas are behind. A result row
	// holds the fields of a [SchemaReplica] in their order. A dialect whose servers
	// do not know returns [errors.ErrUnsupported].
	SchemaReplicas() (SchemaQuery, error)

	// SchemaChunk writes the statements of one part of a backfill.
	SchemaChunk(p *SchemaPlan, c SchemaChunk) (SchemaChunkSQL, error)

	// SchemaProbe writes the statements that try the guard out on one row.
	SchemaProbe(p *SchemaPlan) (SchemaProbe, error)

	// SchemaFile tells what surrounds the statements of a step in a file that
	// another tool runs.
	SchemaFile(p *SchemaPlan, work SchemaWork) (SchemaFile, error)

	// SchemaOwn writes the statements of a table that is occkit's own.
	SchemaOwn(schema string, t *OwnTable) (OwnSQL, error)
}

// GuardMode tells what the database does about writes that leave the version
// where it was. It never lets one move back.
type GuardMode uint8

const (
	// GuardEnforce moves the version by one where a write left it alone, lets a
	// greater one pass, and refuses a smaller one.
	GuardEnforce GuardMode = iota
	// GuardStrict refuses every write that does not move the version up.
	GuardStrict
	// GuardNone leaves the column to its writers.
	GuardNone
)

// String returns the mode as it is spelt on command lines.
func (m GuardMode) String() string { return [...]string{"enforce", "strict", "none"}[m] }

// VersionTable is what a table's version column is meant to be.
type VersionTable struct {
	// Schema qualifies the name. Empty: the connection's default.
	Schema string
	// Name is the table's name, unquoted.
	Name string
	// Column is the name of the version column.
	Column string
	// Kind is [Counter] or [Token].
	Kind VersionKind
	// Initial is the version of rows that have none, where the column is new.
	Initial int64
	// Guard is what happens to other writers.
	Guard GuardMode
	// Invisible keeps the column out of SELECT * and of INSERT without a column
	// list, where the database can.
	Invisible bool
	// Bare leaves the schema out of statements, for files that run anywhere.
	Bare bool
	// History is the name of the table that records what was done, unquoted.
	// Empty: none.
	History string
}

// SchemaQuery is a query and its arguments.
type SchemaQuery struct {
	Text string
	Args []any
}

// SchemaFact is one row of what the catalog says. Kinds are the dialect's own,
// but for "target" (Value: the database as the server names it).
type SchemaFact struct{ Kind, Name, Value string }

// SchemaFacts are all facts of a table, in the order in which they were read.
type SchemaFacts []SchemaFact

// All returns the facts of a kind.
func (f SchemaFacts) All(kind string) SchemaFacts {
	var found SchemaFacts
	for _, fact := range f {
		if fact.Kind == kind {
			found = append(found, fact)
		}
	}
	return found
}

// Value returns the value of the first fact of a kind, or nothing.
func (f SchemaFacts) Value(kind string) string {
	for _, fact := range f {
		if fact.Kind == kind {
			return fact.Value
		}
	}
	return ""
}

// Name returns the name of the first fact of a kind, or nothing.
func (f SchemaFacts) Name(kind string) string {
	for _, fact := range f {
		if fact.Kind == kind {
			return fact.Name
		}
	}
	return ""
}

// Has tells whether there is a fact of a kind.
func (f SchemaFacts) Has(kind string) bool { return len(f.All(kind)) > 0 }

// Names returns the names of the facts of a kind.
func (f SchemaFacts) Names(kind string) []string {
	var names []string
	for _, fact := range f.All(kind) {
		names = append(names, fact.Name)
	}
	return names
}

// SchemaColumn is a column as the catalog has it.
type SchemaColumn struct {
	Name     string `json:"name"`
	Type     string `json:"type"`
	Nullable bool   `json:"nullable"`
	// Default is the expression, empty when there is none.
	Default string `json:"default,omitempty"`
}

// GuardState is what the catalog says about a table's guard.
type GuardState string

// Guards are what they should be, missing, switched off, or of another text.
const (
	GuardMissing  GuardState = "missing"
	GuardOK       GuardState = "ok"
	GuardChanged  GuardState = "changed"
	GuardDisabled GuardState = "disabled"
	GuardUnknown  GuardState = "not available"
)

// SchemaPlan is the state of a table, and the way from there.
type SchemaPlan struct {
	// Table is what was asked for, with the schema and the spelling of the
	// catalog.
	Table VersionTable
	// Server is the server's version.
	Server string
	// Target names the database as the server does, without any password.
	Target string
	// Exists is false when there is no such table; then all below is empty.
	Exists bool
	// Key are the columns of the primary key.
	Key []SchemaColumn
	// Column is the version column; nil when there is none.
	Column *SchemaColumn
	// Rows is about how many rows the table has; -1 when unknown.
	Rows int64
	// Initial is what a NULL in the column stands for.
	Initial int64
	// Guard tells about the guard, GuardMode about which one it is.
	Guard     GuardState
	GuardMode GuardMode
	// History says that the table of the history exists.
	History bool
	// Ask are queries of more facts, which read rows and not the catalog alone.
	// The caller runs them, and calls SchemaPlan again with all facts. They are
	// empty then.
	Ask []SchemaQuery
	// Used asks how far the versions got, with a row of three texts: anything;
	// "some" when there are rows whose version is not Initial, else "none"; the
	// greatest version, or nothing for tokens. It is empty without a column.
	Used SchemaQuery
	// Filled asks how far a backfill is, with a row of three texts: "exact", or
	// "about" when it looks at a sample; how many rows there are; how many of them
	// have a version. It is quick, or fails. It is empty where no row can lack one.
	Filled SchemaQuery
	// Steps lead to the state that was asked for, in order, done ones included.
	Steps []SchemaStep
	// Unguard removes the guard; DropColumn then removes the column. Done ones
	// are left out.
	Unguard, DropColumn []SchemaStep
	// Findings are reasons to refuse, and warnings.
	Findings []SchemaFinding
	// Details are the dialect's own: SchemaAttempt and others read them again.
	Details map[string]string
}

// SchemaFinding is something about a table that its owner should know.
type SchemaFinding struct {
	// Refuse: nothing is changed as long as this holds.
	Refuse bool `json:"refuse"`
	// Applying: it is about who asks and not about the table, and speaks against
	// changing it alone.
	Applying bool `json:"applying,omitempty"`
	// Drift: the table is not what was asked for, though no step mends it.
	Drift bool `json:"drift,omitempty"`
	// Code is a short name that stays the same.
	Code string `json:"code"`
	// Text says what is the matter, Remedy what to do.
	Text   string `json:"text"`
	Remedy string `json:"remedy"`
}

// SchemaLock is how much of a table's traffic a step keeps out.
type SchemaLock uint8

const (
	// LockNone keeps nobody out.
	LockNone SchemaLock = iota
	// LockSchema keeps other schema changes out.
	LockSchema
	// LockWrites keeps writers out.
	LockWrites
	// LockAll keeps readers and writers out.
	LockAll
)

// SchemaWork is how the time of a step grows.
type SchemaWork string

const (
	// WorkInstant changes the catalog alone.
	WorkInstant SchemaWork = "instant"
	// WorkScan reads the whole table.
	WorkScan SchemaWork = "scan"
	// WorkOnline writes the whole table while its readers and writers go on, but
	// for a moment at the beginning and at the end.
	WorkOnline SchemaWork = "online"
	// WorkRewrite writes the whole table under the lock.
	WorkRewrite SchemaWork = "rewrite"
	// WorkChunks writes the table in many short transactions.
	WorkChunks SchemaWork = "chunks"
)

// SchemaStep is one change of the schema.
type SchemaStep struct {
	// ID is the step's name, such as "add-column".
	ID string
	// SQL are the statements, in order. A statement may hold semicolons.
	SQL []string
	// File are the statements for files that other tools run, where they differ
	// from SQL.
	File []string
	// Lock is what is kept out; LockName is what the database calls it.
	Lock     SchemaLock
	LockName string
	// Work tells how long the lock is held.
	Work SchemaWork
	// Observe is how the catalog shows that the step is done.
	Observe string
	// Undo are the statements that take it back.
	Undo []string
	// Done says that the catalog shows it.
	Done bool
}
