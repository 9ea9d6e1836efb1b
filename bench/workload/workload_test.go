package workload_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench/measure"
	"github.com/occkit/occkit/bench/workload"
)

// CockroachDB's zipfgenerator_test.go.
func TestZeta(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]float64{
		20: 3.64309060779367, 200: 6.02031118558, 1_000: 7.72895321728, 2_000: 8.47398788329,
		10_000: 10.2243614596, 100_000: 12.7783380626, 1_000_000: 15.391849746,
	} {
		require.InDelta(t, want, workload.Zeta(n, 0.99), 1e-9, "n=%d", n)
	}
}

// Constants computed by summation, elsewhere.
func TestZipfConstants(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		n                         int
		theta, hottest, collision float64
	}{
		{1_000, 0.5, .01618, .001960},
		{1_000, 0.8, .06464, .009441},
		{1_000, 0.9, .09503, .016951},
		{1_000, 0.99, .12938, .027838},
		{1_000, 1.2, .23064, .073584},
		{100_000, 0.8, .02195, .001100},
		{100_000, 0.99, .07826, .010191},
		{100_000, 1.2, .19640, .053361},
		{100_000, 1.5, .3837, .17699},
		{8, 0, .125, .125},
		{4, 1, 0.48, 0.328},
	} {
		s := workload.NewSampler(workload.Dist{Theta: c.theta}, c.n, 1)
		require.InDelta(t, c.hottest, s.Hottest(), 5e-5, "p1 of %v", c)
		require.InDelta(t, c.collision, s.Collision(), 5e-6, "collision of %v", c)
	}
}

// A million draws must fit the exact probabilities: chi-square with 99 degrees
// of freedom exceeds 148 once in a thousand; the seeds are fixed.
func TestSamplerChiSquare(t *testing.T) {
	t.Parallel()
	const keys, draws = 100, 1_000_000
	for _, theta := range []float64{0, 0.5, 0.99, 1, 1.5, 3} {
		dist := workload.Dist{Theta: theta}
		s := workload.NewSampler(dist, keys, 7)
		random := rand.New(rand.NewPCG(1, 2))
		counts := make(map[int64]int)
		for range draws {
			counts[s.Draw(random)]++
		}
		byRank := ranks(s)
		zeta, chi := workload.Zeta(keys, theta), 0.0
		for key, rank := range byRank {
			want := draws * math.Pow(float64(rank), -theta) / zeta
			diff := float64(counts[key]) - want
			chi += diff * diff / want
		}
		require.Less(t, chi, 148.2, "%s", dist)
	}
}

// Any exponent from zero on is exact: probabilities add up to one, each is its share
// of the sum, and what is drawn collides as often as predicted.
func TestZipfOfAnyExponent(t *testing.T) {
	t.Parallel()
	const draws = 200_000
	for _, theta := range []float64{0, 1e-300, 1e-9, 0.01, 0.5, 0.999999, 1, 1.000001, 2, 5, 50, 300, 1e6, math.MaxFloat64} {
		for _, keys := range []int{1, 2, 1000} {
			s := workload.NewSampler(workload.Dist{Theta: theta}, keys, 7)
			var zeta, squares float64
			for i := keys; i >= 1; i-- {
				p := math.Exp(-theta * math.Log(float64(i)))
				zeta += p
				squares += p * p
			}
			require.InEpsilon(t, 1/zeta, s.Hottest(), 1e-9, "%v over %d", theta, keys)
			require.InEpsilon(t, squares/zeta/zeta, s.Collision(), 1e-9, "%v over %d", theta, keys)
			random, counts := rand.New(rand.NewPCG(1, 2)), make([]int64, keys)
			for range draws {
				counts[s.Draw(random)]++
			}
			hot := float64(counts[s.Key(1)]) / draws
			require.InDelta(t, s.Hottest(), hot, 5*math.Sqrt(s.Hottest()/draws), "%v over %d", theta, keys)
			require.InDelta(t, s.Collision(), measure.Collision(counts), 0.01*s.Collision()+0.0003, "%v over %d", theta, keys)
		}
	}
}

// What an operation chooses first depends on the distribution alone, whatever else
// it must choose: that is what is compared with the prediction.
func TestDrawnKeysCollideAsPredicted(t *testing.T) {
	t.Parallel()
	const keys, ops = 40, 20_000
	for _, dist := range dists {
		for _, w := range workload.All() {
			s := workload.NewSampler(dist, keys, 1)
			source := w.Sized(3).Source(s, 1, 1)
			counts := make([]int64, keys)
			for range ops {
				source.Next()
			}
			require.Len(t, source.Drawn(), ops)
			for _, key := range source.Drawn() {
				counts[key]++
			}
			require.InDelta(t, s.Collision(), measure.Collision(counts), 0.03*s.Collision()+0.0015, "%s, %s", w.Name, dist)
		}
	}
}

// ranks returns the rank of each key.
func ranks(s *workload.Sampler) map[int64]int {
	found := make(map[int64]int)
	for rank := 1; rank <= s.Len(); rank++ {
		found[s.Key(rank)] = rank
	}
	return found
}

func TestHotKeysArePermuted(t *testing.T) {
	t.Parallel()
	a, b := workload.NewSampler(workload.Dist{}, 1000, 1), workload.NewSampler(workload.Dist{}, 1000, 2)
	require.Len(t, ranks(a), 1000, "a bijection")
	require.NotEqual(t, ranks(a), ranks(b))
}

