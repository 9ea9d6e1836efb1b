package strategy_test

import (
	"context"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
)

// clients returns a client of every strategy on a table with the rows 0 and 1,
// which hold 5 at version 1.
func clients(t *testing.T, wrap func(dialects.DB) dialects.DB, run func(t *testing.T, s strategy.Strategy, c *strategy.Client)) {
	t.Helper()
	for _, s := range strategy.All() {
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			c, err := team(t, s, wrap).Client()
			require.NoError(t, err)
			run(t, s, c)
		})
	}
}

func team(t *testing.T, s strategy.Strategy, wrap func(dialects.DB) dialects.DB) *strategy.Team {
	t.Helper()
	db := dbtest.Open(t, "sqlite", dbtest.SQLite(t))
	_, err := db.ExecContext(t.Context(), "CREATE TABLE bench (id INTEGER PRIMARY KEY, n INTEGER, version INTEGER)")
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), "INSERT INTO bench VALUES (0, 5, 1), (1, 5, 1)")
	require.NoError(t, err)
	team, err := s.Team(strategy.Env{
		DB: wrap(sqldb.New(db)), Dialect: sqlite.New(), Placeholder: func(int) string { return "?" },
		Table: "bench", Left: func() time.Duration { return time.Hour },
	})
	require.NoError(t, err)
	return team
}

func plain(db dialects.DB) dialects.DB { return db }

var (
	increment = workload.Op{Keys: []int64{0}, Deltas: []int64{1}}
	move      = workload.Op{Keys: []int64{0, 1}, Deltas: []int64{-2, 2}}
	overdraw  = workload.Op{Keys: []int64{0, 1}, Deltas: []int64{100, -100}}
	take      = workload.Op{Keys: []int64{1}, Deltas: []int64{-6}}
	leave     = workload.Op{Keys: []int64{0, 1}, Actor: 1}
	batch     = workload.Op{Keys: []int64{0, 1}, Deltas: []int64{1, 1}, Bulk: true}
)

func TestVersionsAndAttempts(t *testing.T) {
	t.Parallel()
	clients(t, plain, func(t *testing.T, _ strategy.Strategy, c *strategy.Client) {
		do := func(op workload.Op, want ...strategy.Write) {
			t.Helper()
			o := c.Do(t.Context(), op)
			require.NoError(t, o.Err)
			require.Equal(t, strategy.Outcome{Writes: want, Attempts: 1}, o)
		}
		for version := range int64(3) {
			do(increment, strategy.Write{Key: 0, Delta: 1, Version: version + 2})
		}
		do(move, strategy.Write{Key: 0, Delta: -2, Version: 5}, strategy.Write{Key: 1, Delta: 2, Version: 2})
		do(batch, strategy.Write{Key: 0, Delta: 1, Version: 6}, strategy.Write{Key: 1, Delta: 1, Version: 3})
		for version := range int64(8) {
			do(leave, strategy.Write{Key: 1, Delta: -1, Version: version + 4})
		}
		do(leave, strategy.Write{Key: 1, Delta: 1, Version: 12}) // comes back
	})
}

func TestDeclinedOperationsChangeNothing(t *testing.T) {
	t.Parallel()
	clients(t, plain, func(t *testing.T, _ strategy.Strategy, c *strategy.Client) {
		require.Equal(t, strategy.Declined, c.Do(t.Context(), overdraw).Kind)
		require.Equal(t, strategy.Declined, c.Do(t.Context(), take).Kind)
		o := c.Do(t.Context(), move)
		require.NoError(t, o.Err)
		for _, w := range o.Writes {
			require.EqualValues(t, 2, w.Version, "nothing moved before")
		}
	})
}

// Nobody is on call: the next one who comes back sees it, and tells.
func TestForbiddenStateIsSeen(t *testing.T) {
	t.Parallel()
	clients(t, plain, func(t *testing.T, _ strategy.Strategy, c *strategy.Client) {
		empty := workload.Op{Keys: []int64{0, 1}, Deltas: []int64{-5, -5}}
		require.NoError(t, c.Do(t.Context(), empty).Err)
		o := c.Do(t.Context(), leave)
		require.NoError(t, o.Err)
		require.True(t, o.Forbidden)
		require.Equal(t, []strategy.Write{{Key: 1, Delta: 1, Version: 3}}, o.Writes)
		require.False(t, c.Do(t.Context(), leave).Forbidden)
	})
}

// A reply to COMMIT that is lost proves nothing: it is neither a commit nor a
// failure, and it is not tried again.
func TestLostReplyToCommitIsUnknown(t *testing.T) {
	t.Parallel()
	wrap := func(db dialects.DB) dialects.DB { return failing{DB: db, commit: io.ErrUnexpectedEOF} }
	clients(t, wrap, func(t *testing.T, _ strategy.Strategy, c *strategy.Client) {
		o := c.Do(t.Context(), move)
		require.Equal(t, strategy.Unknown, o.Kind, "%v", o.Err)
		require.EqualValues(t, 1, o.Attempts)
		require.Len(t, o.Writes, 2, "what may have happened")
	})
}

