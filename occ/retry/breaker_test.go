package retry_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ/retry"
)

var errRefused = errors.New("connection refused")

// outages makes n calls that find no server, and returns how the breaker changed.
func outages(t *testing.T, b *retry.Breaker, n int) (changed retry.State) {
	t.Helper()
	for range n {
		p, _, err := b.Enter()
		require.NoError(t, err)
		changed = p.Failed(errRefused)
	}
	return changed
}

// refused requires that the breaker lets nothing pass.
func refused(t *testing.T, b *retry.Breaker) *retry.OpenError {
	t.Helper()
	_, changed, err := b.Enter()
	var open *retry.OpenError
	require.ErrorAs(t, err, &open)
	require.ErrorIs(t, err, retry.ErrOpen)
	require.Zero(t, changed)
	return open
}

// probe enters an open breaker whose time has come.
func probe(t *testing.T, b *retry.Breaker, want retry.State) retry.Pass {
	t.Helper()
	p, changed, err := b.Enter()
	require.NoError(t, err)
	require.Equal(t, want, changed)
	require.False(t, p.Calm())
	require.Equal(t, retry.HalfOpen, b.State())
	return p
}

func TestBreaker(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b retry.Breaker
		start := time.Now()
		require.Zero(t, outages(t, &b, 4))
		require.Equal(t, retry.Closed, b.State())
		time.Sleep(time.Second)
		require.Equal(t, retry.Open, outages(t, &b, 1))
		require.Equal(t, retry.Open, b.State())

		open := refused(t, &b)
		require.Equal(t, start, open.Since, "since the first outage")
		require.Equal(t, time.Now().Add(250*time.Millisecond), open.Until)
		require.ErrorIs(t, open, errRefused)
		time.Sleep(249 * time.Millisecond)
		_ = refused(t, &b)
		time.Sleep(time.Millisecond + 1)

		first := probe(t, &b, retry.HalfOpen)
		require.True(t, refused(t, &b).Probing)
		require.Equal(t, retry.Open, first.Failed(errors.New("still nobody")))
		open = refused(t, &b)
		require.Equal(t, start, open.Since)
		require.Equal(t, time.Now().Add(250*time.Millisecond), open.Until)
		require.ErrorContains(t, open, "still nobody")

		time.Sleep(time.Second)
		require.Equal(t, retry.Closed, probe(t, &b, retry.HalfOpen).Answered())
		require.Equal(t, retry.Closed, b.State())
		p, changed, err := b.Enter()
		require.NoError(t, err)
		require.Zero(t, changed)
		require.True(t, p.Calm())
		again := time.Now()
		require.Equal(t, retry.Open, outages(t, &b, 5), "it counts from nothing")
		require.Equal(t, again, refused(t, &b).Since)
	})
}

// An answer in between means that the server is there.
func TestBreakerNeedsOutagesInARow(t *testing.T) {
	t.Parallel()
	var b retry.Breaker
	for range 10 {
		require.Zero(t, outages(t, &b, 4))
		p, _, err := b.Enter()
		require.NoError(t, err)
		require.False(t, p.Calm(), "the server is suspect")
		require.Zero(t, p.Answered())
		p, _, _ = b.Enter()
		require.True(t, p.Calm())
	}
	require.Zero(t, outages(t, &b, 4))
	for range 10 { // calls without a verdict count for nothing
		p, _, _ := b.Enter()
		require.Zero(t, p.Left())
	}
	require.Equal(t, retry.Open, outages(t, &b, 1))
}

// A call that began before the breaker opened proves nothing afterwards.
func TestBreakerIgnoresLateComers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b retry.Breaker
		calm, _, _ := b.Enter()
		outages(t, &b, 1)
		late, _, _ := b.Enter()
		outages(t, &b, 4)
		require.Zero(t, late.Answered())
		require.Zero(t, calm.Answered())
		require.Equal(t, retry.Open, b.State())
		time.Sleep(time.Second)
		p := probe(t, &b, retry.HalfOpen)
		require.Zero(t, late.Failed(errRefused))
		require.Equal(t, retry.HalfOpen, b.State())
		require.Equal(t, retry.Closed, p.Answered())
		require.Zero(t, late.Failed(errRefused))
		require.Zero(t, p.Failed(errRefused), "a pass is good for one verdict")
		now, _, _ := b.Enter()
		require.True(t, now.Calm())
	})
}

