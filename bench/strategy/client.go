package strategy

import (
	"context"
	"errors"

	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/retry"
)

// Row is a row of the benchmark's table.
type Row struct {
	// ID is the key.
	ID int64 `occ:"id,key"`
	// N is the number that operations change.
	N int64 `occ:"n"`
	// Version is the version.
	Version int64 `occ:"version,version"`
}

// Kind is how an operation ended.
type Kind uint8

const (
	// Committed: the database acknowledged it.
	Committed Kind = iota
	// Declined: the rows did not allow it. Nothing was written.
	Declined
	// GaveUp: the retry policy ended it. Nothing was written.
	GaveUp
	// Unfinished: the measured time was over before a retry. Nothing was
	// written, and it says nothing about the strategy.
	Unfinished
	// Unknown: it may have been committed.
	Unknown
	// Failed: the database refused it for good. Nothing was written.
	Failed
)

// Write is what an operation did to one row.
type Write struct {
	// Key is the row's key, Delta what was added to it.
	Key, Delta int64
	// Version is the version that the row was given. It means something for
	// committed operations only.
	Version int64
}

// Outcome is what became of one operation.
type Outcome struct {
	// Kind is how it ended.
	Kind Kind
	// Writes are what it did to each row that it changed, in the order of keys. The
	// next operation reuses the slice. For unknown outcomes they are what it may
	// have done; otherwise they mean nothing.
	Writes []Write
	// Forbidden says that it was committed although it read its rows in a state
	// that no operation may leave behind: see [workload.Op.Forbidden].
	Forbidden bool
	// Attempts is how often it was tried; Conflicts is how many of the tries
	// lost against another client.
	Attempts, Conflicts int64
	// Err is why it was not committed.
	Err error
}

// Client runs operations one after the other. It is not safe for concurrent
// use: each client of a benchmark has its own, made by [Team.Client].
type Client struct {
	*Team
	sql    statements
	counts counts

	// The operation on its way; see plan.
	rows           []Row
	values, deltas []int64
	written        []*Row
	writes         []Write
	args           []any
}

// Context returns a context for many calls of [Client.Do], each of which makes one
// otherwise.
func (c *Client) Context(ctx context.Context) context.Context { return c.counts.in(ctx) }

// Do runs one operation until its outcome is known.
func (c *Client) Do(ctx context.Context, op workload.Op) Outcome {
	var o Outcome
	attempts, conflicts := c.counts.attempts.Load(), c.counts.conflicts.Load()
	o.Err = c.strategy.run(c, c.counts.in(ctx), &op)
	o.Attempts, o.Conflicts = c.counts.attempts.Load()-attempts, c.counts.conflicts.Load()-conflicts
	o.Kind = c.kind(ctx, o.Err)
	switch o.Kind {
	case Committed:
		o.Writes = c.writes
		o.Forbidden = op.Deltas == nil && op.Forbidden(c.values)
	case Unknown:
		o.Writes = c.writes
	}
	return o
}

func (c *Client) kind(ctx context.Context, err error) Kind {
	var exhausted *retry.ExhaustedError
	switch {
	case err == nil:
		return Committed
	case errors.Is(err, workload.ErrDeclined):
		return Declined
	case errors.Is(err, occ.ErrAmbiguous):
		return Unknown
	case ctx.Err() != nil:
		return Unfinished
	case errors.As(err, &exhausted) && exhausted.Reason == retry.BackOffStopped:
		return Unfinished
	case exhausted != nil:
		return GaveUp
	default:
		return Failed
	}
}
