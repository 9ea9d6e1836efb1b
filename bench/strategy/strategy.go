// Package strategy holds the ways to change versioned rows that a benchmark
// compares: occkit's optimistic writes, units of work and bulk writes with several
// backoffs, the pessimistic and the single-statement alternatives, and the
// mistakes that all of them are there to avoid.
package strategy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/hotkey"
	"github.com/occkit/occkit/occ/retry"
)

// Env is where clients work. All fields but Report are required.
type Env struct {
	// DB is the transport to the database.
	DB dialects.DB
	// Dialect is the dialect that the database speaks.
	Dialect dialects.Dialect
	// Placeholder returns the placeholder of the n-th bound parameter, from 1.
	Placeholder func(n int) string
	// Report wraps an SQL expression of an UPDATE so that its value comes back as
	// the statement's last insert id. Nil where the database has no such way.
	Report func(expression string) string
	// Table is the table of the rows. Its name needs no quotes.
	Table string
	// Left returns how much of the measured time is left. A retry that would
	// have to wait longer is not made: see [Unfinished].
	Left func() time.Duration
}

// Strategy is one way to change rows.
type Strategy struct {
	// Name is the strategy's name on command lines and in results.
	Name string
	// Summary is one line of help.
	Summary string
	// Control marks the strategy that is wrong on purpose. A benchmark that
	// does not catch it proves nothing.
	Control bool
	// Extra says that the strategy is run only when it is asked for by name.
	Extra bool

	// Checked says that operations read, and then write with a check, each by
	// itself: how often they conflict on cold rows can be predicted.
	Checked bool

	backOff    retry.Policy
	contention hotkey.Policy
	serves     func(w workload.Workload) bool // nil: every workload
	run        func(c *Client, ctx context.Context, op *workload.Op) error
}

// Serves tells whether the strategy is a way to do a workload.
func (s Strategy) Serves(w workload.Workload) bool { return s.serves == nil || s.serves(w) }

// The first delay and the longest one of the backoffs are occkit's defaults.
const (
	base  = 2 * time.Millisecond
	limit = 250 * time.Millisecond
)

// All returns every strategy, in the order in which they are shown.
func All() []Strategy {
	all := append(backoffs(), contentions()...)
	return append(all, others()...)
}

// alone lets occkit run each operation by itself, however contended its row is:
// what is compared is the way that the strategy names, and nothing else.
var alone = hotkey.Policy{Mode: hotkey.Backoff}

func jitter() retry.Policy { return retry.Policy{NewBackOff: retry.FullJitter(base, limit)} }

// backoffs are the control, and occkit's checked writes with several backoffs.
func backoffs() []Strategy {
	return []Strategy{
		{
			Name: "naive", Summary: "read, then write without a version check (the control: it must be caught)",
			Control: true, backOff: jitter(), contention: alone, run: (*Client).naive,
		},
		{
			Name: "none", Summary: "occkit's checked write, repeated at once after a conflict",
			backOff: retry.Policy{NewBackOff: retry.None()}, contention: alone, run: (*Client).optimistic, Checked: true,
		},
		{
			Name: "exponential", Summary: "occkit's checked write, waiting 2, 4, 8 ... 250 ms",
			backOff: retry.Policy{NewBackOff: retry.Exponential(base, limit)}, contention: alone, run: (*Client).optimistic, Checked: true,
		},
		{
			Name: "full-jitter", Summary: "occkit's checked write, waiting a random part of that",
			backOff: jitter(), contention: alone, run: (*Client).optimistic, Checked: true,
		},
	}
}

// contentions are occkit's ways to treat a row that many clients want at once.
func contentions() []Strategy {
	way := func(name, summary string, policy hotkey.Policy) Strategy {
		return Strategy{
			Name: name, Summary: summary, Extra: policy.Mode != hotkey.Auto,
			backOff: jitter(), contention: policy, serves: isSingle, run: (*Client).optimistic,
		}
	}
	return []Strategy{
		way("auto", "occkit's default: full-jitter while rows are cold, group where they are hot", hotkey.Policy{}),
		way("gate", "clients of a process take turns at a row, and hand it on without reading it again", hotkey.Policy{Mode: hotkey.Gate}),
		way("combine", "changes of a row that wait at the same time share one write", hotkey.Policy{Mode: hotkey.Combine, MaxKeys: 1}),
		way("group", "combine, and rows that wait at the same time share one statement", hotkey.Policy{Mode: hotkey.Combine}),
		way("lock", "lock the row in the database before each read", hotkey.Policy{Mode: hotkey.Lock}),
	}
}

// others are the pessimistic and the single-statement ways, and what belongs to
// some workloads only.
func others() []Strategy {
	return []Strategy{
		{
			Name: "for-update", Summary: "lock the rows, read, write (SELECT ... FOR UPDATE, or BEGIN IMMEDIATE)",
			backOff: jitter(), contention: alone, run: (*Client).pessimistic,
		},
		{
			Name: "atomic", Summary: "let the database compute: SET n = n + 1, version = version + 1 (doctors: on locked rows)",
			backOff: jitter(), contention: alone, run: (*Client).atomic,
		},
		{
			Name: "add", Summary: "occkit's single statement: repo.Add, no read, no conflict",
			Extra: true, backOff: jitter(), contention: alone, run: (*Client).add, serves: isSingle,
		},
		{
			Name: "loop", Summary: "full-jitter without the bulk write: a checked write for each row, in one transaction (batch only)",
			backOff: jitter(), contention: alone, run: (*Client).loop, serves: isBulk,
		},
		{
			Name: "relaxed", Summary: "full-jitter that checks only what it writes: doctors violates (transfer and doctors, if named)",
			backOff: jitter(), contention: alone, run: (*Client).relaxed, serves: isUnit, Extra: true,
		},
	}
}

func isBulk(w workload.Workload) bool { return w.Bulk }

// isSingle tells whether operations are about one row.
func isSingle(w workload.Workload) bool { return w.Rows == 1 && !w.Bulk }

// isUnit tells whether operations decide by several rows.
func isUnit(w workload.Workload) bool { return w.Rows > 1 && !w.Bulk }

// Find returns the strategy of a name. An unknown name is an error that lists
// the known ones.
func Find(name string) (Strategy, error) {
	for _, s := range All() {
		if s.Name == name {
			return s, nil
		}
	}
	return Strategy{}, fmt.Errorf("unknown strategy %q: choose from %s", name, strings.Join(Names(), ", "))
}

// Names returns the names of all strategies.
func Names() []string { return names(func(Strategy) bool { return true }) }

// Defaults returns the names of the strategies that are run unless others are
// asked for.
func Defaults() []string { return names(func(s Strategy) bool { return !s.Extra }) }

func names(wanted func(Strategy) bool) []string {
	var names []string
	for _, s := range All() {
		if wanted(s) {
			names = append(names, s.Name)
		}
	}
	return names
}
