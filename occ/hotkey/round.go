package hotkey

import (
	"runtime"
	"slices"
	"sync/atomic"
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
	r := &round[K]{table: t, gathered: make(chan struct{}, 1)}
	r.watch = time.AfterFunc(slowAtMost, r.overdue)
	defer r.watch.Stop()
	defer t.abandon(r) // does nothing unless work ends the goroutine
	for t.next(r) {
		t.work(r.lines)
		r.watch.Stop()
		t.settle(r, time.Since(r.begun))
	}
}

// settle lets the callers that were just served come back, if they do so at once,
// and be part of the next round: otherwise two halves of them take turns, and
// everybody waits for two rounds. It ends when as many have come as were served, or
// after a small part of what a round takes: nobody waits long for callers that have
// something else to do, and hardly ever where that is usual.
func (t *Table[K]) settle(r *round[K], pace time.Duration) {
	const (
		few, part   = 4, 8
		least, most = 20 * time.Microsecond, 500 * time.Microsecond
		far         = 2 * time.Millisecond
	)
	runtime.Gosched()
	served, patient := t.patient(r)
	if served < few || !patient {
		return
	}
	limit := min(max(pace/part, least), most)
	if pace < far {
		r.spin(served, limit)
	} else {
		t.await(r, served, limit)
	}
	t.learn(2*r.came.Load() >= served)
}

// spin waits for callers by letting them run, because timers are too coarse for a
// database that is near.
func (r *round[K]) spin(served int64, limit time.Duration) {
	const turns = 4000 // where the clock stands still, as in a bubble of testing/synctest
	begun := time.Now()
	for turn := 0; turn < turns && r.came.Load() < served && time.Since(begun) < limit; turn++ {
		runtime.Gosched()
	}
}

// await waits for callers in the way that leaves the processor to them, wherever
// they are queued for one. Its timer may be late by a millisecond.
func (t *Table[K]) await(r *round[K], served int64, limit time.Duration) {
	t.mu.Lock()
	all := r.came.Load() >= served
	if !all {
		r.wanted = served
	}
	t.mu.Unlock()
	if all {
		return
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-r.gathered:
		return
	case <-timer.C:
	}
	t.mu.Lock()
	if r.wanted == 0 { // they came after all
		<-r.gathered
	}
	r.wanted = 0
	t.mu.Unlock()
}

// patient tells how many callers a round has served, and whether it is worth while
// to wait for them.
func (t *Table[K]) patient(r *round[K]) (served int64, patient bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.skip > 0 {
		t.skip--
		return r.finished, false
	}
	return r.finished, !r.slow
}

// learn takes over whether most callers came back: where they do not, fewer and
// fewer rounds wait for them.
func (t *Table[K]) learn(most bool) {
	const rarely = 63
	t.mu.Lock()
	defer t.mu.Unlock()
	if most {
		t.missed = 0
		return
	}
	t.missed = min(2*t.missed+1, rarely)
	t.skip = t.missed - 1
}

// back notes that an operation has queued on a line.
func (t *Table[K]) back(line *Line[K]) {
	r := t.gathering
	if t.policy.MaxKeys == 1 {
		r = line.round
	}
	if r == nil || r.finished == 0 {
		return
	}
	if came := r.came.Add(1); came == r.wanted {
		r.wanted = 0
		r.gathered <- struct{}{}
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

	finished int64        // operations that have been finished
	came     atomic.Int64 // operations that have queued since the first was finished
	wanted   int64        // so many are waited for; 0: nobody waits
	gathered chan struct{}
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
	r.finished = 0
	r.came.Store(0)
	r.begun, r.limit = now, min(max(slowFactor*t.pace, slowAtLeast), slowAtMost)
	r.watch.Reset(r.limit)
	t.stats.rounds.Add(1)
	t.stats.lines.Add(int64(len(r.lines)))
	return true
}

// end takes over what was learnt from a round, and its lines.
func (t *Table[K]) end(r *round[K], now time.Time) {
	if t.gathering == r {
		t.gathering = nil
	}
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
