package retry_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ/retry"
)

var errConflict = errors.New("version is stale")

// row is one versioned row behind a network, in the virtual time of synctest:
// a read and a write are two messages each, as in the AWS simulator.
type row struct {
	message func() time.Duration

	mu      sync.Mutex
	version int
	writes  int
}

func (r *row) read() int {
	time.Sleep(r.message())
	r.mu.Lock()
	version := r.version
	r.mu.Unlock()
	time.Sleep(r.message())
	return version
}

func (r *row) write(expected int) error {
	time.Sleep(r.message())
	r.mu.Lock()
	r.writes++
	stale := r.version != expected
	if !stale {
		r.version++
	}
	r.mu.Unlock()
	time.Sleep(r.message())
	if stale {
		return errConflict
	}
	return nil
}

// mutate returns how many attempts one change of the row took.
func (r *row) mutate(ctx context.Context, p *retry.Policy) (int, error) {
	for attempts := p.Start(); ; {
		err := r.write(r.read())
		if err == nil {
			return attempts.N(), nil
		}
		if err := attempts.Again(ctx, err); err != nil {
			return attempts.N(), err
		}
	}
}

type outcome struct {
	writes, most  int
	took, slowest time.Duration // of all changes, and of one
}

// contend lets clients change one row, each of them times over.
func contend(t *testing.T, p *retry.Policy, clients, times int, message func() time.Duration) outcome {
	t.Helper()
	r := &row{message: message}
	most := make([]int, clients)
	slowest := make([]time.Duration, clients)
	errs := make([]error, clients)
	var took time.Duration
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var wg sync.WaitGroup
		for c := range clients {
			wg.Go(func() {
				for range times {
					began := time.Now()
					n, err := r.mutate(t.Context(), p)
					most[c], slowest[c] = max(most[c], n), max(slowest[c], time.Since(began))
					errs[c] = errors.Join(errs[c], err)
				}
			})
		}
		wg.Wait()
		took = time.Since(start)
	})
	require.NoError(t, errors.Join(errs...))
	require.Equal(t, clients*times, r.version, "every change is counted once")
	o := outcome{writes: r.writes, took: took}
	for c := range clients {
		o.most, o.slowest = max(o.most, most[c]), max(o.slowest, slowest[c])
	}
	return o
}

// The deterministic AWS simulator has a closed form: all clients stay in step,
// and every round one of them wins. Base 5 ms and a counter that starts at 1
// make the first delay 10 ms.
func TestAWSSimulatorClosedForm(t *testing.T) {
	t.Parallel()
	fixed := func() time.Duration { return 10 * time.Millisecond }
	for _, tc := range []struct{ clients, calls, none, exponential int }{
		{1, 1, 40, 40},
		{2, 3, 80, 90},
		{3, 6, 120, 150},
		{5, 15, 200, 350},
		{10, 55, 400, 4_950},
		{20, 210, 800, 25_350},
		{50, 1_275, 2_000, 86_550},
		{100, 5_050, 4_000, 188_550},
		{190, 18_145, 7_600, 372_150},
	} {
		t.Run(fmt.Sprint(tc.clients), func(t *testing.T) {
			t.Parallel()
			p := &retry.Policy{MaxElapsed: time.Hour, NewBackOff: retry.None()}
			o := contend(t, p, tc.clients, 1, fixed)
			require.Equal(t, tc.calls, o.writes)
			require.EqualValues(t, tc.none, o.took.Milliseconds())

			p = &retry.Policy{
				MaxElapsed: time.Hour,
				NewBackOff: retry.Exponential(10*time.Millisecond, 2*time.Second),
				PauseFirst: true,
			}
			o = contend(t, p, tc.clients, 1, fixed)
			require.Equal(t, tc.calls, o.writes)
			require.EqualValues(t, tc.exponential, o.took.Milliseconds())
		})
	}
}

// The simulator as published, with a network that varies, against 300
// repetitions of the original (aws-samples/aws-arch-backoff-simulator @66cb169):
// mean and standard deviation of its calls and of its completion time.
func TestAWSSimulatorFullJitter(t *testing.T) {
	t.Parallel()
	const repetitions, deviations = 20, 5
	normal := func() time.Duration {
		return time.Duration(math.Abs(10+2*rand.NormFloat64()) * float64(time.Millisecond))
	}
	for _, tc := range []struct {
		clients                     int
		calls, callsSD, millis, mSD float64
	}{
		{10, 39.3, 2.0, 468, 95},
		{50, 332.5, 4.7, 2914, 555},
		{100, 795.5, 7.2, 4954, 524},
	} {
		t.Run(fmt.Sprint(tc.clients), func(t *testing.T) {
			t.Parallel()
			p := &retry.Policy{
				MaxElapsed: time.Hour,
				NewBackOff: retry.FullJitter(10*time.Millisecond, 2*time.Second),
				PauseFirst: true,
			}
			var calls, millis float64
			for range repetitions {
				o := contend(t, p, tc.clients, 1, normal)
				calls += float64(o.writes) / repetitions
				millis += float64(o.took) / float64(time.Millisecond) / repetitions
			}
			standardError := math.Sqrt(1./repetitions + 1./300)
			require.InDelta(t, tc.calls, calls, deviations*tc.callsSD*standardError)
			require.InDelta(t, tc.millis, millis, deviations*tc.mSD*standardError)
		})
	}
}

// Nobody starves on a hot row with the defaults, whatever the round trip:
// the clients start again as soon as they are done.
func TestDefaultsFinishOnOneHotRow(t *testing.T) {
	t.Parallel()
	for _, message := range []time.Duration{
		0, 50 * time.Microsecond, time.Millisecond, 10 * time.Millisecond,
	} {
		t.Run(message.String(), func(t *testing.T) {
			t.Parallel()
			varied := func() time.Duration {
				return message/2 + time.Duration(rand.Int64N(int64(message)+1))
			}
			o := contend(t, nil, 64, 20, varied)
			t.Logf("%d changes, %d writes, at most %d attempts, %s, slowest %s", 64*20, o.writes, o.most, o.took, o.slowest)
		})
	}
}
