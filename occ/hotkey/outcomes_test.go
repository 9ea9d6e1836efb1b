package hotkey_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/hotkey"
	"github.com/occkit/occkit/occ/observe"
)

// together runs functions on one row so that they share a round: the first holds
// the row until all the others wait.
func (r *rig) together(t *testing.T, key int64, changes ...func(a *account) error) []error {
	t.Helper()
	begun, hold := make(chan struct{}), make(chan struct{})
	before := r.queued.Load()
	var first sync.WaitGroup
	first.Go(func() {
		var once sync.Once
		_, err := r.Mutate(t.Context(), key, func(*account) error {
			once.Do(func() { close(begun) })
			<-hold
			return nil
		})
		require.NoError(t, err)
	})
	<-begun
	errs := make([]error, len(changes))
	var all sync.WaitGroup
	for i, change := range changes {
		all.Go(func() { _, errs[i] = r.Mutate(t.Context(), key, change) })
		require.Eventually(t, func() bool { return r.queued.Load() == before+int64(i)+2 }, 10*time.Second, time.Millisecond)
	}
	close(hold)
	all.Wait()
	first.Wait()
	return errs
}

// newCombining returns a rig where every Mutate queues and is counted when it does.
func newCombining(t *testing.T, engine string, wrap func(dialects.DB) dialects.DB) *rig {
	t.Helper()
	queued := new(atomic.Int64)
	r := newRig(t, engine, occ.Options{
		Contention: hotkey.Policy{Mode: hotkey.Combine, MaxHold: time.Minute, MaxQueue: 3},
		Observer: observe.Func(func(_ context.Context, e observe.Event) {
			if e.Kind == observe.Queued {
				queued.Add(1)
			}
		}),
	}, wrap)
	r.queued = queued
	r.add(t, 1, 2)
	return r
}

func plus(n int64) func(a *account) error {
	return func(a *account) error { a.N += n; return nil }
}

// What the database refuses is the fault of one function: the others are written.
func TestRefusedFunctionDoesNotHurtTheOthers(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		r := newCombining(t, engine, nil)
		errs := r.together(t, 1, plus(1), plus(10_000_000), plus(2))
		require.NoError(t, errs[0])
		require.Error(t, errs[1], "the table has a CHECK")
		require.NotErrorIs(t, errs[1], occ.ErrAmbiguous)
		require.NoError(t, errs[2])
		row, err := r.Get(t.Context(), 1)
		require.NoError(t, err)
		require.EqualValues(t, 3, row.N)
		require.EqualValues(t, 4, row.Version)
	})
}

// A function that refuses on a row that is remembered, and stale, is asked again on
// a fresh one.
func TestRefusalsAreValidated(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		r := newCombining(t, engine, nil)
		_, err := r.Mutate(t.Context(), 1, plus(0))
		require.NoError(t, err)
		r.exec("UPDATE accounts SET n = 5, version = version + 1 WHERE id = 1") // another process
		var saw []int64
		row, err := r.Mutate(t.Context(), 1, func(a *account) error {
			if saw = append(saw, a.N); a.N < 5 {
				return errRefused
			}
			a.N++
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, []int64{0, 5}, saw)
		require.EqualValues(t, 6, row.N)
		_, err = r.Mutate(t.Context(), 1, func(*account) error { return errRefused })
		require.ErrorIs(t, err, errRefused)
	})
}

// After a conflict with another process everybody's function runs again, under the
// row's lock.
func TestConflictRunsAllAgain(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		r := newCombining(t, engine, nil)
		_, err := r.Mutate(t.Context(), 1, plus(0))
		require.NoError(t, err)
		r.exec("UPDATE accounts SET n = 100, version = version + 1 WHERE id = 1")
		for _, err := range r.together(t, 1, plus(1), plus(2)) {
			require.NoError(t, err)
		}
		row, err := r.Get(t.Context(), 1)
		require.NoError(t, err)
		require.EqualValues(t, 103, row.N)
		require.EqualValues(t, 6, row.Version)
		require.Positive(t, r.Contention().Locked)
	})
}

func TestNotFoundAndGone(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		r := newCombining(t, engine, nil)
		_, err := r.Mutate(t.Context(), 77, plus(1))
		require.ErrorIs(t, err, occ.ErrNotFound)
		require.EqualError(t, err, "occ: mutate accounts[77]: no such row")
		_, err = r.Mutate(t.Context(), 1, plus(1))
		require.NoError(t, err)
		r.exec("DELETE FROM accounts WHERE id = 1") // while the row is remembered
		_, err = r.Mutate(t.Context(), 1, plus(1))
		require.ErrorIs(t, err, occ.ErrNotFound)
	})
}

// A function that changes the same row by another Mutate would wait for itself.
func TestNestedUse(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		r := newCombining(t, engine, nil)
		_, err := r.Mutate(t.Context(), 1, func(a *account) error {
			_, err := r.Mutate(t.Context(), 1, plus(1))
			return err
		})
		require.ErrorIs(t, err, occ.ErrUsage)
		row, err := r.Mutate(t.Context(), 1, func(a *account) error { // another row is fine
			other, err := r.Mutate(t.Context(), 2, plus(7))
			a.N = other.N
			return err
		})
		require.NoError(t, err)
		require.EqualValues(t, 7, row.N)
	})
}

