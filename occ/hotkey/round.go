package hotkey

import (
	"runtime"
	"slices"
	"time"
)

// list notes that a line has work. Its callers hold the lock, as everywhere below.
func (t *Table[K]) list(line *Line[K]) {
	if !line.listed {
		line.listed = true
		t.ready = append(t.ready, line)
	}
}

// startIfNeeded starts a goroutine for a line that has been listed: where every
// line has rounds of its own always, else unless one is under way.
func (t *Table[K]) startIfNeeded() {
	if t.workers == 0 || t.policy.MaxKeys == 1 {
		t.workers++
		go t.run()
	}
}

// run does rounds until there is nothing to do.
func (t *Table[K]) run() {
	r := &round[K]{table: t}
	r.watch = time.AfterFunc(slowAtMost, r.overdue)
	defer r.watch.Stop()
	defer t.abandon(r) // does nothing unless work ends the goroutine
	for t.next(r) {
		served := t.served.Load()
		t.work(r.lines)
		r.watch.Stop()
		t.settle(t.served.Load()-served, time.Since(r.begun))
	}
}

// settle yields to the callers that were just served, so that those who come back
// at once are part of the next round: otherwise two halves of them take turns, and
// everybody waits for two rounds. It ends when all have come back, or after a
// small part of what a round takes: nobody waits for callers that have something
// else to do.
func (t *Table[K]) settle(served int64, pace time.Duration) {
	const few, part, least, most = 4, 8, 20 * time.Microsecond, 500 * time.Microsecond
	back := t.arrivals.Load() + served
	runtime.Gosched()
	if served < few {
		return
	}
	const turns = 4000 // where the clock stands still, as in a bubble of testing/synctest
	limit := min(max(pace/part, least), most)
	begun := time.Now()
	for turn := 0; turn < turns && t.arrivals.Load() < back && time.Since(begun) < limit; turn++ {
		runtime.Gosched()
	}
}

// round is a goroutine's round of work.
type round[K comparable] struct {
	table *Table[K]
	lines []*Line[K]
	begun time.Time
	limit time.Duration // when it counts as slow
	slow  bool          // takes unusually long: others do not wait for it
	watch *time.Timer
}

// next ends the round and begins another. It returns false when there is nothing
// to do, or when other goroutines do it.
func (t *Table[K]) next(r *round[K]) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.end(r, now)
	if r.slow { // its place has been taken
		if r.lines = nil; len(t.ready) > 0 {
			t.startIfNeeded()
		}
		return false
	}
	if r.lines = t.pick(r, now); len(r.lines) == 0 {
		t.workers--
		return false
	}
	r.begun, r.limit = now, min(max(slowFactor*t.pace, slowAtLeast), slowAtMost)
	r.watch.Reset(r.limit)
	t.stats.rounds.Add(1)
	t.stats.lines.Add(int64(len(r.lines)))
	return true
}

// end takes over what was learnt from a round, and its lines.
func (t *Table[K]) end(r *round[K], now time.Time) {
	if len(r.lines) == 0 {
		return
	}
	const weight = 8
	t.pace += (now.Sub(r.begun) - t.pace) / weight
	t.width += (float64(len(r.lines)) - t.width) / weight
	for _, line := range r.lines {
		if line.round == r {
			t.release(line, now)
		}
	}
}

// abandon lets another goroutine go on after a round that has ended this one.
func (t *Table[K]) abandon(r *round[K]) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(r.lines) == 0 {
		return
	}
	t.end(r, time.Now())
	if !r.slow {
		t.workers--
	}
	if r.lines = nil; len(t.ready) > 0 {
		t.startIfNeeded()
	}
}

// pick returns the lines of the next round.
func (t *Table[K]) pick(r *round[K], now time.Time) []*Line[K] {
	lines, n := r.lines[:0], 0
	for _, line := range t.ready {
		if len(lines) == t.policy.MaxKeys {
			break
		}
		n++
		line.listed = false
		if len(line.waiting) == 0 { // they have left
			line.used = now
			continue
		}
		line.busy, line.round = true, r
		lines = append(lines, line)
	}
	t.ready = slices.Delete(t.ready, 0, n)
	return lines
}

// overdue is called when a round takes unusually long: lines that have work do not
// wait for it any longer.
func (r *round[K]) overdue() {
	t := r.table
	t.mu.Lock()
	defer t.mu.Unlock()
	if r.slow || len(r.lines) == 0 || time.Since(r.begun) < r.limit { // late: another round has begun
		return
	}
	r.slow = true
	t.workers--
	if len(t.ready) > 0 {
		t.startIfNeeded()
	}
}

// release takes a line back.
func (t *Table[K]) release(line *Line[K], now time.Time) {
	line.busy, line.round, line.used = false, nil, now
	switch {
	case len(line.waiting) > 0:
		t.list(line)
	case len(t.lines) > maxIdleLines:
		delete(t.lines, line.Key)
	}
}
