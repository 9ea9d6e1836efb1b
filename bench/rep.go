package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/occkit/occkit/bench/audit"
	"github.com/occkit/occkit/bench/measure"
	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
)

// repeat runs one repetition of a cell on a table of its own, and audits it.
func (e *experiment) repeat(ctx context.Context, c *cell, round int) (rep Rep, err error) {
	initial := audit.State{Value: c.workload.Initial, Version: 1}
	t, err := newTable(ctx, e.target.DB, c.keys.Len(), initial)
	if err != nil {
		return Rep{}, err
	}
	defer func() {
		if dropErr := t.drop(ctx); dropErr != nil {
			err = errors.Join(err, dropErr)
		}
	}()
	watch := &window{length: e.spec.Duration}
	team, workers, err := e.workers(c, t, round, watch)
	if err != nil {
		return Rep{}, err
	}
	watch.run(ctx, workers)
	if err := context.Cause(ctx); err != nil {
		return Rep{}, err
	}
	final, err := t.rows(ctx, c.keys.Len())
	if err != nil {
		return Rep{}, fmt.Errorf("cannot read the rows back: %w", err)
	}
	rep = collect(workers, audit.History{
		Initial: initial, Final: final, Conserved: c.workload.Conserved, Paired: c.workload.Paired,
	})
	attempts, conflicts := team.Stray()
	rep.Attempts += attempts
	rep.Conflicts += conflicts
	if rep.Commits == 0 && rep.FirstError != nil {
		return Rep{}, fmt.Errorf("no operation succeeded: %w", rep.FirstError)
	}
	return rep, nil
}

// workers makes the clients, which share a team. The choices of each depend on the
// seed, the round and its number alone, so that every strategy gets the same ones.
func (e *experiment) workers(c *cell, t *table, round int, watch *window) (*strategy.Team, []*worker, error) {
	team, err := c.strategy.Team(strategy.Env{
		DB: e.target.DB, Dialect: e.target.Dialect, Placeholder: e.target.Placeholder,
		Report: e.target.Report, Table: t.name, Left: watch.left,
	})
	if err != nil {
		return nil, nil, err
	}
	workers := make([]*worker, e.spec.Clients)
	for i := range workers {
		client, err := team.Client()
		if err != nil {
			return nil, nil, err
		}
		stream := uint64(round)<<32 | uint64(i)
		workers[i] = &worker{client: client, source: c.workload.Source(c.keys, e.spec.Seed, stream), watch: watch}
	}
	return team, workers, nil
}

// window is the measured time of a repetition.
type window struct {
	length  time.Duration
	start   time.Time
	elapsed time.Duration // until the last operation ended
}

func (w *window) left() time.Duration { return w.length - time.Since(w.start) }

// run lets the workers work until the time is over and their last operations
// have ended.
func (w *window) run(ctx context.Context, workers []*worker) {
	var group sync.WaitGroup
	w.start = time.Now()
	for _, one := range workers {
		group.Go(func() { one.work(ctx) })
	}
	group.Wait()
	w.elapsed = time.Since(w.start)
}

// worker is one client, and what happened to it.
type worker struct {
	client *strategy.Client
	source *workload.Source
	watch  *window

	acked, unknown    []audit.Effect
	latencies         []time.Duration
	commits, declined int64
	tries, conflicts  int64
	gaveUp, failed    int64
	ambiguous         int64
	forbidden         int64
	firstError        error
}

func (w *worker) work(ctx context.Context) {
	for ctx.Err() == nil && w.watch.left() > 0 {
		op := w.source.Next()
		start := time.Since(w.watch.start)
		outcome := w.client.Do(ctx, op)
		w.note(outcome, start, time.Since(w.watch.start))
	}
}

// note files one operation.
func (w *worker) note(o strategy.Outcome, start, end time.Duration) {
	if o.Kind != strategy.Declined {
		w.tries += o.Attempts
		w.conflicts += o.Conflicts
	}
	switch o.Kind {
	case strategy.Committed:
		w.commits++
		if o.Forbidden {
			w.forbidden++
		}
		w.acked = effects(w.acked, o.Writes, start, end)
		w.latencies = append(w.latencies, end-start)
	case strategy.Declined:
		w.declined++
	case strategy.GaveUp:
		w.gaveUp++
		w.latencies = append(w.latencies, end-start)
	case strategy.Unknown:
		w.ambiguous++
		w.unknown = effects(w.unknown, o.Writes, start, end)
	case strategy.Failed:
		w.failed++
	}
	if w.firstError == nil && o.Kind >= strategy.GaveUp && o.Kind != strategy.Unfinished {
		w.firstError = o.Err
	}
}

func effects(to []audit.Effect, writes []strategy.Write, start, end time.Duration) []audit.Effect {
	for _, w := range writes {
		to = append(to, audit.Effect{
			Key: w.Key, Delta: w.Delta, Version: w.Version, Start: int64(start), End: int64(end),
		})
	}
	return to
}

// collect adds up what happened to the workers, and audits it.
func collect(workers []*worker, h audit.History) Rep {
	rep := Rep{Seconds: workers[0].watch.elapsed.Seconds()}
	all := measure.NewLatencies()
	shares := make([]int64, len(workers))
	for i, w := range workers {
		shares[i] = w.commits
		for _, d := range w.latencies {
			all.Record(d)
		}
		h.Acknowledged = append(h.Acknowledged, w.acked...)
		h.Unknown = append(h.Unknown, w.unknown...)
		h.Forbidden += w.forbidden
		rep.Commits += w.commits
		rep.Attempts += w.tries
		rep.Conflicts += w.conflicts
		rep.GaveUp += w.gaveUp
		rep.Errors += w.failed + w.ambiguous
		rep.Unknown += w.ambiguous
		rep.Declined += w.declined
		if rep.FirstError == nil {
			rep.FirstError = w.firstError
		}
	}
	rep.Jain = measure.Jain(shares)
	rep.LatencyUS = Latency{
		P50: all.Micros(50), P90: all.Micros(90), P99: all.Micros(99), P999: all.Micros(99.9), Max: all.Micros(100),
	}
	rep.Audit = audit.Check(h)
	rep.Lost, rep.Duplicate, rep.OutOfOrder = rep.Audit.Lost, rep.Audit.Duplicate, rep.Audit.OutOfOrder
	rep.Broken = rep.Audit.Broken
	return rep
}
