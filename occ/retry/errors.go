package retry

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrExhausted is what every [*ExhaustedError] is: the operation failed with an
// error that another attempt might have cured, and no other attempt was allowed.
var ErrExhausted = errors.New("retry: attempts exhausted")

// Reason is which bound ended the attempts.
type Reason uint8

const (
	// MaxAttempts: [Policy.MaxAttempts] attempts were made.
	MaxAttempts Reason = iota + 1
	// MaxElapsed: the next wait would have outlasted [Policy.MaxElapsed].
	MaxElapsed
	// MaxOutages: the server was unavailable more than [Policy.MaxOutages] times.
	MaxOutages
	// BackOffStopped: the backoff returned [backoff.Stop].
	BackOffStopped
	// Canceled: the context was canceled.
	Canceled
	// DeadlineExceeded: the context's deadline passed, or the next wait would
	// have lasted until it.
	DeadlineExceeded
	// BudgetSpent: the server was unavailable, and [Policy.Budget] is empty.
	BudgetSpent
)

var reasonNames = [...]string{
	"none", "attempt limit", "time limit", "server unavailable",
	"backoff stopped", "context canceled", "context deadline exceeded", "retry budget",
}

// String returns the reason in lower case, for error texts and logs.
func (r Reason) String() string {
	if int(r) < len(reasonNames) {
		return reasonNames[r]
	}
	return "invalid"
}

// ExhaustedError says that the attempts ended without success, and why. It is
// [ErrExhausted]. It also is whatever Err is, and, when the context was the
// reason, the context's error and its cause: neither hides the other.
type ExhaustedError struct {
	Attempts int           // attempts that were made
	Elapsed  time.Duration // from the start until giving up
	Reason   Reason        // the bound that was met
	Err      error         // the last attempt's error
	Cause    error         // context.Cause when the context had ended, or nil
}

// Error returns a text such as "gave up after 8 attempts in 412ms: " followed
// by the last error's. A reason other than the number of attempts stands in
// parentheses.
func (e *ExhaustedError) Error() string {
	plural := "s"
	if e.Attempts == 1 {
		plural = ""
	}
	text := fmt.Sprintf("gave up after %d attempt%s in %s", e.Attempts, plural, rounded(e.Elapsed))
	if why := e.why(); why != "" {
		text += " (" + why + ")"
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *ExhaustedError) why() string {
	if e.Reason == MaxAttempts {
		return ""
	}
	why := e.Reason.String()
	if ctxErr := e.contextErr(); ctxErr != nil && e.Cause != nil && !errors.Is(ctxErr, e.Cause) {
		why += ": " + e.Cause.Error()
	}
	return why
}

// Is reports whether target is [ErrExhausted].
func (e *ExhaustedError) Is(target error) bool { return target == ErrExhausted }

// Unwrap returns the last attempt's error and, when the context ended the
// attempts, [context.Canceled] or [context.DeadlineExceeded] and its cause.
func (e *ExhaustedError) Unwrap() []error {
	var errs []error
	for _, err := range []error{e.Err, e.contextErr(), e.Cause} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (e *ExhaustedError) contextErr() error {
	switch e.Reason {
	case Canceled:
		return context.Canceled
	case DeadlineExceeded:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// rounded keeps about three digits: more is noise in an error's text.
func rounded(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= time.Second:
		return d.Round(10 * time.Millisecond)
	case d >= time.Millisecond:
		return d.Round(time.Millisecond)
	default:
		return d.Round(time.Microsecond)
	}
}