// A connection that breaks before COMMIT has applied nothing.
func TestLostBeginIsRetriedAndGivenUp(t *testing.T) {
	t.Parallel()
	wrap := func(db dialects.DB) dialects.DB { return failing{DB: db, begin: io.ErrUnexpectedEOF} }
	clients(t, wrap, func(t *testing.T, _ strategy.Strategy, c *strategy.Client) {
		o := c.Do(t.Context(), move)
		require.Equal(t, strategy.GaveUp, o.Kind, "%v", o.Err)
		require.EqualValues(t, 3, o.Attempts, "two repeats because of outages")
	})
}

func TestCanceledIsUnfinished(t *testing.T) {
	t.Parallel()
	clients(t, plain, func(t *testing.T, _ strategy.Strategy, c *strategy.Client) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.Equal(t, strategy.Unfinished, c.Do(ctx, increment).Kind)
	})
}

func TestFind(t *testing.T) {
	t.Parallel()
	s, err := strategy.Find("naive")
	require.NoError(t, err)
	require.True(t, s.Control)
	_, err = strategy.Find("hope")
	require.EqualError(t, err, `unknown strategy "hope": choose from naive, none, exponential, full-jitter, auto, gate, combine, group, lock, for-update, atomic, add, loop, relaxed`)
	require.Equal(t, []string{"naive", "none", "exponential", "full-jitter", "auto", "for-update", "atomic", "loop"}, strategy.Defaults())
}

func TestServes(t *testing.T) {
	t.Parallel()
	served := map[string][]string{
		"loop": {"batch"}, "relaxed": {"transfer", "doctors"},
		"auto": {"counter"}, "gate": {"counter"}, "combine": {"counter"}, "group": {"counter"}, "lock": {"counter"}, "add": {"counter"},
	}
	for _, s := range strategy.All() {
		var names []string
		for _, w := range workload.All() {
			if s.Serves(w) {
				names = append(names, w.Name)
			}
		}
		if want, ok := served[s.Name]; ok {
			require.Equal(t, want, names)
		} else {
			require.Equal(t, workload.Names(), names, s.Name)
		}
	}
}

// The clients of a team share rows and queues: each is told of its own writes and
// tries, and none are missing.
func TestTeamSharesAndTellsApart(t *testing.T) {
	t.Parallel()
	const members, each = 8, 25
	for _, s := range strategy.All() {
		if s.Control {
			continue
		}
		t.Run(s.Name, func(t *testing.T) {
			t.Parallel()
			team := team(t, s, plain)
			var group sync.WaitGroup
			outcomes := make([][]strategy.Outcome, members)
			for i := range members {
				c, err := team.Client()
				require.NoError(t, err)
				ctx := t.Context()
				if i%2 == 0 {
					ctx = c.Context(ctx)
				}
				group.Go(func() {
					for range each {
						o := c.Do(ctx, increment)
						o.Writes = slices.Clone(o.Writes)
						outcomes[i] = append(outcomes[i], o)
					}
				})
			}
			group.Wait()
			versions := map[int64]bool{}
			attempts, conflicts := team.Stray()
			for _, o := range slices.Concat(outcomes...) {
				require.NoError(t, o.Err)
				require.Len(t, o.Writes, 1)
				versions[o.Writes[0].Version] = true
				attempts += o.Attempts
				conflicts += o.Conflicts
				require.Positive(t, o.Attempts, "whoever asked for it has tried")
			}
			require.Len(t, versions, members*each, "each operation owns a version")
			for version := range int64(members * each) {
				require.True(t, versions[version+2], "version %d", version+2)
			}
			ways := team.Ways()
			if slices.Contains([]string{"gate", "combine", "group"}, s.Name) {
				require.Zero(t, ways["alone"], "%v", ways)
				require.NotEmpty(t, ways)
			}
			if slices.Contains([]string{"none", "exponential", "full-jitter", "for-update", "atomic"}, s.Name) {
				require.Nil(t, ways)
			}
			require.EqualValues(t, members*each, attempts-conflicts, "the last try of each wins, and no other one")
		})
	}
}

// failing is a transport whose transactions fail at their ends.
type failing struct {
	dialects.DB
	begin, commit error
}

func (f failing) Conn(ctx context.Context) (dialects.Conn, error) {
	conn, err := f.DB.Conn(ctx)
	return failingConn{conn, f}, err
}

// Join is what occ.Join asks of a transport.
func (f failing) Join(tx any) (dialects.Querier, error) { return f.DB.(dialects.Joiner).Join(tx) }

type failingConn struct {
	dialects.Conn
	f failing
}

func (c failingConn) Begin(ctx context.Context, text string) error {
	if c.f.begin != nil {
		return c.f.begin
	}
	return c.Conn.Begin(ctx, text)
}

func (c failingConn) Commit(ctx context.Context) error {
	if c.f.commit != nil {
		return c.f.commit
	}
	return c.Conn.Commit(ctx)
}
