package migrations

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/occkit/occkit/dialects"
)

// The sizes of a backfill's parts.
const (
	firstChunk = 1000
	leastChunk = 50
	mostChunk  = 20_000
)

// filler fills the rows that have no version, in parts along the primary key.
// Each part is a transaction of its own. What is filled already is passed over,
// so that a new one goes on where the last one was stopped.
type filler struct {
	m    *Migrator
	conn dialects.Conn
	p    *dialects.SchemaPlan
	step *dialects.SchemaStep

	size     int
	last     []any // the greatest key so far; nil at the beginning
	rows     int64
	slowest  time.Duration
	failing  time.Time // since when no part went through
	failures int
	looked   time.Time
	saved    map[string]string

	replicas  int // the most that were seen
	lagLooked time.Time
}

func (m *Migrator) backfill(ctx context.Context, conn dialects.Conn, p *dialects.SchemaPlan, step *dialects.SchemaStep, done *Applied) error {
	f := &filler{m: m, conn: conn, p: p, step: step, size: firstChunk, looked: m.o.Now(), saved: map[string]string{}}
	began := m.o.Now()
	err := f.run(ctx)
	done.Rows += f.rows
	if restoreErr := restore(ctx, conn, f.saved); restoreErr != nil {
		err = errors.Join(err, fmt.Errorf("%w: %w", errDirty, restoreErr))
	}
	if err != nil {
		return explain(err, p.Table.Name, step.ID)
	}
	err = m.record(ctx, conn, p, step, "done", func(r *Record) { r.DurationMS = m.o.Now().Sub(began).Milliseconds() })
	if err != nil {
		return explain(err, p.Table.Name, step.ID)
	}
	done.Steps = append(done.Steps, step.ID)
	m.tell(Event{
		Table: p.Table.Name, Step: step.ID, State: Done, Rows: f.rows, Total: p.Rows, Chunk: f.size, Slowest: f.slowest, Took: m.o.Now().Sub(began),
	})
	return nil
}

func (f *filler) run(ctx context.Context) error {
	for {
		if err := f.wait(ctx); err != nil {
			return err
		}
		over, err := f.part(ctx)
		switch {
		case err == nil && over:
			return nil
		case err == nil:
			f.failing, f.failures = time.Time{}, 0
			f.report()
			err = f.m.o.Sleep(ctx, f.m.o.Pause)
		case f.again(err):
			err = f.yield(ctx, err)
		}
		if err != nil {
			return err
		}
	}
}

// wait is a safe point: every part before it is committed.
func (f *filler) wait(ctx context.Context) error {
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		reason, err := f.hold(ctx)
		if err != nil || reason == "" {
			return err
		}
		f.m.tell(Event{Table: f.p.Table.Name, Step: f.step.ID, State: Paused, Rows: f.rows, Total: f.p.Rows, Chunk: f.size, Why: reason})
		if err := f.m.o.Sleep(ctx, time.Second); err != nil {
			return err
		}
	}
}

// hold returns a reason to wait: the caller's, or replicas.
func (f *filler) hold(ctx context.Context) (reason string, err error) {
	if f.m.o.Throttle != nil {
		reason, err = f.m.o.Throttle(ctx)
	}
	if err != nil || reason != "" {
		return reason, err
	}
	return f.lagging(ctx)
}

// part fills the next rows. A part that was begun is brought to its end, which
// is short, even when ctx ends.
func (f *filler) part(ctx context.Context) (over bool, err error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	c, err := f.m.changer.SchemaChunk(f.p, dialects.SchemaChunk{First: f.last == nil, Rows: f.size})
	if err != nil {
		return false, err
	}
	if err := settle(ctx, f.conn, c.Attempt.Settings, f.saved); err != nil {
		return false, err
	}
	upto, err := f.find(ctx, c)
	if err != nil {
		return false, err
	}
	if upto == nil {
		if c, err = f.m.changer.SchemaChunk(f.p, dialects.SchemaChunk{First: f.last == nil, Last: true, Rows: f.size}); err != nil {
			return false, err
		}
	}
	began := f.m.o.Now()
	n, err := f.write(ctx, c, f.args(c.WriteArgs, upto))
	if err != nil {
		return false, err
	}
	f.rows += n
	f.last = upto
	f.adapt(f.m.o.Now().Sub(began))
	return upto == nil, nil
}

