package hotkey_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/hotkey"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// scripted is a transport that calls do before each statement.
type scripted struct {
	dialects.DB
	do func(text string) error
}

func (s scripted) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := s.DB.Conn(ctx)
	return scriptedConn{c, s.do}, err
}

type scriptedConn struct {
	dialects.Conn
	do func(text string) error
}

func (c scriptedConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	if err := c.do(text); err != nil {
		return nil, err
	}
	return c.Conn.Query(ctx, text, args)
}

func (c scriptedConn) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	if err := c.do(text); err != nil {
		return dialects.Result{}, err
	}
	return c.Conn.Exec(ctx, text, args)
}

// scriptedRig is a rig whose statements pass through do once it is set.
func scriptedRig(t *testing.T, opts occ.Options) (*rig, *atomic.Pointer[func(string) error]) {
	t.Helper()
	do := new(atomic.Pointer[func(string) error])
	r := newRig(t, "sqlite", opts, func(db dialects.DB) dialects.DB {
		return scripted{db, func(text string) error {
			if f := do.Load(); f != nil {
				return (*f)(text)
			}
			return nil
		}}
	})
	r.add(t, 1, 2)
	return r, do
}

// What other people's code does in the queue's goroutines happens to the caller: a
// panic of a driver or of a type's Scan does not end the process.
func TestPanicOfTheDriverReachesTheCaller(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"SELECT", "UPDATE"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			r, do := scriptedRig(t, occ.Options{Contention: hotkey.Policy{Mode: hotkey.Combine}})
			boom := errors.New("boom")
			panics := func(text string) error {
				if text[:6] == at {
					panic(boom)
				}
				return nil
			}
			do.Store(&panics)
			require.PanicsWithValue(t, boom, func() { _, _ = r.Mutate(t.Context(), 1, plus(1)) })
			do.Store(nil)
			row, err := r.Mutate(t.Context(), 1, plus(1))
			require.NoError(t, err, "the queue goes on")
			require.EqualValues(t, 1, row.N)
			require.Zero(t, r.inUse())
		})
	}
}

// The end of attempts ends the operations that wait for the row to be read.
func TestUnreadableRowEndsOperations(t *testing.T) {
	t.Parallel()
	r, do := scriptedRig(t, occ.Options{
		Contention: hotkey.Policy{Mode: hotkey.Combine},
		Retry:      &retry.Policy{MaxAttempts: 1},
		Breaker:    &retry.Breaker{Off: true},
	})
	down := func(text string) error {
		if text[:6] == "SELECT" {
			return dialects.ErrNotSent
		}
		return nil
	}
	do.Store(&down)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // instead of hanging
	defer cancel()
	_, err := r.Mutate(ctx, 1, plus(1))
	require.ErrorIs(t, err, occ.ErrUnavailable)
	require.ErrorIs(t, err, occ.ErrExhausted)
	require.NoError(t, ctx.Err())
}

// An error of one attempt is not the error of the next.
func TestErrorsOfEarlierAttemptsAreForgotten(t *testing.T) {
	t.Parallel()
	r := newCombining(t, "sqlite", nil)
	_, err := r.Mutate(t.Context(), 1, plus(0))
	require.NoError(t, err)
	r.exec("DELETE FROM accounts WHERE id = 1") // another process; the row is remembered
	_, err = r.Mutate(t.Context(), 1, func(*account) error { return errRefused })
	require.ErrorIs(t, err, occ.ErrNotFound)
	require.NotErrorIs(t, err, errRefused)
}

// Exhausted attempts tell what the row is.
func TestExhaustedConflictHoldsTheRow(t *testing.T) {
	t.Parallel()
	r, _ := scriptedRig(t, occ.Options{Contention: hotkey.Policy{Mode: hotkey.Combine}, Retry: &retry.Policy{MaxAttempts: 1}})
	_, err := r.Mutate(t.Context(), 1, plus(0))
	require.NoError(t, err)
	r.exec("UPDATE accounts SET n = 5, version = version + 1 WHERE id = 1")
	_, err = r.Mutate(t.Context(), 1, plus(1))
	require.ErrorIs(t, err, occ.ErrExhausted)
	var conflict *occ.Conflict[account]
	require.ErrorAs(t, err, &conflict)
	require.EqualValues(t, 2, conflict.Expected)
	require.EqualValues(t, 3, conflict.Actual)
	require.EqualValues(t, 5, conflict.Current.N)
}

// A function that panicked did not succeed, and the observer is not told so.
func TestPanicIsNoSuccessToTheObserver(t *testing.T) {
	t.Parallel()
	var events []observe.Kind
	r, _ := scriptedRig(t, occ.Options{
		Contention: hotkey.Policy{Mode: hotkey.Combine},
		Observer: observe.Func(func(_ context.Context, e observe.Event) {
			if e.Op == "mutate" {
				events = append(events, e.Kind)
			}
		}),
	})
	require.Panics(t, func() { _, _ = r.Mutate(t.Context(), 1, func(*account) error { panic("boom") }) })
	require.Equal(t, []observe.Kind{observe.Queued}, events)
}

// In the round that holds the row's lock, a function that needs a second connection
// of a pool that has one gets an error, and does not hang.
func TestNestedUseUnderTheLock(t *testing.T) {
	t.Parallel()
	pool := dbtest.Open(t, "sqlite", dbtest.SQLite(t))
	pool.SetMaxOpenConns(1)
	_, err := pool.Exec("CREATE TABLE accounts (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, log TEXT NOT NULL, tags TEXT NOT NULL, version BIGINT NOT NULL)")
	require.NoError(t, err)
	db := occ.New(sqldb.New(pool), sqlite.New(), &occ.Options{
		Contention: hotkey.Policy{Mode: hotkey.Combine}, CommitTimeout: 200 * time.Millisecond,
	})
	repo, err := occ.NewRepository[account, int64](db, "accounts", nil)
	require.NoError(t, err)
	for key := range int64(2) {
		require.NoError(t, repo.Insert(t.Context(), &account{ID: key + 1}))
	}
	_, err = repo.Mutate(t.Context(), 1, plus(0))
	require.NoError(t, err)
	_, err = pool.Exec("UPDATE accounts SET version = version + 1 WHERE id = 1") // the next round locks
	require.NoError(t, err)
	runs := 0
	_, err = repo.Mutate(context.Background(), 1, func(a *account) error {
		if runs++; runs == 1 { // not locked yet
			return nil
		}
		_, err := repo.Mutate(context.Background(), 2, plus(1))
		return err
	})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Equal(t, 2, runs)
}
