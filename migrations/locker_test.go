package migrations_test

import (
	"context"
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/migrations"
)

// locked is a server of PostgreSQL on which a lock is never to be had, and a
// clock that the sleeps of the migrator move.
type locked struct {
	blockers [][]any
	yields   bool // the lock is had by who waits for it for a second
	now      time.Time
	pauses   []time.Duration
	locks    []lockTry
	timeout  string
	nowait   bool
	column   bool
	open     int // transactions
}

type lockTry struct {
	at      time.Duration
	timeout time.Duration // 0: NOWAIT
}

func (l *locked) options() *migrations.Options {
	start := l.now
	_ = start
	return &migrations.Options{
		NoHistory: true,
		Now:       func() time.Time { return l.now },
		Rand:      func() float64 { return 0.5 },
		Sleep: func(_ context.Context, d time.Duration) error {
			l.pauses = append(l.pauses, d)
			l.now = l.now.Add(d)
			return nil
		},
	}
}

func (l *locked) Conn(context.Context) (dialects.Conn, error) { return l, nil }
func (l *locked) Release(bool)                                {}
func (l *locked) Begin(context.Context, string) error         { l.open++; return nil }
func (l *locked) Commit(context.Context) error                { l.open--; return nil }
func (l *locked) Rollback(context.Context) error              { l.open--; return nil }

func (l *locked) Query(_ context.Context, text string, _ []any) (dialects.Rows, error) {
	switch {
	case strings.HasPrefix(text, "WITH c AS"):
		facts := [][]any{
			{"server", "15.18", "150018"},
			{"target", "", "test"},
			{"table", "accounts", "public"},
			{"relkind", "r", "p"},
			{"key", "id", "bigint"},
			{"rows", "", "100"},
			{"deadlock", "", "1000"},
		}
		if l.column {
			facts = append(facts, []any{"column", "bigint", "not null"}, []any{"default", "", "1"})
		}
		return &canned{rows: facts}, nil
	case strings.HasPrefix(text, "SELECT a.pid"):
		return &canned{rows: l.blockers}, nil
	default: // the mutex
		return &canned{rows: [][]any{{"1"}}}, nil
	}
}

var timeoutOf = regexp.MustCompile(`lock_timeout = '(\d+ms)'`)

func (l *locked) Exec(_ context.Context, text string, _ []any) (dialects.Result, error) {
	if m := timeoutOf.FindStringSubmatch(text); m != nil {
		l.timeout = m[1]
	}
	if strings.HasPrefix(text, "ALTER TABLE") {
		l.column = true
	}
	if !strings.HasPrefix(text, "LOCK TABLE") {
		return dialects.Result{}, nil
	}
	try := lockTry{at: l.now.Sub(time.Unix(0, 0))}
	if !strings.HasSuffix(text, "NOWAIT") {
		try.timeout, _ = time.ParseDuration(l.timeout)
		l.now = l.now.Add(try.timeout)
	}
	l.locks = append(l.locks, try)
	if l.yields && try.timeout > time.Second {
		return dialects.Result{}, nil
	}
	return dialects.Result{}, &pgconn.PgError{Code: "55P03", Message: "lock not available"}
}

// canned are rows of texts and numbers.
type canned struct {
	rows [][]any
	at   int
}

func (c *canned) Next() bool { c.at++; return c.at <= len(c.rows) }
func (c *canned) Err() error { return nil }
func (c *canned) Close()     {}
func (c *canned) Scan(dest ...any) error {
	for i, v := range c.rows[c.at-1] {
		switch d := dest[i].(type) {
		case *string:
			*d = v.(string)
		case *int64:
			*d = v.(int64)
		default:
			return errors.New("unexpected destination")
		}
	}
	return nil
}

func TestLockerNeverKeepsOthersWaiting(t *testing.T) {
	t.Parallel()
	l := &locked{now: time.Unix(0, 0), blockers: [][]any{
		{"4711", "app=worker", "idle in transaction", "AccessShareLock", int64(252), int64(0), "SELECT pg_terminate_backend(4711)"},
	}}
	m, err := migrations.New(l, postgres.New(), l.options())
	require.NoError(t, err)
	none := freshTable
	none.Guard = dialects.GuardNone
	_, err = m.Apply(t.Context(), []migrations.Table{none})
	require.ErrorIs(t, err, migrations.ErrLocked)
	var lock *migrations.LockedError
	require.ErrorAs(t, err, &lock)
	require.Equal(t, "add-column", lock.Step)
	require.Equal(t, len(l.locks), lock.Attempts)
	require.ErrorContains(t, err, "session 4711 app=worker (idle in transaction) for 4m12s holds AccessShareLock; to end it: SELECT pg_terminate_backend(4711)")
	require.Zero(t, l.open, "no transaction is left open")

	var waits []time.Duration
	for _, try := range l.locks {
		if try.at < 30*time.Second {
			require.Zero(t, try.timeout, "at first no attempt waits")
		} else {
			waits = append(waits, try.timeout)
		}
	}
	require.Greater(t, len(l.locks)-len(waits), 500, "and attempts are many")
	require.Equal(t, []time.Duration{50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 200 * time.Millisecond}, waits[:4])
	for _, w := range waits {
		require.LessOrEqual(t, w, 200*time.Millisecond, "no attempt keeps others waiting for longer")
	}
	require.InDelta(t, 10*time.Minute.Seconds(), lock.Waited.Seconds(), 10, "and it ends")
	require.Less(t, len(waits), 150, "rests grow")
}

