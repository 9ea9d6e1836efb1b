package occ_test

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

// diary notes events as "kind attempt reason: error".
type diary []string

func (d *diary) Observe(_ context.Context, e observe.Event) {
	line := fmt.Sprintf("%s %s[%v] %s %d", e.Op, e.Table, e.Key, e.Kind, e.Attempt)
	if e.Reason != "" {
		line += " " + e.Reason
	}
	if e.Err != nil {
		line += "!"
	}
	*d = append(*d, line)
}

func TestEvents(t *testing.T) {
	t.Parallel()
	touch := func(ctx context.Context, r *rig) error {
		_, err := r.accounts.Mutate(ctx, 42, func(*Account) error { return nil })
		return err
	}
	update := func(ctx context.Context, r *rig) error {
		return r.accounts.Update(ctx, &Account{ID: 42, Owner: "Ada", Version: 1})
	}
	for name, c := range map[string]struct {
		run     func(ctx context.Context, r *rig) error
		mishaps func(r *rig) []*mishap
		want    diary
	}{
		"two conflicts, then success": {touch, func(r *rig) []*mishap { return []*mishap{r.outrun(t, 2)} }, diary{
			"mutate accounts[42] attempt 1!", "mutate accounts[42] conflict 1 stale version!", "mutate accounts[42] retry 2!",
			"mutate accounts[42] attempt 2!", "mutate accounts[42] conflict 2 stale version!", "mutate accounts[42] retry 3!",
			"mutate accounts[42] attempt 3",
		}},
		"the server's conflict": {update, func(*rig) []*mishap { return []*mishap{{at: "update", nth: 1, before: errSerial}} }, diary{
			"update accounts[42] attempt 1!", "update accounts[42] conflict 1 server!", "update accounts[42] retry 2!",
			"update accounts[42] attempt 2",
		}},
		"exhausted": {touch, func(r *rig) []*mishap { return []*mishap{r.outrun(t, 9), {at: "conn", nth: 6, before: errRejected}} }, diary{
			"mutate accounts[42] attempt 1!", "mutate accounts[42] conflict 1 stale version!", "mutate accounts[42] retry 2!",
			"mutate accounts[42] attempt 2!", "mutate accounts[42] conflict 2 stale version!", "mutate accounts[42] retry 3!",
			"mutate accounts[42] attempt 3!",
		}},
		"ambiguous": {update, func(*rig) []*mishap { return []*mishap{{at: "update", after: errLost}} }, diary{
			"update accounts[42] attempt 1!", "update accounts[42] ambiguous 1!",
		}},
		"down": {update, func(*rig) []*mishap { return []*mishap{{at: "conn", before: errDown}} }, diary{
			"update accounts[42] attempt 1!", "update accounts[42] retry 2!", "update accounts[42] attempt 2!", "update accounts[42] retry 3!",
			"update accounts[42] attempt 3!", "update accounts[42] exhausted 3 server unavailable!",
		}},
		"stale": {func(ctx context.Context, r *rig) error {
			return r.accounts.Delete(ctx, &Account{ID: 42, Version: 9})
		}, nil, diary{"delete accounts[42] attempt 1!", "delete accounts[42] conflict 1 stale version!"}},
		"overwrite": {func(ctx context.Context, r *rig) error {
			return r.accounts.Overwrite(ctx, &Account{ID: 42, Owner: "Eve"}, "restore from backup")
		}, nil, diary{"overwrite accounts[42] attempt 1", "overwrite accounts[42] overwrite 1 restore from backup"}},
		"overwrite of nothing": {func(ctx context.Context, r *rig) error {
			return r.accounts.Overwrite(ctx, &Account{ID: 7}, "restore from backup")
		}, nil, diary{"overwrite accounts[7] attempt 1!"}},
		"joined overwrite": {func(ctx context.Context, r *rig) error {
			in, _ := r.joined(t)
			return in.Overwrite(ctx, &Account{ID: 42, Owner: "Eve"}, "restore from backup")
		}, nil, diary{"overwrite accounts[42] overwrite 1 restore from backup"}},
		"joined conflict": {func(ctx context.Context, r *rig) error {
			in, _ := r.joined(t)
			return in.Touch(ctx, &Account{ID: 42, Version: 9})
		}, nil, diary{"touch accounts[42] attempt 1!", "touch accounts[42] conflict 1 stale version!"}},
		"insert": {func(ctx context.Context, r *rig) error {
			return r.accounts.Insert(ctx, &Account{ID: 42, Owner: "Ada"})
		}, nil, diary{"insert accounts[42] attempt 1!"}},
		"own loop": {func(ctx context.Context, r *rig) error {
			return r.db.Retry(ctx, func(ctx context.Context) error { return update(ctx, r) })
		}, func(*rig) []*mishap { return []*mishap{{at: "update", nth: 1, before: errLost}} }, diary{
			"update accounts[42] attempt 1!", "update accounts[42] ambiguous 1!", "retry [<nil>] attempt 1!", "retry [<nil>] ambiguous 1!",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got diary
			r := newRig(t, rigSetup{opts: occ.Options{Observer: &got}})
			if c.mishaps != nil {
				r.plan(c.mishaps(r)...)
			}
			_ = c.run(t.Context(), r)
			require.Equal(t, c.want, got)
		})
	}
}

