package retry

import (
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// What a [Policy] means where it says nothing. One number stands for one
// meaning: no value of any field means "without end".
const (
	defaultMaxAttempts = 256
	defaultMaxElapsed  = 30 * time.Second
	defaultMaxOutages  = 2
)

// Policy bounds and paces the attempts of one operation. Its zero value and a
// nil *Policy work and mean the defaults. Attempts and total time are both
// always bounded.
//
// A Policy is only read, so one value may serve any number of goroutines: it
// holds the constructor of a backoff and never an instance, because the
// instances of backoff/v4 keep state. What operations share and change stands
// apart, in the [Pace] and the [Budget] that it points to; both are safe for
// concurrent use, and several policies may point to the same.
type Policy struct {
	// MaxAttempts is how often the operation runs in all, the first time
	// included; 1 means no retry. Defaults to 256, a safety net; MaxElapsed is
	// the real bound. With 64 clients that change one row without pause, 40 ms
	// per attempt, the unluckiest of 1280 changes takes 40 to 60 attempts
	// (TestDefaultsFinishOnOneHotRow), and none should fail. Negative is invalid.
	MaxAttempts int

	// MaxElapsed is the total time of all attempts and waits. It is looked at
	// between attempts and does not cut off one that runs: give the context a
	// deadline for that. Defaults to 30 seconds. Negative is invalid.
	MaxElapsed time.Duration

	// MaxOutages is how many of the attempts may be repeats because the server
	// was unavailable. Defaults to 2; -1 means none.
	MaxOutages int

	// NewBackOff makes the backoff of one operation, on its second or, with
	// PauseFirst, first retry. It is called from many goroutines and must return
	// a new value each time. A negative delay, such as [backoff.Stop], ends the
	// attempts, and so does a nil BackOff. Defaults to full jitter over the
	// duration of an attempt as Pace sees it: delay n = 0, 1, 2 ... is drawn from
	// [0, d*2^n], where d is at least 50 µs (after an outage 2 ms), and the end of
	// the range at most 32 times d and 500 ms.
	NewBackOff func() backoff.BackOff

	// PauseFirst makes the first retry wait as well. Defaults to false: the
	// first retry after a conflict runs at once, because most rows are not hot
	// and the other writer has already finished. A retry after an outage always
	// waits.
	PauseFirst bool

	// Pace is what operations learn from each other about the duration of an
	// attempt, for the default delays. Defaults to none, and then each operation
	// goes by its own attempts; an occ.DB makes one for all of its operations.
	Pace *Pace

	// Budget bounds the retries after outages of all operations together.
	// Defaults to none, which refuses nothing; an occ.DB makes one for all of its
	// operations.
	Budget *Budget
}

// Validate returns an error that names the first field whose value has no
// meaning. A nil Policy is valid. An invalid policy that is used anyway allows
// fewer attempts, never more.
func (p *Policy) Validate() error {
	switch {
	case p == nil:
		return nil
	case p.MaxAttempts < 0:
		return fmt.Errorf("retry: Policy.MaxAttempts is %d, must not be negative", p.MaxAttempts)
	case p.MaxElapsed < 0:
		return fmt.Errorf("retry: Policy.MaxElapsed is %s, must not be negative", p.MaxElapsed)
	case p.MaxOutages < -1:
		return fmt.Errorf("retry: Policy.MaxOutages is %d, must be -1 (none) or more", p.MaxOutages)
	default:
		return p.Budget.Validate()
	}
}

func (p *Policy) maxAttempts() int {
	if p == nil || p.MaxAttempts == 0 {
		return defaultMaxAttempts
	}
	return p.MaxAttempts
}

func (p *Policy) maxElapsed() time.Duration {
	if p == nil || p.MaxElapsed == 0 {
		return defaultMaxElapsed
	}
	return p.MaxElapsed
}

func (p *Policy) maxOutages() int {
	if p == nil || p.MaxOutages == 0 {
		return defaultMaxOutages
	}
	return max(p.MaxOutages, 0)
}

func (p *Policy) pauseFirst() bool { return p != nil && p.PauseFirst }

func (p *Policy) budget() *Budget {
	if p == nil {
		return nil
	}
	return p.Budget
}

// newBackOff returns the policy's own backoff, ready for its first delay.
func (p *Policy) newBackOff() backoff.BackOff {
	b := p.NewBackOff()
	if b == nil {
		return &backoff.StopBackOff{}
	}
	b.Reset() // as backoff.Retry does: an ExponentialBackOff literal needs it
	return b
}
