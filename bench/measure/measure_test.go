package measure_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench/measure"
)

// The values of hdrhistogram's own tests, which came from the Java original.
func TestLatenciesHaveHDRsGoldenValues(t *testing.T) {
	t.Parallel()
	l := measure.NewLatencies()
	for us := range 1_000_000 {
		l.Record(time.Duration(us) * time.Microsecond)
	}
	for percent, want := range map[float64]int64{
		50: 500223, 75: 750079, 90: 900095, 95: 950271, 99: 990207, 99.9: 999423, 99.99: 999935,
	} {
		require.Equal(t, want, l.Micros(percent), "p%v", percent)
	}
}

func TestLatenciesOutOfRange(t *testing.T) {
	t.Parallel()
	l := measure.NewLatencies()
	require.Zero(t, l.Micros(99))
	l.Record(0)
	require.EqualValues(t, 1, l.Micros(100))
	l.Record(48 * time.Hour)
	require.InEpsilon(t, time.Hour.Microseconds(), l.Micros(100), 0.001)
}

func TestJain(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		shares []int64
		want   float64
	}{
		{[]int64{5, 5, 5, 5}, 1},
		{[]int64{8, 0, 0, 0}, 0.25},
		{[]int64{1, 3}, 0.8},
		{[]int64{0, 0}, 0},
		{nil, 0},
	} {
		require.InDelta(t, test.want, measure.Jain(test.shares), 1e-12, "%v", test.shares)
	}
}

// The ranks are those of any table of the sign test, and of benchstat.
func TestMedianOf(t *testing.T) {
	t.Parallel()
	for n, rank := range map[int]int{1: 0, 5: 0, 6: 1, 8: 1, 9: 2, 10: 2, 12: 3, 20: 6, 50: 18, 100: 40, 1000: 469, 5000: 2430} {
		var samples []float64
		for i := range n {
			samples = append(samples, float64(n-i))
		}
		m := measure.MedianOf(samples)
		require.InDelta(t, float64(n+1)/2, m.Value, 1e-9)
		require.Equal(t, rank > 0, m.Bounded, "n=%d", n)
		if rank > 0 {
			require.InDelta(t, float64(rank), m.Low, 1e-9, "n=%d", n)
			require.InDelta(t, float64(n+1-rank), m.High, 1e-9, "n=%d", n)
		}
	}
	require.Zero(t, measure.MedianOf(nil))
}

func TestLatenciesSurviveTheWayBetweenProcesses(t *testing.T) {
	t.Parallel()
	a, b := measure.NewLatencies(), measure.NewLatencies()
	for us := range 1000 {
		a.Record(time.Duration(us) * time.Microsecond)
		b.Record(time.Duration(us) * time.Millisecond)
	}
	text, err := json.Marshal(b)
	require.NoError(t, err)
	arrived := measure.NewLatencies()
	require.NoError(t, json.Unmarshal(text, arrived))
	for _, percent := range []float64{0, 50, 99, 100} {
		require.Equal(t, b.Micros(percent), arrived.Micros(percent))
	}
	a.Merge(arrived)
	require.InDelta(t, 1000, a.Micros(50), 5, "half are below")
	require.Equal(t, b.Micros(100), a.Micros(100))
	require.Error(t, json.Unmarshal([]byte(`"no histogram"`), arrived))
}

func TestCollision(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		draws []int64
		want  float64
	}{
		{nil, 0},
		{[]int64{1}, 0},
		{[]int64{1, 1}, 0},
		{[]int64{2, 0}, 1},
		{[]int64{2, 1}, 1.0 / 3},
		{[]int64{2, 2}, 1.0 / 3},
	} {
		require.InDelta(t, c.want, measure.Collision(c.draws), 1e-12, "%v", c.draws)
	}
}

func TestShares(t *testing.T) {
	t.Parallel()
	require.Equal(t, []float64{0.75, 0.25}, measure.Shares([]int64{3, 1}))
	require.Equal(t, []float64{0, 0}, measure.Shares([]int64{0, 0}))
}
