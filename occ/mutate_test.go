package occ_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/retry"
)

// outrun makes another writer win just before each of the first n updates.
func (r *rig) outrun(t testing.TB, n int) *mishap {
	return &mishap{at: "update", hook: func(context.Context) {
		if n--; n >= 0 {
			r.overtake(t, 42)
		}
	}}
}

func TestMutateRepeatsOnConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.plan(r.outrun(t, 2))
	var seen []int64
	row, err := r.accounts.Mutate(t.Context(), 42, func(a *Account) error {
		seen = append(seen, a.Balance)
		a.Balance++
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []int64{100, 1100, 2100}, seen, "a fresh read each time")
	require.Equal(t, Account{ID: 42, Owner: "Ada", Balance: 2101, Version: 4}, row)
	require.Equal(t, row, r.stored(t, 42))
}

func TestMutateErrorOfClosure(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	for _, mine := range []error{
		errors.New("no funds"), occ.ErrConflict, occ.ErrExhausted, context.Canceled,
		&occ.OpError{Kind: occ.ErrConflict}, errSerial, errLost,
	} {
		r.plan()
		row, err := r.accounts.Mutate(t.Context(), 42, func(a *Account) error {
			a.Balance = 0
			return mine
		})
		require.True(t, err == mine, "%v came back as %v", mine, err) //nolint:errorlint // identity is promised
		require.Zero(t, row)
		require.Equal(t, "conn select release", r.trace())
	}
	require.Equal(t, Account{ID: 42, Owner: "Ada", Balance: 100, Version: 1}, r.stored(t, 42))
}

func TestMutatePanicOfClosure(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{conns: 1})
	boom := errors.New("boom")
	require.PanicsWithValue(t, boom, func() {
		_, _ = r.accounts.Mutate(t.Context(), 42, func(*Account) error { panic(boom) })
	})
	require.Equal(t, "conn select release", r.trace())
	_, err := r.accounts.Get(t.Context(), 42)
	require.NoError(t, err)
}

func TestMutateChangedKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "INSERT INTO accounts VALUES (43, 'Bob', 0, 1)")
	_, err := r.accounts.Mutate(t.Context(), 42, func(a *Account) error { a.ID = 43; return nil })
	requireKind(t, err, occ.ErrUsage)
	require.EqualError(t, err, "occ: mutate accounts[42]: wrong use: the key was changed to 43")
	require.Equal(t, Account{ID: 43, Owner: "Bob", Version: 1}, r.stored(t, 43))
}

func TestMutateChangedVersion(t *testing.T) {
	t.Parallel()
	for _, version := range []int64{0, 2, 99, -1, math.MaxInt64} {
		r := newRig(t, rigSetup{})
		row, err := r.accounts.Mutate(t.Context(), 42, func(a *Account) error { a.Version = version; return nil })
		require.NoError(t, err)
		require.EqualValues(t, 2, row.Version)
		require.Equal(t, row, r.stored(t, 42))
	}
}

// No connection is held while the caller's code runs.
func TestPoolOfOne(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{conns: 1})
	r.exec(t, "INSERT INTO accounts VALUES (43, 'Bob', 0, 1)")
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // instead of hanging
	defer cancel()
	_, err := r.accounts.Mutate(ctx, 42, func(a *Account) error {
		bob, err := r.accounts.Mutate(ctx, 43, func(b *Account) error { b.Balance += 10; return nil })
		a.Balance -= bob.Balance
		return err
	})
	require.NoError(t, err)
	for row, err := range r.accounts.Find(ctx, "WHERE balance > ? ORDER BY id", 0) {
		require.NoError(t, err)
		row.Balance *= 2
		require.NoError(t, r.accounts.Update(ctx, &row))
	}
	require.EqualValues(t, 180, r.stored(t, 42).Balance)
	require.EqualValues(t, 20, r.stored(t, 43).Balance)
	for range r.accounts.Find(ctx, "") { //nolint:errcheck // the loop is what is tested
		break
	}
}

func TestMutateSuppressed(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TRIGGER no BEFORE UPDATE ON accounts BEGIN SELECT RAISE(IGNORE); END")
	runs := 0
	_, err := r.accounts.Mutate(t.Context(), 42, func(*Account) error { runs++; return nil })
	requireKind(t, err, occ.ErrSuppressed)
	require.Equal(t, 2, runs, "once more to find out, and never again")
}

func TestMutateNotFound(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	_, err := r.accounts.Mutate(t.Context(), 7, func(*Account) error { panic("there is no row") })
	require.ErrorIs(t, err, occ.ErrNotFound)
	require.EqualError(t, err, "occ: mutate accounts[7]: no such row")

	r.plan(&mishap{at: "update", hook: func(context.Context) { r.exec(t, "DELETE FROM accounts") }})
	_, err = r.accounts.Mutate(t.Context(), 42, func(*Account) error { return nil })
	require.ErrorIs(t, err, occ.ErrNotFound)
}

func TestMutateExhausted(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]*occ.RepositoryOptions{"one statement": nil, "read back": readBack} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{repo: opts})
			at := "update"
			if opts != nil {
				at = "begin"
			}
			m := r.outrun(t, 8)
			m.at = at
			r.plan(m)
			row, err := r.accounts.Mutate(t.Context(), 42, func(*Account) error { return nil })
			require.Zero(t, row)
			require.ErrorIs(t, err, occ.ErrExhausted)
			require.ErrorIs(t, err, occ.ErrConflict)
			var exhausted *retry.ExhaustedError
			require.ErrorAs(t, err, &exhausted)
			require.Equal(t, 8, exhausted.Attempts)
			var conflict *occ.Conflict[Account]
			require.ErrorAs(t, err, &conflict)
			require.Equal(t, int64(8), conflict.Expected)
			require.Equal(t, int64(9), conflict.Actual)
			require.Equal(t, r.stored(t, 42), *conflict.Current)
			require.Regexp(t, `^gave up after 8 attempts in \S+: occ: mutate accounts\[42\]: version 8 is stale, row is at 9$`, err.Error())
		})
	}
}

// A deadline that ends a wait hides neither the conflict nor itself.
func TestMutateDeadlineInWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, rigSetup{opts: occ.Options{Retry: &retry.Policy{NewBackOff: retry.Exponential(time.Second, time.Minute)}}})
		r.plan(r.outrun(t, 100))
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := r.accounts.Mutate(ctx, 42, func(*Account) error { return nil })
		require.ErrorIs(t, err, occ.ErrExhausted)
		require.ErrorIs(t, err, occ.ErrConflict)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Equal(t, 7*time.Second, time.Since(start), "waits of 0, 1, 2 and 4 s; 8 s more would be too long")
	})
}

// A context that has ended ends everything, before anything is written.
func TestCanceledContext(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("shutting down"))
	before := r.stored(t, 42)
	for _, op := range phaseOps {
		row := before
		err := op.run(ctx, r, &row)
		require.ErrorIs(t, err, context.Canceled, op.name)
	}
	for _, err := range r.accounts.Find(ctx, "") {
		require.ErrorIs(t, err, context.Canceled)
	}
	_, err := r.accounts.GetMany(ctx, []int64{42})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, before, r.stored(t, 42))
}