func TestParseDist(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]workload.Dist{
		"uniform": {}, "single": {Single: true}, "zipf:0.99": {Theta: 0.99}, "zipf:1": {Theta: 1}, "zipf:1.5": {Theta: 1.5},
	} {
		got, err := workload.ParseDist(text)
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, text, got.String())
	}
	for _, text := range []string{"", "zipf", "zipf:", "zipf:-0.1", "zipf:NaN", "zipf:Inf", "pareto", "Uniform"} {
		_, err := workload.ParseDist(text)
		require.Error(t, err, text)
	}
}

var dists = []workload.Dist{{}, {Single: true}, {Theta: 1.5}, {Theta: 300}}

func find(t *testing.T, name string) workload.Workload {
	t.Helper()
	w, err := workload.Find(name)
	require.NoError(t, err)
	return w
}

func TestTransfersAreWellFormed(t *testing.T) {
	t.Parallel()
	for _, dist := range dists {
		s := workload.NewSampler(dist, 5, 1)
		source := find(t, "transfer").Source(s, 1, 1)
		for range 1000 {
			op := source.Next()
			require.Len(t, op.Keys, 2)
			require.Less(t, op.Keys[0], op.Keys[1], "ascending keys keep deadlocks away")
			require.Zero(t, op.Deltas[0]+op.Deltas[1])
			require.NotZero(t, op.Deltas[0])
			require.True(t, !dist.Single || op.Keys[0] == s.Key(1) || op.Keys[1] == s.Key(1), "the hot key takes part")
		}
	}
}

func TestDoctorsArePairs(t *testing.T) {
	t.Parallel()
	for _, dist := range dists {
		s := workload.NewSampler(dist, 6, 1)
		source := find(t, "doctors").Source(s, 1, 1)
		for range 1000 {
			op := source.Next()
			require.Zero(t, op.Keys[0]%2)
			require.Equal(t, op.Keys[0]+1, op.Keys[1])
			require.True(t, !dist.Single || op.Keys[op.Actor] == s.Key(1), "the hot doctor acts")
			require.Nil(t, op.Deltas)
		}
	}
}

func TestDoctorsLeaveOnlyWhenTheOtherStays(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		values, want []int64
		err          error
		forbidden    bool
	}{
		{values: []int64{1, 1}, want: []int64{-1, 0}},
		{values: []int64{1, 0}, err: workload.ErrDeclined},
		{values: []int64{0, 1}, want: []int64{1, 0}},
		{values: []int64{0, 0}, want: []int64{1, 0}, forbidden: true},
	} {
		op := workload.Op{Keys: []int64{0, 1}}
		deltas := []int64{7, 7}
		require.Equal(t, test.err, op.Decide(test.values, deltas), test.values)
		require.Equal(t, test.forbidden, op.Forbidden(test.values), test.values)
		if test.err == nil {
			require.Equal(t, test.want, deltas, test.values)
		}
	}
}

func TestKnownDeltas(t *testing.T) {
	t.Parallel()
	op := workload.Op{Keys: []int64{3, 4}, Deltas: []int64{-2, 2}}
	deltas := make([]int64, 2)
	require.NoError(t, op.Decide([]int64{2, 0}, deltas))
	require.Equal(t, op.Deltas, deltas)
	require.Equal(t, workload.ErrDeclined, op.Decide([]int64{1, 0}, deltas))
	require.False(t, op.Forbidden([]int64{0, 0}))
}

func TestBatchesHaveDistinctRowsInOrder(t *testing.T) {
	t.Parallel()
	const rows = 40
	for _, keys := range []int{rows, rows + 1, 50 * rows} {
		for _, dist := range dists {
			s := workload.NewSampler(dist, keys, 1)
			source := find(t, "batch").Sized(rows).Source(s, 1, 1)
			for range 100 {
				op := source.Next()
				require.Len(t, op.Keys, rows)
				require.True(t, op.Bulk)
				for i, key := range op.Keys {
					require.True(t, i == 0 || op.Keys[i-1] < key, "ascending and distinct: %v", op.Keys)
					require.EqualValues(t, 1, op.Deltas[i])
				}
				require.True(t, !dist.Single || slices.Contains(op.Keys, s.Key(1)), "the hot key takes part")
			}
		}
	}
}

func TestEqualSeedsMakeEqualChoices(t *testing.T) {
	t.Parallel()
	for _, w := range workload.All() {
		w = w.Sized(3)
		s := workload.NewSampler(workload.Dist{Theta: 0.9}, 50, 3)
		a, b, c := w.Source(s, 3, 1), w.Source(s, 3, 1), w.Source(s, 3, 2)
		var as, bs, cs []workload.Op
		for range 50 {
			as, bs, cs = append(as, next(a)), append(bs, next(b)), append(cs, next(c))
		}
		require.Equal(t, as, bs)
		require.NotEqual(t, as, cs)
	}
}

// next returns an operation to keep.
func next(s *workload.Source) workload.Op {
	op := s.Next()
	op.Keys, op.Deltas = slices.Clone(op.Keys), slices.Clone(op.Deltas)
	return op
}

func TestFits(t *testing.T) {
	t.Parallel()
	for _, w := range workload.All() {
		require.NoError(t, w.Fits(w.Keys()), w.Name)
		require.NoError(t, w.Sized(7).Fits(w.Sized(7).Keys()), w.Name)
	}
	require.EqualError(t, find(t, "batch").Sized(9).Fits(8),
		"workload batch needs at least 9 keys, not 8: raise keys, or choose other workloads")
	require.EqualError(t, find(t, "doctors").Fits(7),
		"workload doctors needs an even number of keys, not 7: its rows are pairs")
}

func TestFind(t *testing.T) {
	t.Parallel()
	_, err := workload.Find("tpcc")
	require.EqualError(t, err, `unknown workload "tpcc": choose from counter, transfer, doctors, batch`)
	require.Equal(t, []string{"counter", "transfer"}, workload.Defaults())
}
