package retry

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Attempts counts and paces the attempts of one operation. It comes from
// [Policy.Start], belongs to one goroutine and is not used again afterwards.
// An operation that succeeds the first time allocates nothing here and reads
// the clock once.
type Attempts struct {
	policy  *Policy
	start   time.Time
	began   time.Time       // of the current attempt
	mean    time.Duration   // of the attempts seen so far; zero: none
	backoff backoff.BackOff // the policy's own; nil until its first wait
	waits   int             // delays that were drawn
	retries int
	outages int
	delay   time.Duration
}

// Start begins the first attempt of one operation. The policy may be nil and
// must not change until the operation ends.
func (p *Policy) Start() Attempts {
	now := time.Now()
	return Attempts{policy: p, start: now, began: now}
}

// N returns the number of the current attempt, the first being 1.
func (a *Attempts) N() int { return a.retries + 1 }

// Max returns how many attempts the policy allows, for texts such as
// "attempt 3 of 8".
func (a *Attempts) Max() int { return a.policy.maxAttempts() }

// Elapsed returns the time since [Policy.Start].
func (a *Attempts) Elapsed() time.Duration { return time.Since(a.start) }

// Delay returns how long the wait before the current attempt was meant to be;
// zero for the first attempt and for a retry that ran at once.
func (a *Attempts) Delay() time.Duration { return a.delay }

// Again asks for another attempt after err, which proves that the current one
// changed nothing. It waits and returns nil when there may be one: the caller
// then reads afresh and writes, in that order, because what was read before the
// wait is stale after it.
//
// Otherwise it returns why not, at once: an [*ExhaustedError] that holds err,
// when attempts, time or backoff are used up, when ctx has ended or ends during
// the wait, or when the wait would last until ctx's deadline or MaxElapsed. The
// cause of a [*backoff.PermanentError] in err's chain comes back as it is. So
// does an err that is already [ErrExhausted]: loops within loops do not multiply.
func (a *Attempts) Again(ctx context.Context, err error) error {
	return a.next(ctx, err, false)
}

// Outage is [Attempts.Again] for an err that proves that the server was
// unavailable and did nothing. It counts against MaxOutages too, takes a retry
// out of the policy's [Budget], and always waits.
func (a *Attempts) Outage(ctx context.Context, err error) error {
	return a.next(ctx, err, true)
}

// Skip notes that another attempt is under way which somebody else has decided on
// and paced.
func (a *Attempts) Skip() { a.retries, a.delay = a.retries+1, 0 }

func (a *Attempts) next(ctx context.Context, err error, outage bool) error {
	if final, ok := terminal(err); ok {
		return final
	}
	if !outage { // how fast nobody answers says nothing about the next attempt
		a.observe()
	}
	if reason := a.spent(ctx, outage); reason != 0 {
		return a.giveUp(ctx, reason, err)
	}
	delay := a.nextDelay(outage)
	if reason := a.tooLong(ctx, delay); reason != 0 {
		return a.giveUp(ctx, reason, err)
	}
	if outage && !a.policy.budget().Take() {
		return a.giveUp(ctx, BudgetSpent, err)
	}
	if !sleep(ctx, delay) {
		return a.giveUp(ctx, ended(ctx), err)
	}
	a.delay, a.began = delay, time.Now()
	a.retries++
	if outage {
		a.outages++
	}
	return nil
}

// terminal returns the error that ends the attempts whatever the policy says.
func terminal(err error) (error, bool) {
	var permanent *backoff.PermanentError
	switch {
	case errors.Is(err, ErrExhausted):
		return err, true
	case errors.As(err, &permanent):
		if permanent.Err == nil { // never nil, which would mean "go on"
			return err, true
		}
		return permanent.Err, true
	default:
		return nil, false
	}
}

// spent returns what is used up before any delay is known.
func (a *Attempts) spent(ctx context.Context, outage bool) Reason {
	switch {
	case ctx.Err() != nil:
		return ended(ctx)
	case a.N() >= a.policy.maxAttempts():
		return MaxAttempts
	case outage && a.outages >= a.policy.maxOutages():
		return MaxOutages
	default:
		return 0
	}
}

// nextDelay returns the wait before the next attempt; negative means stop.
func (a *Attempts) nextDelay(outage bool) time.Duration {
	if a.retries == 0 && !outage && !a.policy.pauseFirst() {
		return 0
	}
	if a.policy == nil || a.policy.NewBackOff == nil {
		a.waits++
		return a.jitter(a.waits-1, outage)
	}
	if a.backoff == nil {
		a.backoff = a.policy.newBackOff()
	}
	return a.backoff.NextBackOff()
}

// tooLong returns what the wait would outlast. It compares with the time left
// and adds nothing, so no duration overflows.
func (a *Attempts) tooLong(ctx context.Context, delay time.Duration) Reason {
	if delay < 0 {
		return BackOffStopped
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= delay {
		return DeadlineExceeded
	}
	if a.policy.maxElapsed()-a.Elapsed() <= delay {
		return MaxElapsed
	}
	return 0
}

func (a *Attempts) giveUp(ctx context.Context, reason Reason, err error) error {
	exhausted := &ExhaustedError{
		Attempts: a.N(),
		Elapsed:  a.Elapsed(),
		Reason:   reason,
		Err:      err,
	}
	if exhausted.contextErr() != nil {
		exhausted.Cause = context.Cause(ctx)
	}
	return exhausted
}

// ended returns the reason for a context that is done.
func ended(ctx context.Context) Reason {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return DeadlineExceeded
	}
	return Canceled
}

// sleep reports whether the whole delay passed before ctx ended.
func sleep(ctx context.Context, delay time.Duration) bool {
	if delay == 0 {
		return true
	}
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
