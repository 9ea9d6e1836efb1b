package migrations

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/occkit/occkit/dialects"
)

// errMutex is another migrator at work on the schema.
var errMutex = errors.New("another migrator is at work on this schema")

// The locker's paces.
const (
	// pollEvery is the rest between two attempts that wait for nothing, longer by
	// up to half: such an attempt keeps nobody waiting.
	pollEvery = 20 * time.Millisecond
	// lookEvery is how often it is asked who is in the way.
	lookEvery = time.Second
	// longestWait is the longest that others may have to queue behind an attempt.
	longestWait = 200 * time.Millisecond
	// slack is what a blocker that gives way is granted in addition.
	slack = 200 * time.Millisecond
	// grace bounds what an attempt does beside waiting, for steps that change the
	// catalog alone.
	grace = 30 * time.Second
)

// locker gets one step done. An attempt to lock either succeeds at once or
// fails; only after a while it waits, briefly, with growing rests: whoever waits
// for a lock keeps all later comers waiting too.
type locker struct {
	m    *Migrator
	conn dialects.Conn
	p    *dialects.SchemaPlan
	step *dialects.SchemaStep
	fill func(*Record) // completes the record of the history
	// backward: the step is one of Unguard or DropColumn.
	backward bool

	began, looked time.Time
	attempts      int
	timed         int // attempts that waited
	blockers      []dialects.SchemaBlocker
	why           string
	saved         map[string]string // settings of the connection, by their query
	took          time.Duration
}

// run returns whether this migrator did the step, or found it done.
func (l *locker) run(ctx context.Context) (done EventState, err error) {
	l.began, l.saved = l.m.o.Now(), map[string]string{}
	l.looked = l.began
	defer func() {
		if restoreErr := l.restore(ctx); restoreErr != nil {
			err = errors.Join(err, fmt.Errorf("%w: %w", errDirty, restoreErr))
		}
	}()
	var last error
	for {
		if err := ctx.Err(); err != nil {
			return "", context.Cause(ctx)
		}
		a, err := l.m.changer.SchemaAttempt(l.p, l.step, l.patience())
		if err != nil {
			return "", err
		}
		if l.worthIt(ctx, a) {
			l.attempts++
			done, err = l.attempt(ctx, a)
			if err == nil || !l.again(err) {
				return done, err
			}
			last = err
		}
		if waited := l.waited(); waited >= l.m.o.MaxWait {
			l.look(ctx)
			return "", &LockedError{
				Table: l.p.Table.Name, Step: l.step.ID, Waited: waited, Attempts: l.attempts, Blockers: l.blockers, Why: l.why, Last: last,
			}
		}
		l.report(ctx, last)
		if err := l.m.o.Sleep(ctx, l.rest(a)); err != nil {
			return "", err
		}
	}
}

func (l *locker) waited() time.Duration { return l.m.o.Now().Sub(l.began) }

// patience is how long the next attempt may wait.
func (l *locker) patience() time.Duration {
	if yields := l.yields(); yields > 0 {
		return yields + slack
	}
	if l.waited() < l.m.o.NowaitFor {
		return 0
	}
	return min(50*time.Millisecond<<min(l.timed, 8), longestWait)
}

// yields is after how long the blockers give way, if all of them do. An
// autovacuum is told to stop only when somebody has waited for it for
// deadlock_timeout, so that attempts which wait for less starve.
func (l *locker) yields() time.Duration {
	var longest int64
	for _, b := range l.blockers {
		if b.Yields == 0 {
			return 0
		}
		longest = max(longest, b.Yields)
	}
	return time.Duration(longest) * time.Millisecond
}

// worthIt tells whether to make an attempt that keeps others waiting: not while
// a transaction is known to be in the way that will not end for it.
func (l *locker) worthIt(ctx context.Context, a dialects.SchemaAttempt) bool {
	if a.Wait <= longestWait || l.yields() > 0 {
		return true
	}
	l.look(ctx)
	return len(l.blockers) == 0 || l.waited() >= l.m.o.NowaitFor
}

// rest is the pause after an attempt, jittered so that migrators do not meet.
func (l *locker) rest(a dialects.SchemaAttempt) time.Duration {
	jitter := l.m.o.Rand()
	if a.Wait == 0 {
		return pollEvery + time.Duration(jitter*float64(pollEvery)/2)
	}
	l.timed++
	longest := min(500*time.Millisecond<<min(l.timed, 4), 8*time.Second)
	return longest/2 + time.Duration(jitter*float64(longest)/2)
}

