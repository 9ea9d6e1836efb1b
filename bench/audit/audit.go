// Package audit decides whether a history of acknowledged writes on versioned
// rows can be true.
//
// Versions put the writes of a row into one order, so a complete check is
// cheap: every acknowledged version must be there once and only once, the
// versions in between must all be accounted for, an operation that began after
// another was acknowledged must have the later version, and the row's value
// must be exactly what the acknowledged effects make it. Nothing is sampled. What
// operations preserve together is checked too: a sum, or one row of each pair.
package audit

import (
	"cmp"
	"fmt"
	"slices"
)

// State is what a row holds.
type State struct {
	// Value is the row's number.
	Value int64
	// Version is the row's version.
	Version int64
}

// Effect is what one operation did to one row.
type Effect struct {
	// Key is the row's index in [History.Final].
	Key int64
	// Delta is what the operation added to the row's value.
	Delta int64
	// Version is the version that the writer was told it gave the row. It means
	// nothing for unknown outcomes.
	Version int64
	// Start and End are when the operation began and was acknowledged, in
	// nanoseconds on one monotonic clock.
	Start, End int64
}

// History is everything that is known of a run.
type History struct {
	// Initial is what every row held at first.
	Initial State
	// Final is what each row held at the end; nil for a row that was not there.
	Final []*State
	// Acknowledged are the effects that clients were told to be committed.
	Acknowledged []Effect
	// Unknown are the effects that may or may not have been applied.
	Unknown []Effect
	// Conserved says that the values' sum must be what it was at first.
	Conserved bool
	// Paired says that of the rows 2k and 2k+1 one at least must be above zero.
	Paired bool
	// Forbidden is how many acknowledged operations read rows in a state that no
	// operation may leave behind.
	Forbidden int64
}

// Report is what the check found. Its zero value is a clean bill.
type Report struct {
	// Lost is the number of acknowledged effects that are missing: commits that
	// were told to a client and are not there.
	Lost int64
	// Duplicate is the number of acknowledgements of a version that another
	// writer was told to own.
	Duplicate int64
	// OutOfOrder is the number of operations whose version is greater than that
	// of an operation which began after they were acknowledged.
	OutOfOrder int64
	// Broken is the number of other contradictions: versions that nobody was
	// told of, wrong values, negative values, a sum that changed, pairs without a
	// row above zero, both at the end and as acknowledged operations saw them.
	Broken int64
	// Findings describe the first contradictions, one line each.
	Findings []string
}

// Exact tells whether nothing is wrong.
func (r *Report) Exact() bool {
	return r.Lost == 0 && r.Duplicate == 0 && r.OutOfOrder == 0 && r.Broken == 0
}

// maxFindings bounds what is described; everything is counted.
const maxFindings = 5

func (r *Report) find(format string, args ...any) {
	if len(r.Findings) < maxFindings {
		r.Findings = append(r.Findings, fmt.Sprintf(format, args...))
	}
}

// Check audits a history. It sorts the effects in place.
func Check(h History) Report {
	var r Report
	byKey := func(a, b Effect) int { return cmp.Compare(a.Key, b.Key) }
	slices.SortFunc(h.Acknowledged, func(a, b Effect) int {
		return cmp.Or(byKey(a, b), cmp.Compare(a.Version, b.Version))
	})
	slices.SortFunc(h.Unknown, byKey)
	acked, unknown := h.Acknowledged, h.Unknown
	for key := range int64(len(h.Final)) {
		c := chain{key: key, initial: h.Initial, final: h.Final[key]}
		c.acked, acked = split(acked, key)
		c.unknown, unknown = split(unknown, key)
		c.check(&r)
	}
	if stray := len(acked) + len(unknown); stray > 0 {
		r.Broken += int64(stray)
		r.find("%d effects are on rows that do not exist", stray)
	}
	if h.Conserved {
		h.checkSum(&r)
	}
	h.checkInvariant(&r)
	return r
}

// split cuts off the effects of a key, which are the first ones.
func split(effects []Effect, key int64) (of, rest []Effect) {
	n := 0
	for n < len(effects) && effects[n].Key == key {
		n++
	}
	return effects[:n], effects[n:]
}

// checkInvariant looks for write skew: what operations that read the same rows
// and wrote different ones did together, although none would have done it after
// the other.
func (h *History) checkInvariant(r *Report) {
	if h.Forbidden > 0 {
		r.Broken += h.Forbidden
		r.find("%d acknowledged operations saw both rows of a pair at zero: write skew", h.Forbidden)
	}
	for i := 1; h.Paired && i < len(h.Final); i += 2 {
		a, b := h.Final[i-1], h.Final[i]
		if a != nil && b != nil && a.Value <= 0 && b.Value <= 0 {
			r.Broken++
			r.find("rows %d and %d are both at zero: write skew", i-1, i)
		}
	}
}

func (h *History) checkSum(r *Report) {
	var sum int64
	for _, final := range h.Final {
		if final != nil {
			sum += final.Value
		}
	}
	if want := h.Initial.Value * int64(len(h.Final)); sum != want {
		r.Broken++
		r.find("the sum over all rows is %d, it was %d", sum, want)
	}
}
