package hotkey

import (
	"context"
	"sync"
	"time"
)

// Work does one round of work on lines: it takes operations, and finishes them or
// puts them back. When it returns, the table takes back the lines that were not
// detached. It is called from several goroutines, each time with other lines. It
// must not panic, and must not keep the slice. It may end its goroutine
// ([runtime.Goexit]).
type Work[K comparable] func(lines []*Line[K])

// Table holds the lines of the keys that are hot. It is safe for concurrent use.
// A table without operations has no goroutine.
//
// Operations run in rounds, which work on several lines if the policy allows it.
// A round takes what waits when it begins; nobody waits for it to fill. While a
// round is under way, what arrives waits for the next, unless the round takes
// unusually long: then another begins beside it, so that a slow key delays the
// other keys of its own round at most.
type Table[K comparable] struct {
	policy Policy
	work   Work[K]

	mu        sync.Mutex
	lines     map[K]*Line[K]
	alone     map[K]struct{} // keys of operations that run by themselves
	ready     []*Line[K]     // lines with work that belong to nobody
	workers   int            // goroutines that run rounds, but for slow ones
	width     float64        // how many lines a round has, of late
	pace      time.Duration  // how long a round takes, of late
	gathering *round[K]      // that has finished operations last, where rounds have many lines
	missed    int            // grows with each round to whose end callers did not come back
	skip      int            // so many rounds do not wait for their callers
	sweeping  bool           // a call of sweep is ahead

	stats counters
}

// New returns an empty table.
func New[K comparable](policy Policy, work Work[K]) *Table[K] {
	return &Table[K]{policy: policy.normal(), work: work, lines: map[K]*Line[K]{}, alone: map[K]struct{}{}}
}

const (
	// Bounds of how long a round may take before it counts as slow.
	slowFactor  = 4
	slowAtLeast = 2 * time.Millisecond
	slowAtMost  = 100 * time.Millisecond
	// From how many lines in a round on cold keys join it: many keys are busy at
	// the same time, so that one more makes the round hardly longer.
	wide = 4
	// How many lines are remembered when nothing waits in them.
	maxIdleLines = 8192
)

// Policy returns the table's policy, with its defaults filled in.
func (t *Table[K]) Policy() Policy { return t.policy }

// Why tells why an operation was queued, or that it was not.
type Why uint8

const (
	// Alone: the operation runs by itself.
	Alone Why = iota
	// ByPolicy: the policy wants every operation to queue.
	ByPolicy
	// HotKey: another operation on the key is under way, or was a short while ago.
	HotKey
	// BusyTable: so many keys are hot that all operations share round trips.
	BusyTable
	// AfterConflict: the operation ran by itself and met a conflict.
	AfterConflict
)

// String returns the reason in lower case, which is stable.
func (w Why) String() string {
	return [...]string{"alone", "policy", "hot key", "busy table", "conflict"}[w]
}

// Claim lets an operation run by itself, if it should: then it returns [Alone], and
// the end is to be told to [Table.Done]. Otherwise it says why the operation is to
// queue.
func (t *Table[K]) Claim(key K) Why {
	if t.policy.Mode != Auto {
		return ByPolicy
	}
	t.mu.Lock()
	why := t.why(key)
	if why == Alone {
		t.alone[key] = struct{}{}
	}
	t.mu.Unlock()
	return why
}

// Enter queues an operation on a key, for the reason that [Table.Claim] gave or
// [AfterConflict]. The caller must [Table.Wait] for it. [ErrFull] means that too
// many wait already.
func (t *Table[K]) Enter(key K, op *Ticket, urgent bool, why Why) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := t.lines[key]
	if line == nil {
		line = t.open(key)
	}
	if len(line.waiting) >= t.policy.MaxQueue {
		t.stats.overflows.Add(1)
		return ErrFull
	}
	op.open(urgent)
	line.add(op)
	line.met = line.met || why == AfterConflict
	t.back(line)
	if !line.busy {
		t.list(line)
		t.startIfNeeded()
	}
	return nil
}

// Done notes the end of an operation that has run by itself.
func (t *Table[K]) Done(key K) {
	t.mu.Lock()
	delete(t.alone, key)
	t.mu.Unlock()
}

// why decides on an operation that could run by itself.
func (t *Table[K]) why(key K) Why {
	if _, busy := t.alone[key]; busy || t.lines[key] != nil {
		return HotKey
	}
	if t.width >= wide && t.policy.MaxKeys > 1 && len(t.lines) < maxIdleLines {
		return BusyTable
	}
	return Alone
}

// open makes the line of a key.
func (t *Table[K]) open(key K) *Line[K] {
	line := &Line[K]{Key: key, table: t}
	t.lines[key] = line
	if !t.sweeping {
		t.sweeping = true
		time.AfterFunc(t.policy.Idle, t.sweep)
	}
	return line
}

// Wait returns when an operation that queues is finished. It returns the context's
// error when ctx ends before the operation is taken: then nothing was done. Once
// it is taken Wait waits for its end whatever ctx says, because the outcome is
// about to be known.
func (t *Table[K]) Wait(ctx context.Context, key K, op *Ticket) error {
	if ended := ctx.Done(); ended != nil {
		select {
		case <-op.done:
			return outcome(ctx, op)
		case <-ended:
			if t.leave(key, op) {
				return ctx.Err()
			}
		}
	}
	<-op.done
	return outcome(ctx, op)
}

func outcome(ctx context.Context, op *Ticket) error {
	if op.left {
		return ctx.Err()
	}
	return nil
}

// leave takes an operation back, unless somebody is working on it.
func (t *Table[K]) leave(key K, op *Ticket) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if op.taken || op.left {
		op.leaving = true
		return false
	}
	t.lines[key].remove(op) // a line where somebody waits is not forgotten
	t.stats.left.Add(1)
	return true
}

// sweep forgets idle lines, from time to time while there are any.
func (t *Table[K]) sweep() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for key, line := range t.lines {
		if !line.busy && !line.listed && len(line.waiting) == 0 && now.Sub(line.used) >= t.policy.Idle {
			delete(t.lines, key)
		}
	}
	if t.sweeping = len(t.lines) > 0; t.sweeping {
		time.AfterFunc(t.policy.Idle, t.sweep)
	} else {
		t.width = 0
	}
}
