package hotkey_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ/hotkey"
)

// far is how long the rounds of these tests take, as if the database were far away.
const far = 5 * time.Millisecond

// Callers that come back at once are all part of the next round, although the first
// of them is there before the others.
func TestRoundsWaitForCallersThatComeBack(t *testing.T) {
	t.Parallel()
	for _, p := range []hotkey.Policy{{Mode: hotkey.Combine}, {Mode: hotkey.Combine, MaxKeys: 1}} {
		synctest.Test(t, func(t *testing.T) {
			const callers, calls = 8, 50
			var sizes []int
			tb := hotkey.New[string](p, func(lines []*line) {
				ops := lines[0].Take(nil, callers)
				time.Sleep(far)
				sizes = append(sizes, len(ops))
				lines[0].Finish(ops)
			})
			var all sync.WaitGroup
			for id := range callers {
				all.Go(func() {
					for range calls {
						time.Sleep(time.Duration(id) * 10 * time.Microsecond)
						o := ticket(id)
						require.NoError(t, tb.Enter("a", o, false, hotkey.ByPolicy))
						require.NoError(t, tb.Wait(t.Context(), "a", o))
					}
				})
			}
			all.Wait()
			time.Sleep(time.Second) // the last round waits as well
			require.LessOrEqual(t, len(sizes), calls+2, "rounds of %v", sizes)
		})
	}
}

// Callers that do something else are hardly ever waited for.
func TestRoundsDoNotWaitForCallersThatDoNotComeBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const callers, rounds = 8, 100
		next := make(chan struct{})
		tb := hotkey.New[string](hotkey.Policy{Mode: hotkey.Combine}, func(lines []*line) {
			ops := lines[0].Take(nil, callers)
			time.Sleep(far / 2)
			next <- struct{}{}
			time.Sleep(far / 2)
			lines[0].Finish(ops)
		})
		var all sync.WaitGroup
		arrive := func() {
			for id := range callers {
				o := ticket(id)
				require.NoError(t, tb.Enter("a", o, false, hotkey.ByPolicy))
				all.Go(func() { require.NoError(t, tb.Wait(t.Context(), "a", o)) })
			}
		}
		start := time.Now()
		arrive()
		for round := range rounds {
			<-next
			if round < rounds-1 {
				arrive()
			}
		}
		all.Wait()
		require.Less(t, time.Since(start), rounds*far+far, "rounds of %s", far)
		time.Sleep(time.Second) // the last round may wait as well
	})
}
