package bench

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/occkit/occkit/bench/measure"
	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
)

// job is what one process does in one repetition of a cell.
type job struct {
	Workload, Strategy string
	Table              string
	Keys, Batch        int
	Dist               workload.Dist
	Duration           time.Duration
	// Clients is how many of the clients are this process's; First is the number
	// of the first one among all.
	Clients, First int
	Seed           uint64
	Round          int
}

// crew is a job in hand: clients that are ready to start.
type crew struct {
	team    *strategy.Team
	workers []*worker
	watch   *window
	keys    int
}

// newCrew makes the clients, which share a team. The choices of each depend on the
// seed, the round and its number alone, so that every strategy gets the same ones,
// in however many processes.
func newCrew(target Target, j job, keys *workload.Sampler) (*crew, error) {
	way, err := strategy.Find(j.Strategy)
	if err != nil {
		return nil, err
	}
	work, err := workload.Find(j.Workload)
	if err != nil {
		return nil, err
	}
	work = work.Sized(j.Batch)
	c := &crew{watch: &window{length: j.Duration}, keys: keys.Len()}
	c.team, err = way.Team(strategy.Env{
		DB: target.DB, Dialect: target.Dialect, Placeholder: target.Placeholder,
		Report: target.Report, Table: j.Table, Left: c.watch.left,
	})
	if err != nil {
		return nil, err
	}
	for i := range j.Clients {
		client, err := c.team.Client()
		if err != nil {
			return nil, err
		}
		stream := uint64(j.Round)<<32 | uint64(j.First+i)
		c.workers = append(c.workers, &worker{client: client, source: work.Source(keys, j.Seed, stream), watch: c.watch})
	}
	return c, nil
}

// run lets the clients work until the time is over and their last operations have
// ended, and returns what happened.
func (c *crew) run(ctx context.Context) part {
	var group sync.WaitGroup
	c.watch.start = time.Now()
	for _, one := range c.workers {
		group.Go(func() { one.work(ctx) })
	}
	group.Wait()
	elapsed := time.Since(c.watch.start)
	return c.part(elapsed)
}

// part adds up what happened to the workers.
func (c *crew) part(elapsed time.Duration) part {
	p := part{Base: epoch(c.watch.start), Elapsed: elapsed, Latencies: measure.NewLatencies(), Draws: make([]int64, c.keys)}
	for _, w := range c.workers {
		p.Shares = append(p.Shares, w.Commits)
		p.Tally.add(w.tally)
		for _, d := range w.latencies {
			p.Latencies.Record(d)
		}
		for _, key := range w.source.Drawn() {
			p.Draws[key]++
		}
		p.Acked = append(p.Acked, w.acked...)
		p.Unknown = append(p.Unknown, w.unknown...)
		if p.err == nil {
			p.err = w.firstError
		}
	}
	attempts, conflicts := c.team.Stray()
	p.Tally.add(tally{Attempts: attempts, Conflicts: conflicts})
	p.Ways = c.team.Ways()
	return p
}

// epoch returns where a moment lies on the clock that all processes of a machine
// share, in nanoseconds. That clock is looked at several times: between the two
// clocks of one look the process may be put to sleep.
func epoch(moment time.Time) int64 {
	looks := make([]int64, 9)
	for i := range looks {
		now := time.Now()
		looks[i] = now.UnixNano() - int64(now.Sub(moment))
	}
	slices.Sort(looks)
	return looks[len(looks)/2]
}

// window is the measured time of a repetition.
type window struct {
	length time.Duration
	start  time.Time
}

func (w *window) left() time.Duration { return w.length - time.Since(w.start) }

// worker is one client, and what happened to it.
type worker struct {
	client *strategy.Client
	source *workload.Source
	watch  *window

	tally
	acked, unknown effects
	latencies      []time.Duration
	firstError     error
}

func (w *worker) work(ctx context.Context) {
	ctx = w.client.Context(ctx)
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
		w.Attempts += o.Attempts
		w.Conflicts += o.Conflicts
	}
	switch o.Kind {
	case strategy.Committed:
		w.Commits++
		if o.Forbidden {
			w.Forbidden++
		}
		w.acked.note(o.Writes, start, end)
		w.latencies = append(w.latencies, end-start)
	case strategy.Declined:
		w.Declined++
	case strategy.GaveUp:
		w.GaveUp++
		w.latencies = append(w.latencies, end-start)
	case strategy.Unknown:
		w.Errors++
		w.Unknown++
		w.unknown.note(o.Writes, start, end)
	case strategy.Failed:
		w.Errors++
	}
	if w.firstError == nil && o.Kind >= strategy.GaveUp && o.Kind != strategy.Unfinished {
		w.firstError = o.Err
	}
}
