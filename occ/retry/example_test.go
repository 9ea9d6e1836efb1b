package retry_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/occkit/occkit/occ/retry"
)

func ExamplePolicy_Start() {
	errStale := errors.New("version is stale")
	write := func(n int) error {
		if n < 3 {
			return errStale
		}
		return nil
	}

	var policy retry.Policy // the defaults
	run := func(ctx context.Context) error {
		for attempts := policy.Start(); ; {
			err := write(attempts.N())
			fmt.Printf("attempt %d: %v\n", attempts.N(), err)
			if err == nil {
				return nil
			}
			if errors.Is(err, errStale) {
				err = attempts.Again(ctx, err)
			}
			if err != nil {
				return err
			}
		}
	}
	fmt.Println(run(context.Background()))
	// Output:
	// attempt 1: version is stale
	// attempt 2: version is stale
	// attempt 3: <nil>
	// <nil>
}

func ExamplePolicy() {
	policy := &retry.Policy{
		MaxAttempts: 8,
		MaxElapsed:  2 * time.Second,
		NewBackOff:  retry.FullJitter(5*time.Millisecond, 100*time.Millisecond),
	}
	fmt.Println(policy.Validate())
	// Any backoff of backoff/v4 will do.
	policy.NewBackOff = func() backoff.BackOff { return backoff.NewExponentialBackOff() }
	policy.MaxAttempts = -1
	fmt.Println(policy.Validate())
	// Output:
	// <nil>
	// retry: Policy.MaxAttempts is -1, must not be negative
}

func ExampleExponential() {
	b := retry.Exponential(10*time.Millisecond, 50*time.Millisecond)()
	for range 4 {
		fmt.Println(b.NextBackOff())
	}
	// Output:
	// 10ms
	// 20ms
	// 40ms
	// 50ms
}

func ExampleExhaustedError() {
	err := error(&retry.ExhaustedError{
		Attempts: 4,
		Elapsed:  1500 * time.Millisecond,
		Reason:   retry.Canceled,
		Err:      errors.New("version 7 is stale, row is at 9"),
	})
	fmt.Println(err)
	fmt.Println(errors.Is(err, retry.ErrExhausted), errors.Is(err, context.Canceled))
	// Output:
	// gave up after 4 attempts in 1.5s (context canceled): version 7 is stale, row is at 9
	// true true
}
