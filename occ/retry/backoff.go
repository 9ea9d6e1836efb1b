package retry

import (
	"time"

	"github.com/cenkalti/backoff/v4"
)

// FullJitter returns a [Policy.NewBackOff] whose delay n = 0, 1, 2 ... is drawn
// uniformly from [0, min(limit, base*2^n)]. It spreads the clients of a hot row
// best for the work it costs (AWS Architecture Blog, "Exponential Backoff and
// Jitter"). Negative durations count as zero; an odd nanosecond is rounded down.
func FullJitter(base, limit time.Duration) func() backoff.BackOff {
	// backoff/v4 draws from interval*(1±RandomizationFactor) and applies
	// MaxInterval to the interval before the draw. So [0, x] is x/2 with factor
	// 1, and both ends are halved.
	base, limit = half(base), limit/2
	return func() backoff.BackOff { return newExponential(base, limit, 1) }
}

// Exponential returns a [Policy.NewBackOff] whose delay n = 0, 1, 2 ... is
// exactly min(limit, base*2^n). Clients that collided once wait equally long
// and collide again, so it is for comparisons and for single writers.
// Negative durations count as zero.
func Exponential(base, limit time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return newExponential(base, limit, 0) }
}

// None returns a [Policy.NewBackOff] without any delay: every retry runs at
// once. For embedded databases with one writer, and for comparisons.
func None() func() backoff.BackOff {
	return func() backoff.BackOff { return &backoff.ZeroBackOff{} }
}

// half never makes zero out of something: an interval of zero stays zero
// however often it is doubled.
func half(d time.Duration) time.Duration {
	if d == 1 {
		return 1
	}
	return d / 2
}

func newExponential(base, limit time.Duration, jitter float64) backoff.BackOff {
	limit = max(limit, 0)
	b := &backoff.ExponentialBackOff{
		// backoff/v4 does not apply MaxInterval to the first interval.
		InitialInterval:     min(max(base, 0), limit),
		MaxInterval:         limit,
		Multiplier:          2,
		RandomizationFactor: jitter,
		Stop:                backoff.Stop,
		Clock:               backoff.SystemClock,
		// MaxElapsedTime stays zero: the Policy bounds the time.
	}
	b.Reset()
	return b
}
