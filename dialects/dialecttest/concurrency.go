package dialecttest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

const (
	featureConcurrency = "No lost update under contention"
	featureDeadlock    = "Deadlocks are retried as whole transactions"
	featureLockWait    = "Lock waits are retried"
)

var concurrencyCases = []testCase{
	{"hot-row", featureConcurrency, "every increment of many writers of one row counts once and moves the version by one", caseHotRow},
	{"race", featureConcurrency, "of two updates from the same version exactly one wins, and the other is told the winner's version", caseRace},
	{"race-delete", featureConcurrency, "of an update and a delete from the same version exactly one wins", caseRaceDelete},
	{"insert-race", featureConcurrency, "of several inserts of one key exactly one wins, the others are ErrDuplicate", caseInsertRace},
	{"lock-wait", featureLockWait, "a lock that is not granted in time is retried, and the write then succeeds", caseLockWait},
	{"joined-lock-wait", featureLockWait, "in a joined transaction a lock that is not granted in time ends it, as an error that DB.Retry repeats", caseJoinedLockWait},
	{"deadlock", featureDeadlock, "two transactions that lock two rows in opposite order both succeed in the end", caseDeadlock},
}

// caseHotRow runs at full size 64 writers of 20 increments each, with the
// default pacing; a slow machine under the race detector gets more time.
func caseHotRow(p *probe) {
	writers, increments, policy := 16, 10, &retry.Policy{MaxElapsed: 10 * time.Second}
	if p.full {
		writers, increments, policy = 64, 20, &retry.Policy{MaxElapsed: 5 * time.Minute}
	}
	s := p.accountsWith(occ.Options{Retry: policy}, nil)
	// Writers of one repository queue for the row, so that only those of another, as
	// in another process, put the database to the test.
	views := [2]*scene{s, s.via(p.h.Transport, occ.Options{Retry: policy}, nil)}
	s.seed(account{ID: 1, Owner: "hot", Balance: 0, Version: 1})
	var (
		all      sync.WaitGroup
		mu       sync.Mutex
		versions []int64
	)
	for writer := range writers {
		all.Go(func() {
			for range increments {
				a, err := views[writer%2].Mutate(p.ctx, 1, func(a *account) error { a.Balance++; return nil })
				if !p.ok(err, "mutate") {
					return
				}
				mu.Lock()
				versions = append(versions, a.Version)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	total := int64(writers * increments)
	s.holds(account{ID: 1, Owner: "hot", Balance: total, Version: 1 + total})
	slices.Sort(versions)
	for i, v := range versions {
		if v != int64(i+2) {
			p.failf("the versions returned are not %d to %d, each once: position %d has %d", 2, total+1, i, v)
			break
		}
	}
}

// rounds is how often a race is run.
const rounds = 40

func caseRace(p *probe) {
	s := p.accounts()
	current := s.seed(account{ID: 1, Owner: "start", Balance: 0, Version: 1})
	for round := range rounds {
		rows := [2]account{current, current}
		rows[0].Owner, rows[1].Owner = fmt.Sprintf("left %d", round), fmt.Sprintf("right %d", round)
		errs := both(
			func() error { return s.Update(p.ctx, &rows[0]) },
			func() error { return s.Update(p.ctx, &rows[1]) },
		)
		winner := slices.Index(errs[:], nil)
		if winner < 0 || errs[1-winner] == nil {
			p.failf("round %d: of two updates from version %d the results are %q and %q", round, current.Version, text(errs[0]), text(errs[1]))
			return
		}
		judgeConflict(p, errs[1-winner], current.Version, &rows[winner])
		s.holds(rows[winner])
		current = rows[winner]
	}
}

// both runs two functions at the same time.
func both(left, right func() error) (errs [2]error) {
	var all sync.WaitGroup
	all.Go(func() { errs[0] = left() })
	all.Go(func() { errs[1] = right() })
	all.Wait()
	return errs
}

func caseRaceDelete(p *probe) {
	s := p.accounts()
	for id := range int64(rounds) {
		a := s.seed(account{ID: id, Owner: "start", Version: 1})
		b := a
		errs := both(
			func() error { return s.Update(p.ctx, &a) },
			func() error { return s.Delete(p.ctx, &b) },
		)
		_, found := s.row(id)
		switch {
		case errs[0] == nil && errors.Is(errs[1], occ.ErrConflict) && found:
		case errs[1] == nil && errors.Is(errs[0], occ.ErrGone) && !found:
		default:
			p.failf("update: %q, delete: %q, row there: %v", text(errs[0]), text(errs[1]), found)
			return
		}
	}
}

func caseInsertRace(p *probe) {
	s := p.accounts()
	for id := range int64(rounds / 4) {
		var won atomic.Int64
		var all sync.WaitGroup
		for n := range int64(4) {
			all.Go(func() {
				a := account{ID: id, Balance: n}
				if err := s.Insert(p.ctx, &a); err == nil {
					won.Add(1)
				} else {
					p.is(err, occ.ErrDuplicate, "insert")
				}
			})
		}
		all.Wait()
		p.equal("the number of inserts of one key that succeeded", won.Load(), int64(1))
	}
}

// holdLock writes a row in a transaction of its own and leaves it open.
func holdLock(s *scene) *transaction {
	tx := s.p.beginTx()
	_, err := s.In(tx).Mutate(s.p.ctx, 1, func(a *account) error { a.Balance += 1000; return nil })
	s.p.must(err, "mutate in the transaction that holds the lock")
	return tx
}

// onRetry calls f at the first retry.
func onRetry(f func()) observe.Observer {
	var once sync.Once
	return observe.Func(func(_ context.Context, e observe.Event) {
		if e.Kind == observe.Retry {
			once.Do(f)
		}
	})
}

func caseLockWait(p *probe) {
	if p.h.Impatient == nil {
		p.untested("the harness has no Impatient")
	}
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 1, Version: 1})
	holder := holdLock(s)
	// The lock is given up as soon as one wait has ended in an error.
	waited := false
	impatient := s.via(p.h.Impatient, occ.Options{Observer: onRetry(func() { waited = true; p.ok(holder.commit(), "commit") })}, nil)
	got, err := impatient.Mutate(p.ctx, 1, func(a *account) error { a.Balance++; return nil })
	p.must(err, "mutate")
	p.equal("a lock wait came to an end", waited, true)
	want := account{ID: 1, Owner: "Ada", Balance: 1002, Version: 3}
	p.equal("the row returned", got, want)
	s.holds(want)
}

func caseJoinedLockWait(p *probe) {
	joiner, ok := p.h.Impatient.(dialects.Joiner)
	if !ok {
		p.untested("the harness has no Impatient, or it cannot join")
	}
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 1, Version: 1})
	holder := holdLock(s)
	conn, err := p.h.Impatient.Conn(p.ctx)
	p.must(err, "connect")
	p.later(func(ctx context.Context) { _ = conn.Rollback(ctx); conn.Release(false) })
	p.must(conn.Begin(p.ctx, "BEGIN"), "begin")
	q, err := joiner.Join(conn)
	p.must(err, "join")
	scope := occ.Join(q)
	err = s.via(p.h.Impatient, occ.Options{}, nil).In(scope).Update(p.ctx, &a)
	if err == nil {
		p.failf("the update did not wait for the lock")
		return
	}
	p.not(err, "update", occ.ErrAmbiguous, occ.ErrSuppressed, occ.ErrGone)
	outcome := s.db.Classify(err).At(dialects.InTx)
	p.equal("what may be done after "+err.Error(), outcome.String(), dialects.Retry.String())
	holder.end()
}