// When no attempt is left, that is the last event, with the whole operation's
// error.
func TestEventsExhausted(t *testing.T) {
	t.Parallel()
	var last observe.Event
	r := newRig(t, rigSetup{opts: occ.Options{Observer: observe.Func(func(_ context.Context, e observe.Event) { last = e })}})
	r.plan(r.outrun(t, 8))
	_, err := r.accounts.Mutate(t.Context(), 42, func(*Account) error { return nil })
	require.Equal(t, observe.Exhausted, last.Kind)
	require.Equal(t, 8, last.Attempt)
	require.Equal(t, "attempt limit", last.Reason)
	require.Equal(t, err, last.Err)
}

// still is a transport that answers every read with one account and every write
// with one row, and allocates next to nothing.
type still struct{ rows stillRows }

type stillRows struct{ left, columns int }

func (s *still) Conn(context.Context) (dialects.Conn, error) { return s, nil }

func (s *still) Query(_ context.Context, text string, _ []any) (dialects.Rows, error) {
	s.rows = stillRows{left: 1, columns: len(text)}
	return &s.rows, nil
}

func (*still) Exec(context.Context, string, []any) (dialects.Result, error) {
	return dialects.Result{RowsAffected: 1}, nil
}
func (*still) Begin(context.Context, string) error { return nil }
func (*still) Commit(context.Context) error        { return nil }
func (*still) Rollback(context.Context) error      { return nil }
func (*still) Release(bool)                        {}

func (r *stillRows) Next() bool { r.left--; return r.left >= 0 }
func (*stillRows) Scan(...any) error {
	return nil
}
func (*stillRows) Err() error { return nil }
func (*stillRows) Close()     {}

// An observer that does nothing costs allocations, a nil one costs none of them.
// The race detector makes pools forget at random, so means of many runs count.
func TestNilObserverCostsNothing(t *testing.T) { //nolint:paralleltest // it counts the allocations of the whole process
	const runs, tolerance = 40_000, 0.25
	cost := func(o observe.Observer) float64 {
		db := occ.New(&still{}, wordy(), &occ.Options{Observer: o})
		repo := newRepo[Account, int64](t, db, "accounts", nil)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range runs {
			if _, err := repo.Mutate(context.Background(), 4242, func(*Account) error { return nil }); err != nil {
				t.Error(err)
			}
		}
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs-before.Mallocs) / runs
	}
	cost(nil) // the first one compiles and fills what is kept
	none, noop := cost(nil), cost(observe.Func(func(context.Context, observe.Event) {}))
	require.Greater(t, noop, none+1-tolerance)
	require.InDelta(t, none, cost(observe.Multi(nil, nil)), tolerance, "an empty Multi is nil")
	t.Logf("allocations per Mutate: %.2f without an observer, %.2f with one", none, noop)
}
