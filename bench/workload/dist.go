package workload

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Dist tells how often each key is chosen. The zero value is uniform.
type Dist struct {
	// Theta is the exponent of Zipf's law: the key of rank i is chosen with a
	// probability proportional to 1/i^Theta. Zero is uniform; any finite value
	// from zero on is exact.
	Theta float64
	// Single says that one key alone is chosen. An operation on several keys then
	// takes its other ones from the rest, uniformly.
	Single bool
}

// ParseDist reads "uniform", "single" or "zipf:THETA".
func ParseDist(text string) (Dist, error) {
	switch {
	case text == "uniform":
		return Dist{}, nil
	case text == "single":
		return Dist{Single: true}, nil
	case strings.HasPrefix(text, "zipf:"):
		theta, err := strconv.ParseFloat(strings.TrimPrefix(text, "zipf:"), 64)
		if err == nil && theta >= 0 && !math.IsInf(theta, 0) {
			return Dist{Theta: theta}, nil
		}
		return Dist{}, fmt.Errorf("distribution %q: THETA must be a number from 0 on, as in zipf:0.99", text)
	default:
		return Dist{}, fmt.Errorf("unknown distribution %q: choose from uniform, single, zipf:THETA", text)
	}
}

// String returns what [ParseDist] reads.
func (d Dist) String() string {
	switch {
	case d.Single:
		return "single"
	case d.Theta == 0:
		return "uniform"
	default:
		return "zipf:" + strconv.FormatFloat(d.Theta, 'g', -1, 64)
	}
}

// Zeta returns the sum of 1/i^theta for i from 1 to n.
func Zeta(n int, theta float64) float64 {
	var sum float64
	for i := n; i >= 1; i-- { // small terms first: they would drown in the sum
		sum += math.Pow(float64(i), -theta)
	}
	return sum
}

// Sampler draws keys from a [Dist] exactly, in constant time (Vose's alias
// method). It is read-only once made and safe for concurrent use.
type Sampler struct {
	keep  []float64 // probability of keeping column i
	alias []int32   // the rank drawn otherwise
	key   []int32   // rank -> key, a permutation: hot keys are not neighbours
	p     func(rank int) float64
	one   bool
}

// NewSampler returns the sampler over keys 0 to n-1. Which key is hot depends
// on the seed.
func NewSampler(d Dist, n int, seed uint64) *Sampler {
	random := rand.New(rand.NewPCG(seed, 0x6b657973)) // a stream that no client has
	s := &Sampler{one: d.Single, key: make([]int32, n)}
	for i, k := range random.Perm(n) {
		s.key[i] = int32(k)
	}
	zeta := Zeta(n, d.Theta)
	s.p = func(rank int) float64 { return math.Pow(float64(rank), -d.Theta) / zeta }
	if d.Single {
		s.p = func(rank int) float64 { return float64(1 / rank) }
	}
	s.build(n)
	return s
}

// build fills the alias table: columns of equal height, each shared by at most
// two ranks.
func (s *Sampler) build(n int) {
	s.keep, s.alias = make([]float64, n), make([]int32, n)
	var small, large []int32
	for i := range n {
		s.keep[i] = s.p(i+1) * float64(n)
		s.alias[i] = int32(i)
		if s.keep[i] < 1 {
			small = append(small, int32(i))
		} else {
			large = append(large, int32(i))
		}
	}
	for len(small) > 0 && len(large) > 0 {
		lo, hi := small[len(small)-1], large[len(large)-1]
		small = small[:len(small)-1]
		s.alias[lo] = hi
		s.keep[hi] -= 1 - s.keep[lo]
		if s.keep[hi] < 1 {
			large = large[:len(large)-1]
			small = append(small, hi)
		}
	}
	for _, i := range append(small, large...) { // what rounding left over
		s.keep[i] = 1
	}
}

// Draw returns a key.
func (s *Sampler) Draw(random *rand.Rand) int64 { return int64(s.key[s.rank(random)]) }

func (s *Sampler) rank(random *rand.Rand) int {
	i := random.IntN(len(s.keep))
	if random.Float64() < s.keep[i] {
		return i
	}
	return int(s.alias[i])
}

// drawOther returns another key than taken. Distributions that hardly ever
// yield another one give way to the uniform one after a while.
func (s *Sampler) drawOther(random *rand.Rand, taken int64) int64 {
	for range 64 {
		if s.one {
			break
		}
		if k := s.Draw(random); k != taken {
			return k
		}
	}
	k := random.Int64N(int64(len(s.key)) - 1)
	if k >= taken {
		k++
	}
	return k
}

// drawFree returns a key that is not taken; there must be one. Distributions that
// hardly ever yield another one give way to the uniform one after a while.
func (s *Sampler) drawFree(random *rand.Rand, taken map[int64]struct{}) int64 {
	for range 8 {
		key := s.Draw(random)
		if _, used := taken[key]; !used {
			return key
		}
		if s.one {
			break
		}
	}
	for key := random.Int64N(int64(len(s.key))); ; key = (key + 1) % int64(len(s.key)) {
		if _, used := taken[key]; !used {
			return key
		}
	}
}

// Hottest returns the probability of the key that is chosen most often.
func (s *Sampler) Hottest() float64 { return s.p(1) }

// Collision returns the probability that two draws choose the same key: the
// measure of contention that can be compared between distributions.
func (s *Sampler) Collision() float64 {
	var sum float64
	for rank := len(s.key); rank >= 1; rank-- {
		sum += s.p(rank) * s.p(rank)
	}
	return sum
}

// Len returns the number of keys.
func (s *Sampler) Len() int { return len(s.key) }

// Key returns the key of a rank; rank 1 is the one chosen most often.
func (s *Sampler) Key(rank int) int64 { return int64(s.key[rank-1]) }
