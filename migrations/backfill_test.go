package migrations_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/migrations"
)

// Four writers that know the version write the rows that are being filled. What
// they count must be what is in the rows: nothing is filled over.
func TestBackfillUnderWriters(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		rows := pick(20_000, 400_000)
		r.legacy(rows)
		// The writers have connections of their own, as other processes would.
		writers := &rig{T: r.T, engine: r.engine, url: r.url, db: dbtest.Open(r, r.driver, r.url)}
		ctx, stop := context.WithCancel(r.Context())
		var all sync.WaitGroup
		var bumps, slowest atomic.Int64
		for w := range 4 {
			all.Go(func() { writers.nullCAS(ctx, rows, w, &bumps, &slowest) })
		}
		// It is stopped in the middle once, and goes on.
		interrupt, cancel := context.WithCancel(r.Context())
		first, err := r.migrator(&migrations.Options{ChunkTime: 20 * time.Millisecond, Progress: func(e migrations.Event) {
			if e.State == migrations.Filling && e.Rows > int64(rows)/10 {
				cancel()
			}
		}}).Apply(interrupt, []migrations.Table{legacyTable})
		cancel()
		if err != nil {
			require.ErrorIs(r, err, context.Canceled)
		}
		began := time.Now()
		var part time.Duration
		done, err := r.migrator(&migrations.Options{Progress: func(e migrations.Event) { part = max(part, e.Slowest) }}).
			Apply(r.Context(), []migrations.Table{legacyTable})
		took := time.Since(began)
		stop()
		all.Wait()
		require.NoError(r, err)
		r.Logf("%s: %d rows, %d before the interruption, %d after it in %s; slowest part %s; %d foreign writes, slowest %s",
			r.engine.name, rows, first[0].Rows, done[0].Rows, took.Round(time.Millisecond), part.Round(time.Millisecond),
			bumps.Load(), time.Duration(slowest.Load()).Round(time.Millisecond))
		require.Zero(r, r.int("SELECT COUNT(*) FROM accounts WHERE lock_version IS NULL"))
		// A row is at what it began with (3, or 1 for NULL) plus its writes.
		began0 := int64(rows/5)*3 + int64(rows-rows/5)
		require.Equal(r, began0+bumps.Load(), r.int("SELECT SUM(lock_version) FROM accounts"), "a bump was lost")
		require.Equal(r, bumps.Load(), r.int("SELECT SUM(n) FROM accounts"))
		r.verified(legacyTable)
	})
}

// nullCAS writes rows one after the other by compare and swap, with NULL standing
// for 1, and counts the writes that took effect.
func (r *rig) nullCAS(ctx context.Context, rows, w int, bumps, slowest *atomic.Int64) {
	for i := w + 1; ctx.Err() == nil; i += 7919 {
		id := i%rows + 1
		var version int64
		err := r.db.QueryRowContext(r.Context(), fmt.Sprintf("SELECT COALESCE(lock_version, 1) FROM accounts WHERE id = %d", id)).Scan(&version)
		if err != nil {
			r.Errorf("read: %v", err)
			return
		}
		began := time.Now()
		n := r.untilDone(fmt.Sprintf(
			"UPDATE accounts SET n = n + 1, lock_version = COALESCE(lock_version, 1) + 1 WHERE id = %d AND COALESCE(lock_version, 1) = %d", id, version))
		for took := int64(time.Since(began)); ; {
			old := slowest.Load()
			if took <= old || slowest.CompareAndSwap(old, took) {
				break
			}
		}
		bumps.Add(n)
	}
}

// A reason to pause holds the backfill between two parts.
func TestThrottle(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("sqlite"))
	r.legacy(3000)
	asked, paused := 0, 0
	var slept []time.Duration
	m := r.migrator(&migrations.Options{
		Throttle: func(context.Context) (string, error) {
			if asked++; asked == 2 {
				return "the replica is behind", nil
			}
			return "", nil
		},
		Sleep: func(_ context.Context, d time.Duration) error { slept = append(slept, d); return nil },
		Progress: func(e migrations.Event) {
			if e.State == migrations.Paused {
				paused++
				require.Equal(t, "the replica is behind", e.Why)
			}
		},
	})
	done, err := m.Backfill(t.Context(), []migrations.Table{legacyTable})
	require.NoError(t, err)
	require.EqualValues(t, 2400, done[0].Rows)
	require.Equal(t, 1, paused)
	require.Contains(t, slept, time.Second)
	plan, err := m.Plan(t.Context(), []migrations.Table{legacyTable})
	require.NoError(t, err)
	require.Len(t, plan.Tables[0].Steps, 2, "backfill leaves the guard to apply")
	r.apply(legacyTable)
	r.verified(legacyTable)
}

// Each part has as many rows as it is meant to have: keys are walked in their
// own order, not in that of the texts that they are read as.
func TestPartsFollowTheKey(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.legacy(6000)
		now, was := time.Unix(0, 0), int64(0)
		var parts []int64
		_, err := r.migrator(&migrations.Options{
			Now:   func() time.Time { now = now.Add(80 * time.Millisecond); return now }, // as long as a part should take
			Sleep: func(context.Context, time.Duration) error { return nil },
			Throttle: func(context.Context) (string, error) {
				filled := r.int("SELECT COUNT(lock_version) FROM accounts")
				parts, was = append(parts, filled-was), filled
				return "", nil
			},
		}).Backfill(r.Context(), []migrations.Table{legacyTable})
		require.NoError(r, err)
		require.Equal(r, []int64{1200, 1000, 1000, 1000, 1000}, parts[:5])
	})
}

// Between a backfill and NOT NULL no row can become NULL on PostgreSQL; on the
// others one that does is filled by apply.
func TestNullAfterBackfill(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.legacy(10)
		_, err := r.migrator(nil).Backfill(r.Context(), []migrations.Table{legacyTable})
		require.NoError(r, err)
		_, err = r.db.ExecContext(r.Context(), "UPDATE accounts SET lock_version = NULL WHERE id = 1")
		if r.engine.name == "postgres" {
			require.ErrorContains(r, err, "23514")
		} else {
			require.NoError(r, err)
		}
		r.apply(legacyTable)
		r.verified(legacyTable)
		require.EqualValues(r, 1, r.int("SELECT lock_version FROM accounts WHERE id = 1"))
	})
}
