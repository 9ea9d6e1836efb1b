package retry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ/retry"
)

const second = time.Second

// constant waits d before every retry, the first included unless said otherwise.
func constant(d time.Duration) func() backoff.BackOff {
	return func() backoff.BackOff { return backoff.NewConstantBackOff(d) }
}

// fail makes attempts that take cost each and fail until the policy gives up.
func fail(ctx context.Context, p *retry.Policy, cost time.Duration, outage bool) *retry.ExhaustedError {
	for attempts := p.Start(); ; {
		time.Sleep(cost)
		next := attempts.Again
		if outage {
			next = attempts.Outage
		}
		if err := next(ctx, errConflict); err != nil {
			var exhausted *retry.ExhaustedError
			if !errors.As(err, &exhausted) {
				panic(err)
			}
			return exhausted
		}
	}
}

var bounds = map[string]struct {
	policy   *retry.Policy
	cost     time.Duration
	outage   bool
	attempts int
	elapsed  time.Duration
	reason   retry.Reason
}{
	"attempts by default":   {&retry.Policy{NewBackOff: retry.None()}, 0, false, 256, 0, retry.MaxAttempts},
	"one attempt":           {&retry.Policy{MaxAttempts: 1}, second, false, 1, second, retry.MaxAttempts},
	"first retry at once":   {&retry.Policy{MaxAttempts: 3, NewBackOff: constant(second)}, 0, false, 3, second, retry.MaxAttempts},
	"first retry waits":     {&retry.Policy{MaxAttempts: 3, NewBackOff: constant(second), PauseFirst: true}, 0, false, 3, 2 * second, retry.MaxAttempts},
	"time by default":       {&retry.Policy{NewBackOff: constant(second)}, 0, false, 31, 29 * second, retry.MaxElapsed},
	"nil policy":            {nil, 30 * second, false, 1, 30 * second, retry.MaxElapsed},
	"time of attempts":      {&retry.Policy{MaxElapsed: 3 * second, NewBackOff: retry.None()}, second, false, 3, 3 * second, retry.MaxElapsed},
	"wait up to the limit":  {&retry.Policy{MaxElapsed: second, NewBackOff: constant(second), PauseFirst: true}, 0, false, 1, 0, retry.MaxElapsed},
	"attempt over limit":    {&retry.Policy{MaxElapsed: second}, time.Minute, false, 1, time.Minute, retry.MaxElapsed},
	"longest wait":          {&retry.Policy{NewBackOff: constant(math.MaxInt64), PauseFirst: true}, second, false, 1, second, retry.MaxElapsed},
	"longest everything":    {&retry.Policy{MaxElapsed: math.MaxInt64, NewBackOff: constant(math.MaxInt64), PauseFirst: true}, second, false, 1, second, retry.MaxElapsed},
	"outages by default":    {&retry.Policy{NewBackOff: constant(second)}, 0, true, 3, 2 * second, retry.MaxOutages},
	"no outages":            {&retry.Policy{MaxOutages: -1}, 0, true, 1, 0, retry.MaxOutages},
	"one outage":            {&retry.Policy{MaxOutages: 1, NewBackOff: retry.None()}, 0, true, 2, 0, retry.MaxOutages},
	"outages and attempts":  {&retry.Policy{MaxOutages: 9, MaxAttempts: 2, NewBackOff: retry.None()}, 0, true, 2, 0, retry.MaxAttempts},
	"backoff stops":         {&retry.Policy{NewBackOff: func() backoff.BackOff { return &backoff.StopBackOff{} }}, 0, false, 2, 0, retry.BackOffStopped},
	"backoff stops in time": {&retry.Policy{NewBackOff: func() backoff.BackOff { return backoff.WithMaxRetries(backoff.NewConstantBackOff(second), 3) }}, 0, false, 5, 3 * second, retry.BackOffStopped},
	"negative delay":        {&retry.Policy{NewBackOff: constant(math.MinInt64)}, 0, false, 2, 0, retry.BackOffStopped},
	"nil backoff":           {&retry.Policy{NewBackOff: func() backoff.BackOff { return nil }}, 0, false, 2, 0, retry.BackOffStopped},
	"invalid attempts":      {&retry.Policy{MaxAttempts: -1}, 0, false, 1, 0, retry.MaxAttempts},
	"invalid time":          {&retry.Policy{MaxElapsed: -1}, 0, false, 1, 0, retry.MaxElapsed},
	"invalid outages":       {&retry.Policy{MaxOutages: math.MinInt}, 0, true, 1, 0, retry.MaxOutages},
}

func TestBounds(t *testing.T) {
	t.Parallel()
	for name, tc := range bounds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				err := fail(t.Context(), tc.policy, tc.cost, tc.outage)
				require.Equal(t, tc.reason, err.Reason, err)
				require.Equal(t, tc.attempts, err.Attempts)
				require.Equal(t, tc.elapsed, err.Elapsed)
				require.Equal(t, tc.elapsed, time.Since(start), "nothing waited in vain")
				require.Equal(t, errConflict, err.Err)
				require.NoError(t, err.Cause)
			})
		})
	}
}

func TestContextEndsTheWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shutdown := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(3*second, func() { cancel(shutdown) })
		start := time.Now()
		err := fail(ctx, &retry.Policy{NewBackOff: constant(10 * second)}, second, false)
		require.Equal(t, 3*second, time.Since(start))
		require.Equal(t, retry.Canceled, err.Reason)
		require.Equal(t, 2, err.Attempts)
		require.ErrorIs(t, err, errConflict)
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, shutdown)
		require.EqualError(t, err, "gave up after 2 attempts in 3s (context canceled: shutting down): version is stale")
	})
}