func caseDeadlock(p *probe) {
	if p.h.SingleWriter {
		p.lacks("one writer excludes all others, so rows cannot deadlock")
	}
	s := p.accountsWith(occ.Options{Retry: &retry.Policy{MaxAttempts: 20}}, nil)
	s.seed(account{ID: 1, Owner: "left", Balance: 100, Version: 1})
	s.seed(account{ID: 2, Owner: "right", Balance: 100, Version: 1})
	if p.h.BeginTx == nil {
		p.untested("the harness has no BeginTx")
	}
	var runs atomic.Int64
	meeting := newMeeting(2)
	errs := both(
		func() error { return transfer(s, 1, 2, meeting, &runs) },
		func() error { return transfer(s, 2, 1, meeting, &runs) },
	)
	p.ok(errs[0], "the transfer from left to right")
	p.ok(errs[1], "the transfer from right to left")
	if n := runs.Load(); n < 3 {
		p.failf("the transactions ran %d times, want at least 3: there was no deadlock", n)
	}
	s.holds(account{ID: 1, Owner: "left", Balance: 100, Version: 3})
	s.holds(account{ID: 2, Owner: "right", Balance: 100, Version: 3})
}

// meeting lets goroutines wait for each other, once.
type meeting struct {
	missing atomic.Int64
	all     chan struct{}
}

func newMeeting(n int64) *meeting {
	m := &meeting{all: make(chan struct{})}
	m.missing.Store(n)
	return m
}

func (m *meeting) wait(ctx context.Context) error {
	if m.missing.Add(-1) == 0 {
		close(m.all)
	}
	select {
	case <-m.all:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// transfer moves 1 from one row to another in a transaction that is repeated
// as a whole. Its first run meets the other transfer half way.
func transfer(s *scene, from, to int64, half *meeting, runs *atomic.Int64) error {
	first := true
	return s.db.Retry(s.p.ctx, func(ctx context.Context) error {
		runs.Add(1)
		tx, commit, rollback, err := s.p.h.BeginTx(ctx)
		if err != nil {
			return err
		}
		defer func() { _ = rollback() }()
		in := s.In(occ.Join(tx))
		if _, err := in.Mutate(ctx, from, func(a *account) error { a.Balance--; return nil }); err != nil {
			return err
		}
		if first {
			first = false
			if err := half.wait(ctx); err != nil {
				return err
			}
		}
		if _, err := in.Mutate(ctx, to, func(a *account) error { a.Balance++; return nil }); err != nil {
			return err
		}
		return commit()
	})
}