func (l *locker) again(err error) bool {
	if errors.Is(err, errMutex) {
		return true
	}
	switch l.m.dialect.Classify(err) {
	case dialects.Busy, dialects.Conflict, dialects.Replan:
		return true
	}
	return false
}

// report looks who is in the way, and tells, once in a while.
func (l *locker) report(ctx context.Context, last error) {
	if l.m.o.Now().Sub(l.looked) < lookEvery && !(l.attempts == 3 && l.timed == 0) {
		return
	}
	l.look(ctx)
	if len(l.blockers) == 0 && last != nil {
		l.why = last.Error()
	}
	l.m.tell(Event{
		Table: l.p.Table.Name, Step: l.step.ID, State: Waiting, Attempt: l.attempts, Waited: l.waited(), Blockers: l.blockers, Why: l.why,
	})
}

// look asks who is in the way. That it fails is no reason to stop: it takes
// privileges that migrating does not.
func (l *locker) look(ctx context.Context) {
	l.looked, l.blockers, l.why = l.m.o.Now(), nil, ""
	var err error
	if l.blockers, err = l.m.blockers(ctx, l.conn, l.p); err != nil {
		l.why = "it cannot be seen who is in the way: " + err.Error()
	}
}

// attempt tries once. A step that changes the catalog alone is not interrupted
// by the end of ctx: it is over in a moment, and then it is known what happened.
func (l *locker) attempt(ctx context.Context, a dialects.SchemaAttempt) (done EventState, err error) {
	if l.step.Work == dialects.WorkInstant {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), a.Wait+grace)
		defer cancel()
	}
	if err := l.settle(ctx, a.Settings); err != nil {
		return "", err
	}
	if a.Begin != "" {
		if err := l.conn.Begin(ctx, a.Begin); err != nil {
			return "", err
		}
		defer func() {
			if err != nil || done != Done {
				err = errors.Join(err, l.rollback(ctx))
			}
		}()
	}
	if a.Mutex != "" {
		got, err := text(ctx, l.conn, a.Mutex)
		if err != nil {
			return "", err
		}
		if got != "1" {
			return "", errMutex
		}
	}
	if a.Release != "" {
		defer func() {
			if _, releaseErr := text(context.WithoutCancel(ctx), l.conn, a.Release); releaseErr != nil {
				err = errors.Join(err, fmt.Errorf("%w: %w", errDirty, releaseErr))
			}
		}()
	}
	if done, err = l.inside(ctx, a); err != nil || done != Done || a.Begin == "" {
		return done, err
	}
	return Done, l.conn.Commit(ctx)
}

// inside takes the lock, looks again, and runs the statements.
func (l *locker) inside(ctx context.Context, a dialects.SchemaAttempt) (EventState, error) {
	for _, statement := range a.Lock {
		if _, err := l.conn.Exec(ctx, statement, nil); err != nil {
			return "", err
		}
	}
	there, err := l.there(ctx)
	if err != nil {
		return "", err
	}
	if there {
		return Elsewhere, nil
	}
	if a.Begin == "" {
		if err := l.record(ctx, "started"); err != nil {
			return "", err
		}
	}
	began := l.m.o.Now()
	for _, statement := range l.step.SQL {
		if _, err := l.conn.Exec(ctx, statement, nil); err != nil {
			return "", err
		}
	}
	l.took = l.m.o.Now().Sub(began)
	return Done, l.record(ctx, "done")
}

// there tells whether another migrator has done the step meanwhile.
func (l *locker) there(ctx context.Context) (bool, error) {
	now, _, err := l.m.catalog(ctx, l.conn, l.p.Table)
	if err != nil {
		return false, err
	}
	if now, err = l.m.withHistory(now); err != nil {
		return false, err
	}
	steps := now.Steps
	if l.backward {
		steps = append(now.Unguard, now.DropColumn...)
	}
	for _, s := range steps {
		if s.ID == l.step.ID {
			return s.Done, nil
		}
	}
	// What is not listed is not needed any more.
	return true, nil
}

func (l *locker) record(ctx context.Context, status string) error {
	return l.m.record(ctx, l.conn, l.p, l.step, status, func(r *Record) {
		r.Attempts, r.WaitedMS, r.DurationMS = int64(l.attempts), l.waited().Milliseconds(), l.took.Milliseconds()
		if l.fill != nil {
			l.fill(r)
		}
	})
}

func (l *locker) rollback(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := l.conn.Rollback(ctx); err != nil {
		return fmt.Errorf("%w: %w", errDirty, err)
	}
	return nil
}