func TestContextThatHasEndedAllowsNoRetry(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := fail(ctx, nil, 0, false)
	require.Equal(t, 1, err.Attempts)
	require.ErrorIs(t, err, errConflict)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, context.DeadlineExceeded)
	require.Contains(t, err.Error(), "(context canceled): version is stale")
}

func TestDeadlineBeforeTheEndOfTheWait(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ deadline, elapsed time.Duration }{
		"earlier":         {4 * second, second},
		"at the same":     {6 * second, second},
		"later":           {6*second + 1, 6 * second},
		"passed already":  {second, second},
		"in the distance": {time.Hour, 26 * second}, // MaxElapsed
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tc.deadline)
				defer cancel()
				start := time.Now()
				attempts := (&retry.Policy{NewBackOff: constant(5 * second), PauseFirst: true}).Start()
				time.Sleep(second)
				err := attempts.Again(ctx, errConflict)
				for err == nil {
					err = attempts.Again(ctx, errConflict)
				}
				require.Equal(t, tc.elapsed, time.Since(start))
				require.ErrorIs(t, err, errConflict)
				require.ErrorIs(t, err, retry.ErrExhausted)
				require.Equal(t, tc.deadline < time.Minute, errors.Is(err, context.DeadlineExceeded))
			})
		})
	}
}

func TestConflictsAndOutagesShareTheAttempts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := t.Context()
		down := errors.New("connection refused")
		p := &retry.Policy{MaxAttempts: 8, NewBackOff: retry.Exponential(second, time.Minute)}
		attempts := p.Start()
		require.Equal(t, 1, attempts.N())
		require.Equal(t, 8, attempts.Max())
		require.Zero(t, attempts.Delay())
		for n, step := range []struct {
			next  func(context.Context, error) error
			delay time.Duration
		}{
			{attempts.Again, 0}, {attempts.Outage, second}, {attempts.Again, 2 * second}, {attempts.Outage, 4 * second},
		} {
			require.NoError(t, step.next(ctx, errConflict))
			require.Equal(t, step.delay, attempts.Delay())
			require.Equal(t, n+2, attempts.N())
		}
		require.Equal(t, 7*second, attempts.Elapsed())
		require.ErrorIs(t, attempts.Outage(ctx, down), down)
		require.NoError(t, attempts.Again(ctx, errConflict), "a conflict is no outage")
	})
}

func TestFirstOutageWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := (&retry.Policy{NewBackOff: constant(second)}).Start()
		require.NoError(t, attempts.Outage(t.Context(), errConflict))
		require.Equal(t, second, attempts.Elapsed())
	})
}

func TestErrorsThatEndTheAttempts(t *testing.T) {
	t.Parallel()
	cause := errors.New("no such table")
	inner := &retry.ExhaustedError{Attempts: 256, Reason: retry.MaxAttempts, Err: errConflict}
	nested := fmt.Errorf("occ: mutate accounts[42]: %w", inner)
	hollow := &backoff.PermanentError{}
	for name, tc := range map[string]struct{ err, want error }{
		"permanent":         {backoff.Permanent(cause), cause},
		"wrapped permanent": {fmt.Errorf("closure: %w", backoff.Permanent(cause)), cause},
		"exhausted inside":  {nested, nested},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var p *retry.Policy
			attempts := p.Start()
			require.Equal(t, tc.want, attempts.Again(t.Context(), tc.err))
			require.Equal(t, tc.want, attempts.Outage(t.Context(), tc.err))
			require.Equal(t, 1, attempts.N())
		})
	}
	attempts := (*retry.Policy)(nil).Start()
	require.True(t, attempts.Again(t.Context(), hollow) == error(hollow), "never nil for want of a cause") //nolint:errorlint // identity is meant
}

// An ExponentialBackOff that is a literal needs Reset before its first use.
func TestBackOffIsResetBeforeUse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &retry.Policy{PauseFirst: true, NewBackOff: func() backoff.BackOff {
			return &backoff.ExponentialBackOff{
				InitialInterval: second, Multiplier: 3, MaxInterval: time.Minute, Clock: backoff.SystemClock,
			}
		}}
		attempts := p.Start()
		require.NoError(t, attempts.Again(t.Context(), errConflict))
		require.NoError(t, attempts.Again(t.Context(), errConflict))
		require.Equal(t, 4*second, attempts.Elapsed())
	})
}

func TestOnePolicyServesManyGoroutines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &retry.Policy{MaxAttempts: 20}
		var wg sync.WaitGroup
		for range 64 {
			wg.Go(func() {
				for range 20 {
					if n := fail(t.Context(), p, time.Millisecond, false).Attempts; n != 20 {
						t.Errorf("made %d attempts instead of 20", n)
					}
				}
			})
		}
		wg.Wait()
	})
}

func TestFirstAttemptAllocatesNothing(t *testing.T) { // AllocsPerRun forbids t.Parallel
	ctx := context.Background()
	p := &retry.Policy{NewBackOff: func() backoff.BackOff { panic("made without need") }}
	once := func() error {
		for attempts := p.Start(); ; {
			err := errConflict
			if attempts.N() == 1 {
				return nil
			}
			if err := attempts.Again(ctx, err); err != nil {
				return err
			}
		}
	}
	require.Zero(t, testing.AllocsPerRun(1000, func() { _ = once() }))
}
