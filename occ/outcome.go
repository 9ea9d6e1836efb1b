package occ

import (
	"context"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// failure is an error of the database, judged: what to tell the caller, and
// whether the operation may go on.
type failure struct {
	err     error
	outcome dialects.Outcome
}

// judge decides what a database error in a phase means. Subject is a function
// because most errors are retried and never shown.
func (db *DB) judge(ctx context.Context, s Subject, phase dialects.Phase, err error) failure {
	if phase == dialects.Connecting && errors.Is(err, retry.ErrOpen) {
		return failure{&OpError{Subject: s, Kind: ErrUnavailable, Err: err}, dialects.Refused}
	}
	class := db.Classify(err)
	outcome := class.At(phase)
	if outcome == dialects.Ambiguous {
		return failure{&AmbiguousError{Subject: s, Phase: phase.String(), Err: withCause(ctx, err)}, outcome}
	}
	if ctx.Err() != nil { // whatever the server said, the caller has stopped waiting
		return failure{&OpError{Subject: s, Err: withCause(ctx, err)}, dialects.Stopped}
	}
	return failure{&OpError{Subject: s, Kind: kindOf(class, outcome), Err: err}, outcome}
}

// kindOf returns the sentinel for an error that wrote nothing.
func kindOf(class dialects.Class, outcome dialects.Outcome) error {
	switch {
	case class == dialects.Conflict:
		return ErrConflict
	case class == dialects.Duplicate:
		return ErrDuplicate
	case class == dialects.Overflow:
		return ErrOverflow
	case outcome == dialects.Down:
		return ErrUnavailable
	default:
		return nil
	}
}

// withCause makes sure that an error after the context's end tells so.
func withCause(ctx context.Context, err error) error {
	if ctx.Err() == nil || errors.Is(err, ctx.Err()) {
		return err
	}
	return fmt.Errorf("%w: %w", ctx.Err(), err)
}

// next asks the policy whether the operation may go on after f. It waits, and
// returns nil for another attempt.
func (f failure) next(ctx context.Context, a *retry.Attempts) error {
	switch f.outcome {
	case dialects.Retry:
		return a.Again(ctx, f.err)
	case dialects.Down:
		return a.Outage(ctx, f.err)
	default:
		return f.err
	}
}

// after is next for an operation that reads again for each attempt: when the
// context ends during such a read, the conflict that made it necessary is the
// error to know.
func (f failure) after(ctx context.Context, a *retry.Attempts, before error) error {
	if f.outcome == dialects.Stopped && before != nil {
		return a.Again(ctx, before)
	}
	return f.next(ctx, a)
}

// watch reports the events of one operation. A nil watch reports nothing, and
// costs nothing.
type watch struct {
	observer observe.Observer
	subject  Subject
	attempts *retry.Attempts
	rung     rung // how a Mutate was run that has queued
}

func (w *watch) event(ctx context.Context, kind observe.Kind, reason string, err error) {
	if w == nil {
		return
	}
	w.observer.Observe(ctx, observe.Event{
		Kind: kind, Op: w.subject.Op, Table: w.subject.Table, Key: w.subject.Key,
		Attempt: w.attempts.N(), Elapsed: w.attempts.Elapsed(), Reason: reason, Err: err,
	})
}

// attempt reports how an attempt ended, and what its error was.
func (w *watch) attempt(ctx context.Context, err error) {
	if w == nil {
		return
	}
	reason := ""
	if w.rung != alone {
		reason = w.rung.String()
	}
	w.event(ctx, observe.Attempt, reason, err)
	switch {
	case errors.Is(err, ErrAmbiguous):
		w.event(ctx, observe.Ambiguous, "", err)
	case errors.Is(err, ErrConflict):
		reason := "stale version"
		if server := (interface{ fromServer() bool })(nil); errors.As(err, &server) && server.fromServer() {
			reason = "server"
		}
		w.event(ctx, observe.Conflict, reason, err)
	}
}

// retried reports that another attempt begins, or that none is allowed.
func (w *watch) retried(ctx context.Context, before, after error) {
	if w == nil {
		return
	}
	var exhausted *retry.ExhaustedError
	switch {
	case after == nil:
		w.observer.Observe(ctx, observe.Event{
			Kind: observe.Retry, Op: w.subject.Op, Table: w.subject.Table, Key: w.subject.Key,
			Attempt: w.attempts.N(), Delay: w.attempts.Delay(), Elapsed: w.attempts.Elapsed(), Err: before,
		})
	case errors.As(after, &exhausted):
		w.event(ctx, observe.Exhausted, exhausted.Reason.String(), after)
	}
}
