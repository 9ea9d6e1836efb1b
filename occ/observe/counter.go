package observe

import (
	"context"
	"sync/atomic"
)

// Counter is an [Observer] that counts events per [Kind], for tests and for
// metrics that are read from time to time. Its zero value is ready. It must not
// be copied after first use.
type Counter struct {
	counts [kinds]atomic.Int64
}

// Observe counts e. A kind that does not exist counts as Kind 0.
func (c *Counter) Observe(_ context.Context, e Event) {
	c.counts[known(e.Kind)].Add(1)
}

// Count returns how many events of kind k were observed so far. Counts of
// different kinds are not of the same instant.
func (c *Counter) Count(k Kind) int64 { return c.counts[known(k)].Load() }

func known(k Kind) Kind {
	if k < kinds {
		return k
	}
	return 0
}
