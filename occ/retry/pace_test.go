package retry_test

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ/retry"
)

// longest returns the longest of many delays number waits, after attempts that take
// cost each.
func longest(t *testing.T, p *retry.Policy, cost time.Duration, waits int, outage bool) (most time.Duration) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		for range 300 {
			attempts := p.Start()
			for range waits {
				time.Sleep(cost)
				next := attempts.Again
				if outage {
					next = attempts.Outage
				}
				require.NoError(t, next(t.Context(), errConflict))
			}
			most = max(most, attempts.Delay())
		}
	})
	return most
}

// Delays follow the time that attempts take, between a floor and a cap.
func TestDelaysAreScaledToTheAttempts(t *testing.T) {
	t.Parallel()
	const floor, limit = 50 * time.Microsecond, 500 * time.Millisecond
	for name, tc := range map[string]struct {
		cost   time.Duration
		waits  int
		outage bool
		top    time.Duration
	}{
		"first":                 {time.Millisecond, 1, false, time.Millisecond},
		"doubled":               {time.Millisecond, 3, false, 4 * time.Millisecond},
		"capped in attempts":    {time.Millisecond, 12, false, 32 * time.Millisecond},
		"nothing":               {0, 1, false, floor},
		"loopback":              {200 * time.Microsecond, 2, false, 400 * time.Microsecond},
		"distant":               {100 * time.Millisecond, 1, false, 100 * time.Millisecond},
		"capped in time":        {100 * time.Millisecond, 8, false, limit},
		"a second":              {time.Second, 1, false, 250 * time.Millisecond},
		"outages have a floor":  {time.Microsecond, 1, true, 2 * time.Millisecond},
		"outages do not count":  {time.Second, 1, true, 2 * time.Millisecond},
		"outages are doubled":   {time.Microsecond, 2, true, 4 * time.Millisecond},
		"outages are as capped": {time.Microsecond, 20, true, 64 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := &retry.Policy{PauseFirst: true, MaxOutages: 99, MaxElapsed: time.Hour}
			most := longest(t, p, tc.cost, tc.waits, tc.outage)
			require.LessOrEqual(t, most, tc.top)
			require.Greater(t, most, tc.top*9/10)
		})
	}
}

// Operations learn from each other: the one that has seen nothing waits as long
// as the others had to.
func TestPaceIsShared(t *testing.T) {
	t.Parallel()
	pace := new(retry.Pace)
	require.Zero(t, pace.Mean())
	for range 100 {
		pace.Observe(80 * time.Millisecond)
	}
	require.Equal(t, 80*time.Millisecond, pace.Mean())
	p := &retry.Policy{PauseFirst: true, Pace: pace}
	most := longest(t, p, 80*time.Millisecond, 1, false)
	require.Greater(t, most, 70*time.Millisecond)
	longest(t, p, time.Millisecond, 1, false)
	require.InDelta(t, time.Millisecond, pace.Mean(), float64(100*time.Microsecond), "and forgets what was")
	require.Greater(t, longest(t, p, time.Microsecond, 1, true), time.Millisecond, "outages go by it as well")
	require.InDelta(t, time.Millisecond, pace.Mean(), float64(100*time.Microsecond), "and teach it nothing")
}

