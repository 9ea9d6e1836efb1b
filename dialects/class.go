package dialects

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Class is what an error proves about the statement that met it, as far as the
// error alone can tell. What follows from it depends on the [Phase]: see
// [Class.At].
type Class uint8

const (
	// Unknown errors prove nothing.
	Unknown Class = iota
	// Conflict: the server undid the whole transaction, or refused the
	// statement, because of a concurrent one (serialization failure, deadlock,
	// record changed since last read).
	Conflict
	// Busy: a lock was not granted in time. The statement was undone; the
	// transaction may still be open and half done.
	Busy
	// Replan: the statement was refused before it ran because a prepared
	// statement or plan is out of date. Sending it again cures it.
	Replan
	// Duplicate: a uniqueness constraint refused the row.
	Duplicate
	// Rejected: the server refused for good (syntax, permission, type, other
	// constraints, read data out of range). The same again fails again.
	Rejected
	// Overflow: a number did not fit its column. Rejected, and told apart
	// because a version column can be the one that is full.
	Overflow
	// Unavailable: the server refused to work at all (starting, too many
	// connections, read-only, no quorum). Nothing was done.
	Unavailable
	// NotSent: the driver proves that not one byte left the client.
	NotSent
	// Lost: the connection ended, or the caller stopped waiting, before the
	// reply. The statement may have run.
	Lost
	// Indeterminate: the server itself says that it does not know.
	Indeterminate
	// Canceled: the server stopped the statement (a cancel request, a statement
	// time limit) and undid it.
	Canceled
)

var classNames = [...]string{
	"unknown", "conflict", "busy", "replan", "duplicate", "rejected", "overflow",
	"unavailable", "not sent", "lost", "indeterminate", "canceled",
}

// String returns the class's name in lower case.
func (c Class) String() string {
	if int(c) < len(classNames) {
		return classNames[c]
	}
	return "invalid"
}

// Phase is where in a unit of work an error happened. It outranks the error's
// code: a connection that breaks during a statement of an open transaction has
// applied nothing, the same break during COMMIT may have applied everything.
type Phase uint8

const (
	// Connecting: before anything was sent, and every read outside a
	// transaction.
	Connecting Phase = iota
	// InTx: a statement inside an explicit transaction.
	InTx
	// Autocommit: a write outside of an explicit transaction.
	Autocommit
	// Commit: COMMIT itself.
	Commit
)

// String returns the phase's name.
func (p Phase) String() string {
	return [...]string{"connecting", "in transaction", "autocommit", "commit"}[p]
}

// Outcome is what is known after an error, and what may be done next.
type Outcome uint8

const (
	// Refused: not applied, and the same again fails again.
	Refused Outcome = iota
	// Retry: not applied; the whole unit may run again at once or after a
	// backoff.
	Retry
	// Down: not applied; another connection or some time is needed first.
	Down
	// Stopped: not applied, because the server was told or configured to stop
	// the statement. Repeating is the caller's decision.
	Stopped
	// Ambiguous: it may have been applied. Never repeated, never called a
	// conflict.
	Ambiguous
)

var outcomeNames = [...]string{"refused", "retry", "down", "stopped", "ambiguous"}

// String returns the outcome's name.
func (o Outcome) String() string { return outcomeNames[o] }

// outcomes is the whole decision: one row per class, one column per phase.
// Only a reply of the server, or proof that nothing was sent, makes Autocommit
// and Commit definite.
var outcomes = [...][4]Outcome{
	//               Connecting  InTx     Autocommit Commit
	Unknown:       {Refused, Refused, Ambiguous, Ambiguous},
	Conflict:      {Retry, Retry, Retry, Retry},
	Busy:          {Retry, Retry, Retry, Ambiguous},
	Replan:        {Retry, Retry, Retry, Ambiguous},
	Duplicate:     {Refused, Refused, Refused, Refused},
	Rejected:      {Refused, Refused, Refused, Refused},
	Overflow:      {Refused, Refused, Refused, Refused},
	Unavailable:   {Down, Down, Down, Down},
	NotSent:       {Down, Down, Down, Ambiguous},
	Lost:          {Down, Down, Ambiguous, Ambiguous},
	Indeterminate: {Down, Ambiguous, Ambiguous, Ambiguous},
	Canceled:      {Stopped, Stopped, Stopped, Ambiguous},
}

// At returns what an error of class c means when it happened in phase p.
func (c Class) At(p Phase) Outcome {
	if int(c) >= len(outcomes) {
		c = Unknown
	}
	return outcomes[c][p]
}

// ClassifyTransport classifies the errors that do not come from a server's
// reply: contexts, broken connections, [ErrRolledBack]. Dialects call it for
// what their own tables do not know. [driver.ErrBadConn] is [Lost]: some
// drivers return it for statements that ran; a dialect whose driver keeps its
// contract says [NotSent] itself.
func ClassifyTransport(err error) Class {
	var netErr net.Error
	switch {
	case err == nil:
		return Unknown
	case errors.Is(err, ErrRolledBack):
		return Conflict
	case errors.Is(err, ErrNotSent):
		return NotSent
	case errors.Is(err, context.Canceled),
		errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, driver.ErrBadConn),
		errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF),
		errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, net.ErrClosed),
		errors.Is(err, os.ErrDeadlineExceeded),
		errors.Is(err, syscall.ECONNRESET),
		errors.Is(err, syscall.EPIPE),
		errors.As(err, &netErr):
		return Lost
	default:
		return Unknown
	}
}
