// Package observe lets programs see what occkit does on their behalf: attempts,
// conflicts, retries, and the outcomes that deserve a look.
//
// A Mutate that conflicts twice and then succeeds is observed as
//
//	Attempt  1  with the conflict as Err
//	Conflict 1
//	Retry    2  after the wait; Delay 0, the first retry is at once
//	Attempt  2  with the conflict as Err
//	Conflict 2
//	Retry    3  after the wait, with its Delay
//	Attempt  3  with a nil Err: done, Elapsed is the whole operation's time
//
// Had the third attempt conflicted too, and been the last one allowed, then
// Attempt 3, Conflict 3 and Exhausted 3 would follow.
package observe

import (
	"context"
	"time"
)

// Kind is what an [Event] reports.
type Kind uint8

const (
	// Attempt: one attempt ended, Err says how; nil means that it succeeded.
	// Every attempt is reported, and first of all that follows from it.
	//
	// Reason says how a queued Mutate was run, see Queued; otherwise it is empty.
	Attempt Kind = iota + 1
	// Conflict: the attempt lost against a concurrent change. Reason says how
	// that was noticed: a stale version, or the server's own word.
	Conflict
	// Retry: the wait is over and the attempt numbered Attempt begins. Err is
	// the error of the one before.
	Retry
	// Exhausted: no other attempt was allowed. Reason names the bound; it is
	// "retry budget" when the retries of all operations together were the bound.
	Exhausted
	// Ambiguous: it is not known whether the write was applied.
	Ambiguous
	// Overwrite: a row was written without a version check, as asked.
	Overwrite
	// Breaker: the circuit breaker changed, which is about the server and not
	// about one operation. Reason is "open" (nothing is sent), "half-open" (one
	// call is on its way as a probe) or "closed". Err is the outage.
	Breaker
	// Queued: a Mutate waits for its turn at a contended row. Reason says why it
	// queues: "policy", "hot key" (others met conflicts there), "busy table" (many
	// keys are hot at the same time), "conflict" (it met one itself). The Attempt
	// that follows names how it was run in its Reason: "gate", "combine", "group"
	// or "lock".
	Queued

	kinds // how many there are, zero included
)

var kindNames = [kinds]string{
	"invalid", "attempt", "conflict", "retry", "exhausted", "ambiguous", "overwrite", "breaker", "queued",
}

// String returns the kind's name in lower case, which is stable.
func (k Kind) String() string {
	if k < kinds {
		return kindNames[k]
	}
	return kindNames[0]
}

// Event is one thing that happened. Fields that do not apply are zero.
type Event struct {
	Kind    Kind
	Op      string        // operation: "update", "mutate", "transact" ...
	Table   string        // empty when several are involved
	Key     any           // the row's key, nil when several are involved
	Attempt int           // number of the attempt, the first being 1
	Delay   time.Duration // Retry: the wait before the attempt
	Elapsed time.Duration // since the operation began
	Reason  string        // short and from a small fixed set, fit for a label
	Err     error         // may hold a row: print its text, not its fields
}

// Observer is told of events.
//
// Observe is called synchronously, on the goroutine of the operation and in the
// order in which things happened, and from many goroutines at once. It must
// therefore be fast, must not panic, and must not call back into occ. ctx is
// the operation's and may have ended already. A nil Observer costs nothing: no
// event is built for it.
type Observer interface {
	Observe(ctx context.Context, e Event)
}

// Func makes a function an [Observer].
type Func func(ctx context.Context, e Event)

// Observe calls f.
func (f Func) Observe(ctx context.Context, e Event) { f(ctx, e) }

// Multi returns an [Observer] that passes every event to each of observers in
// turn. Nil ones are left out; when none is left the result is nil.
func Multi(observers ...Observer) Observer {
	var m multi
	for _, o := range observers {
		if o != nil {
			m = append(m, o)
		}
	}
	switch len(m) {
	case 0:
		return nil
	case 1:
		return m[0]
	default:
		return m
	}
}

type multi []Observer

func (m multi) Observe(ctx context.Context, e Event) {
	for _, o := range m {
		o.Observe(ctx, e)
	}
}