// An autovacuum gives way only to who waits for it for deadlock_timeout.
func TestLockerRecognisesAutovacuum(t *testing.T) {
	t.Parallel()
	vacuum := []any{"77", "", "autovacuum worker: VACUUM public.accounts", "ShareUpdateExclusiveLock", int64(9), int64(1000), ""}
	none := freshTable
	none.Guard = dialects.GuardNone

	l := &locked{now: time.Unix(0, 0), yields: true, blockers: [][]any{vacuum}}
	m, err := migrations.New(l, postgres.New(), l.options())
	require.NoError(t, err)
	_, err = m.Apply(t.Context(), []migrations.Table{none})
	require.NoError(t, err)
	last := l.locks[len(l.locks)-1]
	require.Equal(t, 1200*time.Millisecond, last.timeout)
	require.Less(t, last.at, 2*time.Second)

	// With anybody else in the way, waiting for it would not help.
	l = &locked{now: time.Unix(0, 0), yields: true, blockers: [][]any{
		vacuum, {"5", "", "active", "RowExclusiveLock", int64(3), int64(0), ""},
	}}
	m, err = migrations.New(l, postgres.New(), l.options())
	require.NoError(t, err)
	_, err = m.Apply(t.Context(), []migrations.Table{none})
	require.ErrorIs(t, err, migrations.ErrLocked)
	for _, try := range l.locks {
		require.LessOrEqual(t, try.timeout, 200*time.Millisecond)
	}
}

func TestLockerEndsWithTheContext(t *testing.T) {
	t.Parallel()
	l := &locked{now: time.Unix(0, 0)}
	o := l.options()
	ctx, cancel := context.WithCancel(t.Context())
	o.Sleep = func(ctx context.Context, d time.Duration) error {
		l.now = l.now.Add(d)
		if len(l.locks) == 7 {
			cancel()
		}
		return ctx.Err()
	}
	m, err := migrations.New(l, postgres.New(), o)
	require.NoError(t, err)
	_, err = m.Apply(ctx, []migrations.Table{freshTable})
	require.ErrorIs(t, err, context.Canceled)
	require.Len(t, l.locks, 7)
	require.Zero(t, l.open)
}

// A transaction that is idle keeps the lock: apply says who it is, goes on when
// it ends, and nobody who writes meanwhile has to wait for apply.
func TestBlockerIsNamed(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		if r.engine.name == "sqlite" {
			r.Skip("SQLite does not tell who writes")
		}
		r.fresh(3)
		blocker, err := r.db.BeginTx(r.Context(), nil)
		require.NoError(r, err)
		_, err = blocker.ExecContext(r.Context(), "UPDATE accounts SET n = 1 WHERE id = 1")
		require.NoError(r, err)
		var named []dialects.SchemaBlocker
		m := r.migrator(&migrations.Options{Progress: func(e migrations.Event) {
			if e.State == migrations.Waiting && len(e.Blockers) > 0 && named == nil {
				named = e.Blockers
				// Others go on as if nothing was.
				began := time.Now()
				r.exec("UPDATE accounts SET n = 2 WHERE id = 2")
				require.Less(r, time.Since(began), 500*time.Millisecond)
				require.NoError(r, blocker.Commit())
			}
		}})
		done, err := m.Apply(r.Context(), []migrations.Table{freshTable})
		require.NoError(r, err)
		require.NotEmpty(r, named)
		require.NotEmpty(r, named[0].ID)
		require.NotEmpty(r, named[0].End)
		require.Positive(r, done[0].Waited)
		r.verified(freshTable)
	})
}

func TestLockThatIsNotHad(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(3)
		blocker, err := r.db.Conn(r.Context())
		require.NoError(r, err)
		defer func() { _ = blocker.Close() }()
		begin := "BEGIN"
		if r.engine.name == "sqlite" {
			begin = "BEGIN IMMEDIATE"
		}
		for _, s := range []string{begin, "UPDATE accounts SET n = 1 WHERE id = 1"} {
			_, err = blocker.ExecContext(r.Context(), s)
			require.NoError(r, err)
		}
		o := &migrations.Options{MaxWait: 300 * time.Millisecond, NowaitFor: 100 * time.Millisecond, NoHistory: true}
		_, err = r.migrator(o).Apply(r.Context(), []migrations.Table{freshTable})
		require.ErrorIs(r, err, migrations.ErrLocked)
		_, err = blocker.ExecContext(r.Context(), "ROLLBACK")
		require.NoError(r, err)
		r.apply(freshTable)
		r.verified(freshTable)
	})
}

// The trigger's lock is not waited for either.
func TestTriggerLockThatIsNotHad(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		none := freshTable
		none.Guard = dialects.GuardNone
		r.fresh(1)
		r.apply(none)
		tx, err := r.db.BeginTx(r.Context(), nil)
		require.NoError(r, err)
		defer func() { _ = tx.Rollback() }()
		_, err = tx.ExecContext(r.Context(), "UPDATE accounts SET n = 1")
		require.NoError(r, err)
		_, err = r.migrator(&migrations.Options{MaxWait: time.Nanosecond}).Apply(r.Context(), []migrations.Table{freshTable})
		var locked *migrations.LockedError
		require.ErrorAs(r, err, &locked)
		require.Contains(r, []string{"function", "trigger", "trigger-guard"}, locked.Step)
		require.Equal(r, 1, locked.Attempts)
	})
}