func TestPaceIsAMean(t *testing.T) {
	t.Parallel()
	var pace retry.Pace
	require.Equal(t, 80*time.Millisecond, pace.Observe(80*time.Millisecond))
	require.Equal(t, 71*time.Millisecond, pace.Observe(8*time.Millisecond))
	require.Equal(t, 72*time.Millisecond+125*time.Microsecond, pace.Observe(80*time.Millisecond))
	var none retry.Pace
	require.Positive(t, none.Observe(-time.Hour), "clocks that jump do no harm")

	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for range 1000 {
				pace.Observe(5 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	require.InDelta(t, 5*time.Millisecond, pace.Mean(), 8, "whatever is lost, it gets there")
}

func TestOwnBackOffIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := &retry.Policy{PauseFirst: true, Pace: new(retry.Pace), NewBackOff: func() backoff.BackOff {
		return backoff.NewConstantBackOff(3 * time.Second)
	}}
	require.Equal(t, 3*time.Second, longest(t, p, time.Millisecond, 2, false))
}

func TestBudget(t *testing.T) {
	t.Parallel()
	b := &retry.Budget{Burst: 3}
	p := &retry.Policy{MaxOutages: 9, NewBackOff: retry.None(), Budget: b}
	down := errors.New("connection refused")
	attempts := p.Start()
	for left := 2; left >= 0; left-- {
		require.NoError(t, attempts.Outage(t.Context(), down))
		require.Equal(t, left, b.Left())
	}
	err := attempts.Outage(t.Context(), down)
	var exhausted *retry.ExhaustedError
	require.ErrorAs(t, err, &exhausted)
	require.Equal(t, retry.BudgetSpent, exhausted.Reason)
	require.Equal(t, 4, exhausted.Attempts)
	require.ErrorIs(t, err, down)
	require.ErrorContains(t, err, "(retry budget): connection refused")
	require.EqualValues(t, 1, b.Refused())

	for range 200 {
		require.NoError(t, attempts.Again(t.Context(), errConflict), "conflicts are free")
	}
	for n := range 10 {
		require.False(t, b.Take(), "after %d successes", n)
		b.Earn()
	}
	b.Earn() // a tenth is not kept exactly in binary
	require.True(t, b.Take())
	require.False(t, b.Take())
	for range 1000 {
		b.Earn()
	}
	require.Equal(t, 3, b.Left(), "and no more")
	require.True(t, b.Full())
}

// What bounds the wait is asked first: a retry that cannot be is not paid for.
func TestBudgetIsNotSpentInVain(t *testing.T) {
	t.Parallel()
	b := new(retry.Budget)
	p := &retry.Policy{MaxOutages: 1, NewBackOff: constant(time.Hour), Budget: b}
	attempts := p.Start()
	require.ErrorIs(t, attempts.Outage(t.Context(), errConflict), retry.ErrExhausted)
	require.Equal(t, 100, b.Left())
}

func TestBudgetDefaultsAndOff(t *testing.T) {
	t.Parallel()
	var b retry.Budget
	for range 100 {
		require.True(t, b.Take())
	}
	require.False(t, b.Take())
	off := retry.Budget{Off: true, Burst: 1}
	var none *retry.Budget
	for range 1000 {
		require.True(t, off.Take())
		require.True(t, none.Take())
	}
	none.Earn()
	require.True(t, none.Full())
	require.Equal(t, 100, none.Left())
	require.Zero(t, none.Refused())
}

func TestBudgetOfManyGoroutines(t *testing.T) {
	t.Parallel()
	b := &retry.Budget{Burst: 1000, Ratio: 0.5}
	var wg sync.WaitGroup
	taken := make([]int, 64)
	for i := range taken {
		wg.Go(func() {
			for range 100 {
				if b.Take() {
					taken[i]++
				}
				b.Earn()
			}
		})
	}
	wg.Wait()
	sum := 0
	for _, n := range taken {
		sum += n
	}
	require.LessOrEqual(t, sum, 1000+6400/2)
	require.Greater(t, sum, 1000)
}

func TestInvalidBudget(t *testing.T) {
	t.Parallel()
	require.EqualError(t, (&retry.Policy{Budget: &retry.Budget{Ratio: -1}}).Validate(), "retry: Budget.Ratio is -1, must not be negative")
	require.EqualError(t, (&retry.Budget{Burst: -1}).Validate(), "retry: Budget.Burst is -1, must not be negative")
	require.NoError(t, (&retry.Policy{Budget: new(retry.Budget)}).Validate())
}