// losing loses the reply of the next write.
type losing struct {
	dialects.DB
	next *atomic.Bool
}

func (l losing) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := l.DB.Conn(ctx)
	return losingConn{c, l.next}, err
}

type losingConn struct {
	dialects.Conn
	next *atomic.Bool
}

func (c losingConn) lost(text string) bool {
	return text[:6] == "UPDATE" && c.next.CompareAndSwap(true, false)
}

func (c losingConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	rows, err := c.Conn.Query(ctx, text, args)
	if err == nil && c.lost(text) {
		rows.Close()
		return nil, io.ErrUnexpectedEOF
	}
	return rows, err
}

func (c losingConn) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	res, err := c.Conn.Exec(ctx, text, args)
	if err == nil && c.lost(text) {
		return dialects.Result{}, io.ErrUnexpectedEOF
	}
	return res, err
}

// A reply that is lost is unknown to all who shared the write, and nobody's
// function is applied twice.
func TestLostReplyIsUnknownToAll(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		next := new(atomic.Bool)
		r := newCombining(t, engine, func(db dialects.DB) dialects.DB { return losing{db, next} })
		refusals := 0
		errs := r.together(t, 1, func(a *account) error { next.Store(true); a.N++; return nil }, plus(2), func(*account) error { refusals++; return errRefused })
		require.ErrorIs(t, errs[0], occ.ErrAmbiguous)
		require.ErrorIs(t, errs[1], occ.ErrAmbiguous)
		require.ErrorIs(t, errs[2], errRefused, "it was no part of the write")
		require.Equal(t, 2, refusals, "it saw what was perhaps not written, and then what was")
		row, err := r.Mutate(t.Context(), 1, plus(10))
		require.NoError(t, err)
		require.EqualValues(t, 13, row.N, "applied once, as the lost reply would have said")
	})
}

// A caller that leaves takes nobody along, and a full queue says so at once.
func TestCallersLeaveAndOverflow(t *testing.T) {
	t.Parallel()
	r := newCombining(t, "sqlite", nil)
	begun, hold := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_, err := r.Mutate(t.Context(), 1, func(*account) error { close(begun); <-hold; return nil })
		if err != nil {
			t.Error(err)
		}
	})
	<-begun
	ctx, cancel := context.WithCancelCause(t.Context())
	left := make(chan error, 1)
	all.Go(func() {
		_, err := r.Mutate(ctx, 1, func(*account) error { t.Error("it has left"); return nil })
		left <- err
	})
	all.Go(func() {
		if _, err := r.Mutate(t.Context(), 1, plus(1)); err != nil {
			t.Error(err)
		}
	})
	all.Go(func() {
		if _, err := r.Mutate(occ.Urgent(t.Context()), 1, plus(1)); err != nil {
			t.Error(err)
		}
	})
	require.Eventually(t, func() bool { return r.queued.Load() == 4 }, 10*time.Second, time.Millisecond)
	_, err := r.Mutate(t.Context(), 1, plus(0))
	require.ErrorIs(t, err, occ.ErrOverloaded)
	cancel(errors.New("enough"))
	err = <-left
	require.ErrorContains(t, err, "enough")
	close(hold)
	all.Wait()
	row, err := r.Get(t.Context(), 1)
	require.NoError(t, err)
	require.EqualValues(t, 2, row.N)
}

// A row that somebody else has locked leaves the statement that it would share, and
// the other rows do not wait for it.
func TestForeignLockDelaysNoOtherRow(t *testing.T) {
	t.Parallel()
	r := newCombining(t, "postgres", nil)
	r.add(t, 3)
	conn, err := r.link.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Release(false)
	require.NoError(t, conn.Begin(t.Context(), "BEGIN"))
	_, err = conn.Exec(t.Context(), "SELECT FROM accounts WHERE id = 1 FOR UPDATE", nil)
	require.NoError(t, err)

	begun, hold := make(chan struct{}), make(chan struct{})
	ends := map[int64]chan error{1: make(chan error, 1), 2: make(chan error, 1), 3: make(chan error, 1)}
	mutate := func(key int64, change func(*account) error) {
		go func() {
			_, err := r.Mutate(t.Context(), key, change)
			ends[key] <- err
		}()
	}
	before := r.queued.Load()
	mutate(3, func(*account) error { close(begun); <-hold; return nil })
	<-begun
	// Rows 1 and 2 wait for the round to end, unless it is so slow that each gets
	// one of its own: both ways row 2 is not delayed.
	mutate(1, plus(1))
	mutate(2, plus(1))
	require.Eventually(t, func() bool { return r.queued.Load() == before+3 }, 10*time.Second, time.Millisecond)
	close(hold)
	require.NoError(t, <-ends[3])
	require.NoError(t, <-ends[2])
	require.Empty(t, ends[1])
	require.NoError(t, conn.Commit(t.Context()))
	require.NoError(t, <-ends[1])
	row, err := r.Get(t.Context(), 1)
	require.NoError(t, err)
	require.EqualValues(t, 1, row.N)
}
