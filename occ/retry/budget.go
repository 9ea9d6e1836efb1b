package retry

import (
	"fmt"
	"sync/atomic"
)

const (
	defaultRatio = 0.1
	defaultBurst = 100
	whole        = 1 << 20 // one retry, in the units that are counted
)

// Budget bounds the retries after outages of many operations together, so that
// callers who each retry a little do not multiply the load of a server that is
// down or just coming back. It is a bucket of tokens: a retry takes one, what
// the server answers earns a part of one. When the bucket is empty the retry is
// refused, see [BudgetSpent].
//
// Retries after conflicts are free: a stale version proves that another writer
// has just committed, so the server works and the row makes progress, and 64
// writers of one hot row that conflict for a minute are no reason to fail one of
// them. The attempts and the time of the [Policy] bound those.
//
// The zero value is a full bucket with the defaults. It is safe for concurrent
// use, and must not be copied or have its fields changed after first use.
type Budget struct {
	// Ratio is how many retries one success earns. Defaults to 0.1: in the long
	// run, at most one retry for ten successes. Negative is invalid.
	Ratio float64
	// Burst is how many retries a full bucket holds. Defaults to 100. Negative
	// is invalid.
	Burst int
	// Off takes the bound away. Defaults to false.
	Off bool

	missing atomic.Int64 // from the full bucket, in units
	refused atomic.Int64
}

// Validate returns an error that names the first field whose value has no
// meaning. A nil Budget is valid and refuses nothing.
func (b *Budget) Validate() error {
	switch {
	case b == nil:
		return nil
	case b.Ratio < 0:
		return fmt.Errorf("retry: Budget.Ratio is %g, must not be negative", b.Ratio)
	case b.Burst < 0:
		return fmt.Errorf("retry: Budget.Burst is %d, must not be negative", b.Burst)
	default:
		return nil
	}
}

// Take takes one retry out of the bucket. It reports false, and takes nothing,
// when there is less than one.
func (b *Budget) Take() bool {
	if b == nil || b.Off {
		return true
	}
	for {
		missing := b.missing.Load()
		if missing+whole > b.full() {
			b.refused.Add(1)
			return false
		}
		if b.missing.CompareAndSwap(missing, missing+whole) {
			return true
		}
	}
}

// Earn puts in what one success is worth. With a full bucket it costs one atomic
// load.
func (b *Budget) Earn() {
	if b.Full() {
		return
	}
	ratio := b.Ratio
	if ratio == 0 {
		ratio = defaultRatio
	}
	earned := int64(ratio * whole)
	for {
		missing := b.missing.Load()
		if missing == 0 || b.missing.CompareAndSwap(missing, max(missing-earned, 0)) {
			return
		}
	}
}

// Full reports whether there is nothing to earn. It costs one atomic load.
func (b *Budget) Full() bool { return b == nil || b.missing.Load() == 0 }

// Left returns how many retries the bucket holds now.
func (b *Budget) Left() int {
	if b == nil {
		return defaultBurst
	}
	return int((b.full() - b.missing.Load()) / whole)
}

// Refused returns how many retries were refused so far.
func (b *Budget) Refused() int64 {
	if b == nil {
		return 0
	}
	return b.refused.Load()
}

func (b *Budget) full() int64 {
	if b.Burst == 0 {
		return defaultBurst * whole
	}
	return int64(b.Burst) * whole
}
