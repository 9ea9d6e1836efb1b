// Package measure turns what was observed into numbers: percentiles of
// latency, fairness, and medians with honest confidence intervals.
package measure

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies collects durations with three significant digits, from a
// microsecond to an hour. It is not safe for concurrent use.
type Latencies struct{ h *hdrhistogram.Histogram }

// NewLatencies returns an empty collection.
func NewLatencies() *Latencies {
	return &Latencies{hdrhistogram.New(1, time.Hour.Microseconds(), 3)}
}

// Record adds a duration. What is out of range counts as the nearest bound.
func (l *Latencies) Record(d time.Duration) {
	_ = l.h.RecordValue(min(max(d.Microseconds(), 1), time.Hour.Microseconds()))
}

// Micros returns the least duration, in microseconds, that the given share of
// the durations does not exceed; zero when there are none. Percent is from 0 to
// 100.
func (l *Latencies) Micros(percent float64) int64 {
	if l.h.TotalCount() == 0 {
		return 0
	}
	return l.h.ValueAtQuantile(percent)
}

// Merge adds the durations of another collection.
func (l *Latencies) Merge(from *Latencies) { l.h.Merge(from.h) }

// MarshalJSON returns the collection as text: HdrHistogram's compressed form.
func (l *Latencies) MarshalJSON() ([]byte, error) {
	text, err := l.h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	if err != nil {
		return nil, err
	}
	return json.Marshal(string(text))
}

// UnmarshalJSON reads what [Latencies.MarshalJSON] returns.
func (l *Latencies) UnmarshalJSON(text []byte) error {
	var encoded string
	err := json.Unmarshal(text, &encoded)
	if err == nil {
		l.h, err = hdrhistogram.Decode([]byte(encoded))
	}
	return err
}

// Collision returns the share of pairs of draws that chose the same key, given how
// often each key was drawn: an unbiased estimate of the probability that two draws
// do. Zero with fewer than two draws.
func Collision(draws []int64) float64 {
	var n, pairs float64
	for _, d := range draws {
		n += float64(d)
		pairs += float64(d) * float64(d-1)
	}
	if n < 2 {
		return 0
	}
	return pairs / (n * (n - 1))
}

// Shares returns which share of the whole each part is; zeros when there is nothing
// to share.
func Shares(parts []int64) []float64 {
	var whole int64
	for _, p := range parts {
		whole += p
	}
	shares := make([]float64, len(parts))
	for i, p := range parts {
		shares[i] = float64(p) / float64(max(whole, 1))
	}
	return shares
}

// Jain returns the fairness index of shares (Jain, Chiu and Hawe 1984): 1 when
// all are equal, 1/n when one of n has everything, and 0 when there is nothing
// to share.
func Jain(shares []int64) float64 {
	var sum, squares float64
	for _, s := range shares {
		sum += float64(s)
		squares += float64(s) * float64(s)
	}
	if squares == 0 {
		return 0
	}
	return sum * sum / (float64(len(shares)) * squares)
}

// Median is the median of a sample, and where the median of the population
// lies.
type Median struct {
	// Value is the sample's median.
	Value float64
	// Low and High bound the population's median with a confidence of at least
	// 95 %, whatever the distribution is.
	Low, High float64
	// Bounded tells whether Low and High are set. It takes six samples.
	Bounded bool
}

// MedianOf returns the median and its exact confidence interval from order
// statistics: the k-th least and the k-th greatest sample, for the greatest k
// that leaves out the median with a probability of at most 5 %.
func MedianOf(samples []float64) Median {
	n := len(samples)
	if n == 0 {
		return Median{}
	}
	s := slices.Sorted(slices.Values(samples))
	m := Median{Value: (s[(n-1)/2] + s[n/2]) / 2}
	if k := orderStatistic(n); k > 0 {
		m.Low, m.High, m.Bounded = s[k-1], s[n-k], true
	}
	return m
}

// orderStatistic returns the greatest k for which fewer than k of n fair coins
// show heads with a probability of at most 2.5 %; zero when there is none.
func orderStatistic(n int) int {
	if n > 1000 { // 2^n overflows; the normal approximation is close by far
		return int(float64(n)/2 - 0.98*math.Sqrt(float64(n)))
	}
	p := 1.0 // of exactly k heads, times 2^n
	total := 1.0
	for range n {
		total *= 2
	}
	sum, k := 0.0, 0
	for k < n && sum+p <= 0.025*total {
		sum += p
		p = p * float64(n-k) / float64(k+1)
		k++
	}
	return k
}
