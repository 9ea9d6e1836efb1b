package dialecttest

import (
	"context"
	"errors"

	"github.com/occkit/occkit/dialects"
)

// Harness is one pair of a dialect and a transport, and what the suite needs to
// set the scene. Name, Dialect, Transport and Exec are required. What is missing
// of the rest is recorded as untested.
type Harness struct {
	// Name names the pair in results, such as "postgres/pgxdb".
	Name string
	// Server is what the suite runs on, such as "PostgreSQL 15.18".
	Server string
	// Note is a restriction that readers of the results must know.
	Note string

	// Dialect is the dialect under test.
	Dialect dialects.Dialect
	// Transport is the transport under test. It must be able to lend several
	// connections at once, unless OneConnection is set.
	Transport dialects.DB
	// OneConnection says that Transport has a single connection, which a lost
	// or interrupted statement would end.
	OneConnection bool

	// Exec runs one statement as it is, on any connection: the suite's DDL.
	Exec func(ctx context.Context, text string) error
	// DDL is how the database spells columns. The zero value is PostgreSQL's.
	DDL DDL

	// BeginTx opens a transaction of the caller's own, for occ.Join, on another
	// connection than the transport's.
	BeginTx Begin
	// BeginSnapshot is BeginTx at REPEATABLE READ, or whatever isolation makes
	// plain reads repeatable.
	BeginSnapshot Begin
	// Impatient is a transport to the same database whose sessions wait only
	// briefly for a lock, a second at most.
	Impatient dialects.DB
	// SingleWriter says that a writing transaction excludes all others, so that
	// transactions cannot deadlock over rows.
	SingleWriter bool

	// Foreign names the topics, such as "bulk", or the cases, such as
	// "units/absent", that cannot run because the server is not the dialect's own
	// but a relative with another grammar. They are recorded as untested.
	Foreign []string

	// Interference is how the database itself can stand between a write and its
	// row.
	Interference Interference
	// QuestionMark is a condition, true in every row of every table, that uses
	// an operator with a question mark, written ??. Empty: the database has none.
	QuestionMark string

	_ struct{} // no positional literals, so that fields may be added
}

// Begin opens a transaction. Tx is what occ.Join takes. Rollback after the end
// of the transaction must do no harm.
type Begin func(ctx context.Context) (tx any, commit, rollback func() error, err error)

// Interference is DDL of triggers and the like. Table is a plain name in lower
// case, with the columns id (the key), balance and version, and the names of
// other things can be derived from it. What they leave behind when the table is
// dropped is the harness's business.
type Interference struct {
	// Swallow are the ways in which the database can drop a write without an
	// error. Empty: it has none.
	Swallow []Trick
	// Bump makes every update of the table set the version to the old one plus
	// two, whatever the statement says. Nil: untested.
	Bump func(table string) []string
	// BumpReturned says that the dialect's update returns what Bump made of the
	// version. Otherwise repositories of such tables need ReadBack.
	BumpReturned bool
	// Transient makes every update of the table fail with an error that the
	// database's documentation says to retry, such as a serialization failure.
	// Nil: untested.
	Transient func(table string) []string
}

// Trick is one way to swallow writes.
type Trick struct {
	// Name is the way: "trigger", "rule".
	Name string
	// DDL makes writes of one kind, "INSERT", "UPDATE" or "DELETE", do nothing.
	DDL func(table, event string) []string
	// Loud says that the database may refuse such a write with an error, which
	// is as good.
	Loud bool
}

// validate returns an error that names the first field that is missing.
func (h *Harness) validate() error {
	switch {
	case h.Name == "":
		return errors.New("dialecttest: Harness.Name is empty")
	case h.Dialect == nil:
		return errors.New("dialecttest: Harness.Dialect is nil")
	case h.Transport == nil:
		return errors.New("dialecttest: Harness.Transport is nil")
	case h.Exec == nil:
		return errors.New("dialecttest: Harness.Exec is nil")
	}
	return nil
}
