package retry_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ/retry"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		policy *retry.Policy
		want   string
	}{
		{nil, ""},
		{&retry.Policy{}, ""},
		{&retry.Policy{MaxAttempts: 1, MaxElapsed: 1, MaxOutages: -1, NewBackOff: retry.None()}, ""},
		{&retry.Policy{MaxAttempts: -1}, "retry: Policy.MaxAttempts is -1, must not be negative"},
		{&retry.Policy{MaxElapsed: -time.Second}, "retry: Policy.MaxElapsed is -1s, must not be negative"},
		{&retry.Policy{MaxOutages: -2}, "retry: Policy.MaxOutages is -2, must be -1 (none) or more"},
	} {
		if tc.want == "" {
			require.NoError(t, tc.policy.Validate())
		} else {
			require.EqualError(t, tc.policy.Validate(), tc.want)
		}
	}
}

func TestExponentialDelays(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		base, limit time.Duration
		want        []time.Duration
	}{
		"doubles up to the limit":   {5, 30, []time.Duration{5, 10, 20, 30, 30}},
		"limit is a power":          {5, 20, []time.Duration{5, 10, 20, 20}},
		"first delay is limited":    {50, 30, []time.Duration{30, 30}},
		"smallest":                  {1, 4, []time.Duration{1, 2, 4, 4}},
		"nothing":                   {0, 30, []time.Duration{0, 0, 0}},
		"negative base":             {-5, 30, []time.Duration{0, 0}},
		"negative limit":            {5, -30, []time.Duration{0, 0}},
		"largest does not overflow": {math.MaxInt64/2 + 1, math.MaxInt64, []time.Duration{math.MaxInt64/2 + 1, math.MaxInt64, math.MaxInt64}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := retry.Exponential(tc.base, tc.limit)()
			for n, want := range tc.want {
				require.Equal(t, want, b.NextBackOff(), "delay %d", n)
			}
		})
	}
}

func TestFullJitterDistribution(t *testing.T) {
	t.Parallel()
	const draws, deviations = 10_000, 5
	const base, limit = 2 * time.Millisecond, 250 * time.Millisecond
	newBackOff := retry.FullJitter(base, limit)
	sums := make([]float64, 10)
	for range draws {
		b := newBackOff()
		for n := range sums {
			d := b.NextBackOff()
			require.GreaterOrEqual(t, d, time.Duration(0))
			require.LessOrEqual(t, d, min(limit, base<<n))
			sums[n] += float64(d)
		}
	}
	for n, sum := range sums {
		top := float64(min(limit, base<<n))
		standardError := top / math.Sqrt(12*draws)
		require.InDelta(t, top/2, sum/draws, deviations*standardError, "mean of delay %d", n)
	}
}

func TestFullJitterExtremes(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ base, limit, top time.Duration }{
		"nothing":       {0, time.Second, 0},
		"no limit":      {time.Second, 0, 0},
		"negative":      {-1, -1, 0},
		"one":           {1, 1000, 1000},
		"base is above": {time.Hour, time.Second, time.Second},
		"largest":       {math.MaxInt64, math.MaxInt64, math.MaxInt64},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := retry.FullJitter(tc.base, tc.limit)()
			var most time.Duration
			for range 1000 {
				d := b.NextBackOff()
				require.GreaterOrEqual(t, d, time.Duration(0))
				most = max(most, d)
			}
			require.LessOrEqual(t, most, tc.top)
			require.GreaterOrEqual(t, most, tc.top/2)
		})
	}
}

// Instances keep state, so no two operations may share one.
func TestConstructorsMakeNewInstances(t *testing.T) {
	t.Parallel()
	newBackOff := retry.Exponential(time.Second, time.Minute)
	a, b := newBackOff(), newBackOff()
	require.Equal(t, time.Second, a.NextBackOff())
	require.Equal(t, 2*time.Second, a.NextBackOff())
	require.Equal(t, time.Second, b.NextBackOff())
	require.Zero(t, retry.None()().NextBackOff())
}

type driverError struct{ code string }

func (e *driverError) Error() string { return e.code }

func TestExhaustedError(t *testing.T) {
	t.Parallel()
	last := fmt.Errorf("commit: %w", &driverError{"40001"})
	err := fmt.Errorf("occ: mutate accounts[42]: %w", &retry.ExhaustedError{
		Attempts: 8, Elapsed: 412_345_678, Reason: retry.MaxAttempts, Err: last,
	})
	require.EqualError(t, err, "occ: mutate accounts[42]: gave up after 8 attempts in 412ms: commit: 40001")
	require.ErrorIs(t, err, retry.ErrExhausted)
	require.ErrorIs(t, err, last)
	var driver *driverError
	require.ErrorAs(t, err, &driver)
	require.Equal(t, "40001", driver.code)
}

func TestExhaustedErrorText(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, tc := range []struct {
		err  retry.ExhaustedError
		want string
	}{
		{retry.ExhaustedError{Attempts: 1, Reason: retry.MaxAttempts, Err: boom}, "gave up after 1 attempt in 0s: boom"},
		{retry.ExhaustedError{Attempts: 2, Reason: retry.MaxAttempts}, "gave up after 2 attempts in 0s"},
		{retry.ExhaustedError{Attempts: 9, Elapsed: 29_987 * time.Millisecond, Reason: retry.MaxElapsed, Err: boom}, "gave up after 9 attempts in 30s (time limit): boom"},
		{retry.ExhaustedError{Attempts: 3, Elapsed: 1_234_567, Reason: retry.MaxOutages, Err: boom}, "gave up after 3 attempts in 1ms (server unavailable): boom"},
		{retry.ExhaustedError{Attempts: 3, Elapsed: 1_234, Reason: retry.BackOffStopped, Err: boom}, "gave up after 3 attempts in 1µs (backoff stopped): boom"},
		{retry.ExhaustedError{Attempts: 3, Elapsed: 1_234_567_890, Reason: retry.DeadlineExceeded, Err: boom}, "gave up after 3 attempts in 1.23s (context deadline exceeded): boom"},
		{retry.ExhaustedError{}, "gave up after 0 attempts in 0s (none)"},
	} {
		require.EqualError(t, &tc.err, tc.want)
	}
	require.Equal(t, "invalid", retry.Reason(99).String())
	require.Equal(t, "retry budget", retry.BudgetSpent.String())
}

var _ backoff.BackOff = retry.None()()