// find reads the key that ends the part; nil when the part goes to the end.
func (f *filler) find(ctx context.Context, c dialects.SchemaChunkSQL) ([]any, error) {
	var upto []any
	q := dialects.SchemaQuery{Text: c.Find, Args: f.args(c.FindArgs, nil)}
	err := query(ctx, f.conn, q, func(r dialects.Rows) error {
		upto = make([]any, len(f.p.Key))
		dest := make([]any, len(upto))
		for i := range upto {
			dest[i] = &upto[i]
		}
		return r.Scan(dest...)
	})
	for i, v := range upto {
		if b, ok := v.([]byte); ok {
			upto[i] = bytes.Clone(b) // the driver's memory
		}
	}
	return upto, err
}

func (f *filler) args(from []dialects.KeyArg, upto []any) []any {
	args := make([]any, len(from))
	for i, a := range from {
		key := f.last
		if a.Upto {
			key = upto
		}
		args[i] = key[a.Column]
	}
	return args
}

func (f *filler) write(ctx context.Context, c dialects.SchemaChunkSQL, args []any) (int64, error) {
	if err := f.conn.Begin(ctx, c.Attempt.Begin); err != nil {
		return 0, err
	}
	n, err := f.inside(ctx, c, args)
	if err != nil {
		if rollbackErr := f.conn.Rollback(ctx); rollbackErr != nil {
			err = errors.Join(err, fmt.Errorf("%w: %w", errDirty, rollbackErr))
		}
		return 0, err
	}
	return n, f.conn.Commit(ctx)
}

func (f *filler) inside(ctx context.Context, c dialects.SchemaChunkSQL, args []any) (int64, error) {
	for _, statement := range c.Attempt.Lock {
		if _, err := f.conn.Exec(ctx, statement, nil); err != nil {
			return 0, err
		}
	}
	result, err := f.conn.Exec(ctx, c.Write, args)
	return max(result.RowsAffected, 0), err
}

// adapt keeps parts near the time that they should take: others may wait for a
// row of a part for as long as it lasts.
func (f *filler) adapt(took time.Duration) {
	f.slowest = max(f.slowest, took)
	switch goal := f.m.o.ChunkTime; {
	case took < goal/2:
		f.size = min(f.size+f.size/2, mostChunk)
	case took > goal+goal/2:
		f.size = max(f.size/2, leastChunk)
	}
}

// again tells whether a part can be tried again: a lock was not had, a deadlock
// was ended.
func (f *filler) again(err error) bool {
	switch f.m.dialect.Classify(err) {
	case dialects.Busy, dialects.Conflict, dialects.Replan:
		return !errors.Is(err, errDirty)
	}
	return false
}

// yield makes parts smaller and rests, since somebody holds a row for long.
func (f *filler) yield(ctx context.Context, cause error) error {
	now := f.m.o.Now()
	if f.failing.IsZero() {
		f.failing = now
	}
	f.failures++
	if waited := now.Sub(f.failing); waited >= f.m.o.MaxWait {
		return &LockedError{Table: f.p.Table.Name, Step: f.step.ID, Waited: waited, Attempts: f.failures, Why: cause.Error(), Last: cause}
	}
	f.size = max(f.size/2, leastChunk)
	f.m.tell(Event{
		Table: f.p.Table.Name, Step: f.step.ID, State: Waiting, Rows: f.rows, Total: f.p.Rows, Chunk: f.size,
		Attempt: f.failures, Waited: now.Sub(f.failing), Why: cause.Error(),
	})
	longest := min(20*time.Millisecond<<min(f.failures, 7), 2*time.Second)
	return f.m.o.Sleep(ctx, longest/2+time.Duration(f.m.o.Rand()*float64(longest)/2))
}

func (f *filler) report() {
	if now := f.m.o.Now(); now.Sub(f.looked) >= lookEvery/4 {
		f.looked = now
		f.m.tell(Event{Table: f.p.Table.Name, Step: f.step.ID, State: Filling, Rows: f.rows, Total: f.p.Rows, Chunk: f.size, Slowest: f.slowest})
	}
}
