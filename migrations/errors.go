package migrations

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/occkit/occkit/dialects"
)

// ErrRefused is what a [*RefusedError] is: a table does not fit, and nothing was
// changed.
var ErrRefused = errors.New("refused")

// ErrLocked is what a [*LockedError] is: a lock was not had in time. What was
// done before stays, and running again goes on.
var ErrLocked = errors.New("the lock was not had in time")

// ErrVersionsInUse is returned when a column would be dropped that rows have
// moved on in, unless that is forced.
var ErrVersionsInUse = errors.New("versions are in use")

// ErrPlanChanged is returned when what there is to do is not what was approved.
var ErrPlanChanged = errors.New("the plan has changed")

// RefusedError says why a table is not touched, and what to do.
type RefusedError struct {
	Table    string
	Findings []dialects.SchemaFinding
}

// Error names the reasons.
func (e *RefusedError) Error() string {
	var reasons []string
	for _, f := range e.Findings {
		reasons = append(reasons, f.Text+": "+f.Remedy)
	}
	return fmt.Sprintf("migrations: %s: refused, nothing was changed: %s", e.Table, strings.Join(reasons, "; "))
}

// Unwrap returns [ErrRefused].
func (e *RefusedError) Unwrap() error { return ErrRefused }

// LockedError says who was in the way.
type LockedError struct {
	Table, Step string
	Waited      time.Duration
	Attempts    int
	Blockers    []dialects.SchemaBlocker
	// Why says it where nobody can be named.
	Why string
	// Last is the error of the last attempt.
	Last error
}

// Error names the one who has been in the way for longest.
func (e *LockedError) Error() string {
	text := fmt.Sprintf("migrations: %s: %s: no lock in %s and %d attempts", e.Table, e.Step, e.Waited.Round(100*time.Millisecond), e.Attempts)
	if who := Describe(e.Blockers, e.Why); who != "" {
		text += ": " + who
	}
	return text + ": run again to go on"
}

// Unwrap returns [ErrLocked] and the error of the last attempt.
func (e *LockedError) Unwrap() []error { return []error{ErrLocked, e.Last} }

// Describe says who is in the way, in one line.
func Describe(blockers []dialects.SchemaBlocker, why string) string {
	if len(blockers) == 0 {
		return why
	}
	b := blockers[0]
	text := strings.TrimSpace("session " + b.ID + " " + b.Who)
	if b.State != "" {
		text += " (" + strings.TrimSpace(b.State) + ")"
	}
	text += " for " + (time.Duration(b.Seconds) * time.Second).String()
	if b.Lock != "" {
		text += " holds " + b.Lock
	}
	if len(blockers) > 1 {
		text += fmt.Sprintf(", and %d more", len(blockers)-1)
	}
	if b.End != "" {
		text += "; to end it: " + b.End
	}
	return text
}

// explain wraps an error of a step, unless it says all of that itself.
func explain(err error, table, step string) error {
	var locked *LockedError
	if errors.As(err, &locked) {
		return err
	}
	return fmt.Errorf("migrations: %s: %s: %w", table, step, err)
}
