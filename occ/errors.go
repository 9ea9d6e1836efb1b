package occ

import (
	"errors"
	"fmt"
	"strings"

	"github.com/occkit/occkit/occ/retry"
)

// The questions that callers ask of an error, with [errors.Is]. The facts are in
// [*Conflict], [*OpError], [*AmbiguousError], [*MappingError] and
// [*retry.ExhaustedError], with [errors.As]; the driver's own error stays
// reachable through all of them.
var (
	// ErrConflict: another writer moved the version. Nothing was written.
	ErrConflict = errors.New("conflict")
	// ErrGone: the row that was to be written is not there any more. Errors that
	// are ErrGone are ErrNotFound as well.
	ErrGone = errors.New("row is gone")
	// ErrNotFound: no row has that key.
	ErrNotFound = errors.New("no such row")
	// ErrSuppressed: the row is there and its version is the expected one, and
	// yet the database wrote nothing: a trigger, a rule or a row policy swallowed
	// the write. Trying again would not help.
	ErrSuppressed = errors.New("write suppressed")
	// ErrDuplicate: a uniqueness constraint refused the row.
	ErrDuplicate = errors.New("duplicate")
	// ErrAmbiguous: the write may or may not have been applied, and nobody here
	// can know. It is never retried.
	ErrAmbiguous = errors.New("outcome unknown")
	// ErrExhausted: the attempts or the time of the policy ended.
	ErrExhausted = retry.ErrExhausted
	// ErrUnavailable: the server could not be reached or refused to work.
	// Nothing was written. When it was not even asked, because it has not been
	// reached for some time, the error holds a [*retry.OpenError] that says since
	// when, and when it is going to be tried again.
	ErrUnavailable = errors.New("database unavailable")
	// ErrOverflow: the version, or another number, does not fit its column any
	// more. Nothing was written.
	ErrOverflow = errors.New("number out of range")
	// ErrPoisoned: an earlier statement of the joined transaction failed, so the
	// transaction is over. Roll it back and begin again.
	ErrPoisoned = errors.New("the transaction met an error earlier and is over")
	// ErrNotUnique: the columns that are mapped as the key match several rows.
	ErrNotUnique = errors.New("the key matches several rows")
	// ErrOverloaded: too many operations of this process wait for the row already.
	// Nothing was written.
	ErrOverloaded = errors.New("overloaded")
	// ErrMapping: a struct does not fit its table description.
	ErrMapping = errors.New("mapping")
	// ErrUsage: a call that cannot be right, such as an unknown column name.
	ErrUsage = errors.New("wrong use")
)

// Subject names what an operation was about. It is part of every error.
type Subject struct {
	// Op is the operation in lower case: "update", "mutate".
	Op string
	// Table is the table's name; empty for statements of the caller's own.
	Table string
	// Key is the row's key; nil when the operation is not about one row.
	Key any
}

// String returns "update accounts[42]".
func (s Subject) String() string {
	var b strings.Builder
	b.WriteString(s.Op)
	if s.Table != "" {
		b.WriteByte(' ')
		b.WriteString(s.Table)
	}
	if s.Key != nil {
		fmt.Fprintf(&b, "[%v]", s.Key)
	}
	return b.String()
}

// Conflict tells that a versioned write of a T lost against another writer.
// Nothing was written. It is [ErrConflict].
type Conflict[T any] struct {
	Subject
	// Expected is the version that the caller held.
	Expected any
	// Actual is the version that the row has; nil when it could not be read,
	// which happens in a joined transaction that the server aborted.
	Actual any
	// Current is the row as it was when the conflict was found; nil when it
	// could not be read.
	Current *T
	// Err is the database's error, when the conflict came as one.
	Err error
}

// Error returns "occ: update accounts[42]: version 7 is stale, row is at 9", or
// "occ: update accounts[42]: conflict at version 7: " and the database's error.
func (c *Conflict[T]) Error() string {
	format := "occ: %s: version %v is stale"
	if c.Err != nil {
		format = "occ: %s: conflict at version %v"
	}
	s := fmt.Sprintf(format, c.Subject, c.Expected)
	if c.Actual != nil {
		s += fmt.Sprintf(", row is at %v", c.Actual)
	}
	if c.Err != nil {
		s += ": " + c.Err.Error()
	}
	return s
}

func (c *Conflict[T]) fromServer() bool { return c.Err != nil }

// Is reports whether target is [ErrConflict].
func (c *Conflict[T]) Is(target error) bool { return target == ErrConflict }

// Unwrap returns the database's error, if there is one.
func (c *Conflict[T]) Unwrap() error { return c.Err }

// OpError tells why an operation ended without effect.
type OpError struct {
	Subject
	// Kind is the sentinel that the error is, such as [ErrGone] or
	// [ErrDuplicate]; nil when only Err says what happened.
	Kind error
	// Expected is the version that the caller held; nil where none was.
	Expected any
	// Err is the cause; nil when Kind says it all.
	Err error
}

// Error returns "occ: update accounts[42]: row is gone".
func (e *OpError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "occ: %s", e.Subject)
	if e.Kind != nil {
		fmt.Fprintf(&b, ": %v", e.Kind)
		if e.Expected != nil {
			fmt.Fprintf(&b, " (expected version %v)", e.Expected)
		}
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Is reports whether target is the error's kind. A row that is gone is also not
// found.
func (e *OpError) Is(target error) bool {
	if e.Kind == nil {
		return false
	}
	return target == e.Kind || (e.Kind == ErrGone && target == ErrNotFound)
}

// Unwrap returns the cause.
func (e *OpError) Unwrap() error { return e.Err }

func (e *OpError) fromServer() bool { return e.Kind == ErrConflict } //nolint:errorlint // identity is meant

// AmbiguousError tells that the reply to a write was lost: it may have been
// applied, or may still be. It is [ErrAmbiguous]. Before writing again, find
// out; reading the row back once is not proof, since the write may still be on
// its way.
type AmbiguousError struct {
	Subject
	// Phase is where it happened: "autocommit" or "commit".
	Phase string
	// Err is the driver's error.
	Err error
}

// Error returns "occ: update accounts[42]: outcome unknown at autocommit: ...".
func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("occ: %s: outcome unknown at %s: %v", e.Subject, e.Phase, e.Err)
}

// Is reports whether target is [ErrAmbiguous].
func (e *AmbiguousError) Is(target error) bool { return target == ErrAmbiguous }

// Unwrap returns the driver's error.
func (e *AmbiguousError) Unwrap() error { return e.Err }

// MappingError tells which part of a struct does not fit. It is [ErrMapping].
type MappingError struct {
	// Type is the struct's type.
	Type string
	// Field is the field's path; empty when the error is about the whole struct.
	Field string
	// Reason says what is wrong and what to do.
	Reason string
	// Err is the dialect's error, when the dialect refused the table.
	Err error
}

// Error returns "occ: mapping Account.Version: ...".
func (e *MappingError) Error() string {
	name := e.Type
	if e.Field != "" {
		name += "." + e.Field
	}
	return fmt.Sprintf("occ: mapping %s: %s", name, e.Reason)
}

// Unwrap returns the dialect's error, if there is one.
func (e *MappingError) Unwrap() error { return e.Err }

// Is reports whether target is [ErrMapping].
func (e *MappingError) Is(target error) bool { return target == ErrMapping }

// errVanished is met when a row that was just written cannot be read in the
// same transaction: row security lets it be written and not seen.
var errVanished = errors.New("the row that was written cannot be read back")
