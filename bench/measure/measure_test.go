package measure_test

import (
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
