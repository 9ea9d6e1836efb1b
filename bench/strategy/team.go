package strategy

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

// Team is the clients of one process. They share a database and a repository, as
// the goroutines of a service do, and with them whatever occkit keeps for all of
// a process: the queues of contended rows above all. It is safe for concurrent
// use.
type Team struct {
	strategy Strategy
	env      Env
	db       *occ.DB
	repo     *occ.Repository[Row, int64]
	begin    string
	stray    counts
	ways     [len(wayNames)]atomic.Int64
}

// wayNames are the ways in which occkit runs operations: by themselves, and as the
// Reason of [observe.Attempt] has it.
var wayNames = [...]string{"alone", "gate", "combine", "group", "lock"}

// Team returns a new team of the strategy. It does not use the database.
func (s Strategy) Team(env Env) (*Team, error) {
	t := &Team{strategy: s, env: env, begin: "BEGIN"}
	if b, ok := env.Dialect.(dialects.Beginner); ok {
		t.begin = b.Begin()
	}
	policy := s.backOff
	if inner := policy.NewBackOff; inner != nil {
		policy.NewBackOff = func() backoff.BackOff { return &bounded{inner(), env.Left} }
	}
	t.db = occ.New(env.DB, env.Dialect, &occ.Options{
		Retry: &policy, Contention: s.contention, Observer: observe.Func(t.observe),
	})
	var err error
	t.repo, err = occ.NewRepository[Row, int64](t.db, env.Table, nil)
	return t, err
}

// Client returns a new client of the team. It does not use the database.
func (t *Team) Client() (*Client, error) {
	text, err := newStatements(t.env)
	return &Client{Team: t, sql: text}, err
}

// Stray returns how many tries, and how many of them that lost, were made for no
// client in particular. It means something once all clients are done.
func (t *Team) Stray() (attempts, conflicts int64) {
	return t.stray.attempts.Load(), t.stray.conflicts.Load()
}

// Ways returns how many tries that won were run in which way: "alone", "gate",
// "combine", "group" or "lock". It is nil when all were alone.
func (t *Team) Ways() map[string]int64 {
	var ways map[string]int64
	for i := len(wayNames) - 1; i >= 0; i-- {
		if n := t.ways[i].Load(); n > 0 && (i > 0 || ways != nil) {
			if ways == nil {
				ways = map[string]int64{}
			}
			ways[wayNames[i]] = n
		}
	}
	return ways
}

// observe counts the tries of operations as a whole; the writes that they consist
// of report themselves too. A try belongs to the client whose context it runs
// under. One client may work for others, on their goroutines or its own, so the
// counts are a client's and not an operation's, and may grow at any time.
func (t *Team) observe(ctx context.Context, e observe.Event) {
	if e.Op != "mutate" && e.Op != "add" && e.Op != "transact" && e.Op != "retry" {
		return
	}
	of, ok := ctx.Value(countsKey{}).(*counts)
	if !ok {
		of = &t.stray
	}
	switch e.Kind {
	case observe.Attempt:
		of.attempts.Add(1)
		if e.Err == nil {
			t.ways[max(0, slices.Index(wayNames[:], e.Reason))].Add(1)
		}
	case observe.Conflict:
		of.conflicts.Add(1)
	}
}

// counts are the tries of a client.
type counts struct{ attempts, conflicts atomic.Int64 }

type countsKey struct{}

// in returns a context under which tries are counted here: ctx itself if it is one.
func (c *counts) in(ctx context.Context) context.Context {
	if of, ok := ctx.Value(countsKey{}).(*counts); ok && of == c {
		return ctx
	}
	return context.WithValue(ctx, countsKey{}, c)
}

// bounded ends a backoff whose next delay would outlast the measured time.
type bounded struct {
	backoff.BackOff
	left func() time.Duration
}

// NextBackOff returns the next delay, or [backoff.Stop].
func (b *bounded) NextBackOff() time.Duration {
	delay := b.BackOff.NextBackOff()
	if delay >= b.left() {
		return backoff.Stop
	}
	return delay
}
