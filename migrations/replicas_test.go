package migrations_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/migrations"
)

const standbys = "SELECT COUNT(*) FROM pg_stat_replication WHERE replay_lsn IS NOT NULL"

// A backfill waits for a standby that replays nothing, and for one that is gone,
// and goes on when it has caught up, or is there again.
func TestMaxLag(t *testing.T) {
	t.Parallel()
	server := dbtest.StartPostgres(t)
	r := &rig{T: t, engine: engineNamed("postgres"), url: server.DSN()}
	r.db = dbtest.Open(t, "pgx", r.url)
	r.legacy(3000)
	s := newStandby(t, r.url)
	r.until(1, standbys)

	now, asked, released := time.Unix(0, 0), 0, false
	var reasons []string
	m := r.migrator(&migrations.Options{
		MaxLag: time.Millisecond,
		Now:    func() time.Time { now = now.Add(2 * time.Second); return now },
		Sleep:  func(context.Context, time.Duration) error { return nil },
		Throttle: func(context.Context) (string, error) {
			if asked++; released && asked == 4 {
				s.stop()
				r.until(0, standbys)
			}
			return "", nil
		},
		Progress: func(e migrations.Event) {
			if e.State != migrations.Paused {
				return
			}
			if last := len(reasons) - 1; last < 0 || reasons[last][:4] != e.Why[:4] {
				reasons = append(reasons, e.Why)
			}
			switch {
			case strings.HasSuffix(e.Why, "are gone"):
				s = newStandby(t, r.url)
				s.replay()
				r.until(1, standbys)
			case !released:
				require.Regexp(t, `^replica standby is \d.* behind$`, e.Why)
				asked, released = 0, true
				s.replay()
			}
		},
	})
	done, err := m.Backfill(t.Context(), []migrations.Table{legacyTable})
	require.NoError(t, err)
	require.EqualValues(t, 2400, done[0].Rows)
	require.Contains(t, reasons, "1 of 1 replicas are gone")
}

// A bound that would bound nothing is refused before anything is done.
func TestMaxLagThatCannotBe(t *testing.T) {
	t.Parallel()
	try := func(r *rig, want string) error {
		r.Helper()
		_, err := r.migrator(&migrations.Options{MaxLag: time.Second}).Apply(r.Context(), []migrations.Table{legacyTable})
		require.ErrorContains(r, err, want)
		plan, err2 := r.migrator(nil).Plan(r.Context(), []migrations.Table{legacyTable})
		require.NoError(r, err2)
		require.Equal(r, "history", plan.Tables[0].Steps[0].ID, "nothing was changed")
		return err
	}
	onEach(t, func(r *rig) {
		if r.engine.name == "postgres" { // a server of its own: those of all databases are listed
			r.url = dbtest.StartPostgres(r).DSN()
			r.db = dbtest.Open(r, "pgx", r.url)
			r.legacy(5)
			require.NoError(r, errors.Unwrap(try(r, "this server sees none")))
			r.exec("CREATE ROLE plain; GRANT ALL ON SCHEMA public TO plain; ALTER TABLE accounts OWNER TO plain")
			r.db.SetMaxOpenConns(1)
			r.exec("SET ROLE plain")
			_ = try(r, "the role is not a member of pg_read_all_stats")
			r.exec("RESET ROLE")
			r.apply(legacyTable)
			_, err := r.migrator(&migrations.Options{MaxLag: time.Second}).Apply(r.Context(), []migrations.Table{legacyTable})
			require.NoError(r, err, "there is nothing to fill")
			return
		}
		r.legacy(5)
		require.ErrorIs(r, try(r, "does not know how far its replicas are behind"), errors.ErrUnsupported)
	})
}

// Status counts what a backfill has left to do; on PostgreSQL it looks at a
// sample of a table that is large.
func TestStatusOfBackfill(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.legacy(1000)
		status := func() *migrations.Progress {
			all, err := r.migrator(nil).Status(r.Context(), []migrations.Table{legacyTable})
			require.NoError(r, err)
			return all[0].Backfill
		}
		require.Equal(r, &migrations.Progress{Rows: 1000, Left: 800, Percent: 20}, status())
		r.exec("UPDATE accounts SET lock_version = 1 WHERE id <= 500")
		require.Equal(r, &migrations.Progress{Rows: 1000, Left: 400, Percent: 60}, status())
		r.apply(legacyTable)
		require.Nil(r, status())
		if r.engine.name != "postgres" {
			return
		}
		for _, partitioned := range []string{"", " PARTITION BY RANGE (id)"} {
			r.exec("DROP TABLE accounts")
			r.exec("CREATE TABLE accounts (id BIGINT PRIMARY KEY, n BIGINT, lock_version INT, pad TEXT)%s", partitioned)
			if partitioned != "" {
				r.exec("CREATE TABLE accounts_a PARTITION OF accounts DEFAULT")
			}
			r.exec("%s", "INSERT INTO accounts SELECT g, 0, CASE WHEN g <= 12000 THEN 1 END, repeat('x', 700) FROM generate_series(1, 40000) g")
			p := status()
			require.True(r, p.Estimate)
			require.InEpsilon(r, 40_000, p.Rows, 0.1)
			require.InEpsilon(r, 28_000, p.Left, 0.1)
			require.InDelta(r, 30, p.Percent, 5)
		}
	})
}