// A probe that finds nothing out makes room for the next, and so does one that
// never comes back.
func TestProbesWithoutVerdict(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b retry.Breaker
		outages(t, &b, 5)
		time.Sleep(time.Second)
		require.Zero(t, probe(t, &b, retry.HalfOpen).Left())
		hung := probe(t, &b, 0)
		time.Sleep(10*time.Second - 1)
		_ = refused(t, &b)
		time.Sleep(2 * time.Nanosecond)
		_, changed, err := b.Enter()
		require.ErrorIs(t, err, retry.ErrOpen)
		require.Equal(t, retry.Open, changed)
		require.Zero(t, hung.Answered())
		time.Sleep(time.Second)
		require.Equal(t, retry.Closed, probe(t, &b, retry.HalfOpen).Answered())
	})
}

func TestBreakerOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := &retry.Breaker{Failures: 1, Wait: time.Minute}
		require.Equal(t, retry.Open, outages(t, b, 1))
		require.Equal(t, time.Now().Add(time.Minute), refused(t, b).Until)

		off := &retry.Breaker{Off: true}
		outages(t, off, 100)
		outages(t, nil, 100)
		require.Equal(t, retry.Closed, off.State())
		require.Equal(t, retry.Closed, (*retry.Breaker)(nil).State())
	})
	require.NoError(t, (*retry.Breaker)(nil).Validate())
	require.NoError(t, new(retry.Breaker).Validate())
	require.EqualError(t, (&retry.Breaker{Failures: -1}).Validate(), "retry: Breaker.Failures is -1, must not be negative")
	require.EqualError(t, (&retry.Breaker{Wait: -1}).Validate(), "retry: Breaker.Wait is -1ns, must not be negative")
}

func TestOpenErrorText(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 15, 4, 5, 6e6, time.UTC)
	e := retry.OpenError{Since: at, Until: at.Add(time.Second), Err: errRefused}
	require.EqualError(t, &e, "nothing sent: no answer since 15:04:05.006, tried again at 15:04:06.006: connection refused")
	e.Probing, e.Err = true, nil
	require.EqualError(t, &e, "nothing sent: no answer since 15:04:05.006, being tried again now")
	for s, want := range []string{"unchanged", "closed", "open", "half-open"} {
		require.Equal(t, want, retry.State(s).String())
	}
}

// Whatever the interleaving, one call at a time probes.
func TestOneProbeAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var b retry.Breaker
		var probing, probes, passed atomic.Int64
		outages(t, &b, 5)
		up := time.Now().Add(3 * time.Second)
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for time.Now().Before(up.Add(time.Second)) {
					p, changed, err := b.Enter()
					switch {
					case err != nil:
					case changed == retry.HalfOpen:
						if probing.Add(1) > 1 {
							t.Error("two probes at once")
						}
						probes.Add(1)
						time.Sleep(5 * time.Millisecond)
						probing.Add(-1)
						if time.Now().Before(up) {
							p.Failed(errRefused)
						} else {
							p.Answered()
						}
					case time.Now().Before(up):
						t.Error("passed while the server is down")
					default:
						passed.Add(1)
						p.Answered()
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		wg.Wait()
		require.LessOrEqual(t, probes.Load(), int64(13), "one each 250 ms")
		require.Greater(t, probes.Load(), int64(9))
		require.Greater(t, passed.Load(), int64(64*700), "all pass within 250 ms of the server's return")
	})
}

func TestHealthyBreakerAllocatesNothing(t *testing.T) { // AllocsPerRun forbids t.Parallel
	var b retry.Breaker
	var budget retry.Budget
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		p, _, err := b.Enter()
		if err != nil || !p.Calm() || p.Answered() != 0 {
			panic("not healthy")
		}
		budget.Earn()
	}))
}

func BenchmarkHealthyBreaker(b *testing.B) {
	var breaker retry.Breaker
	var budget retry.Budget
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			p, _, _ := breaker.Enter()
			if !p.Calm() || !budget.Full() {
				b.Error("not healthy")
			}
		}
	})
}
