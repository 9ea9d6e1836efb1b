package strategy_test

import (
	"context"
	"io"
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
			db := dbtest.Open(t, "sqlite", dbtest.SQLite(t))
			_, err := db.ExecContext(t.Context(), "CREATE TABLE bench (id INTEGER PRIMARY KEY, n INTEGER, version INTEGER)")
			require.NoError(t, err)
			_, err = db.ExecContext(t.Context(), "INSERT INTO bench VALUES (0, 5, 1), (1, 5, 1)")
			require.NoError(t, err)
			c, err := s.Client(strategy.Env{
				DB: wrap(sqldb.New(db)), Dialect: sqlite.New(), Placeholder: func(int) string { return "?" },
				Table: "bench", Left: func() time.Duration { return time.Hour },
			})
			require.NoError(t, err)
			run(t, s, c)
		})
	}
}

func plain(db dialects.DB) dialects.DB { return db }

var (
	increment = []workload.Change{{Key: 0, Delta: 1}}
	move      = []workload.Change{{Key: 0, Delta: -2}, {Key: 1, Delta: 2}}
	overdraw  = []workload.Change{{Key: 0, Delta: 100}, {Key: 1, Delta: -100}}
)

func TestVersionsAndAttempts(t *testing.T) {
	t.Parallel()
	clients(t, plain, func(t *testing.T, _ strategy.Strategy, c *strategy.Client) {
		for i := range int64(3) {
			o := c.Do(t.Context(), increment)
			require.NoError(t, o.Err)
			require.Equal(t, strategy.Outcome{Versions: [2]int64{i + 2, 0}, Attempts: 1}, o)
		}
		o := c.Do(t.Context(), move)
		require.Equal(t, strategy.Outcome{Versions: [2]int64{5, 2}, Attempts: 1}, o)
	})
}

func TestDeclinedOperationsChangeNothing(t *testing.T) {
	t.Parallel()
	clients(t, plain, func(t *testing.T, _ strategy.Strategy, c *strategy.Client) {
		require.Equal(t, strategy.Declined, c.Do(t.Context(), overdraw).Kind)
		require.Equal(t, strategy.Declined, c.Do(t.Context(), []workload.Change{{Key: 1, Delta: -6}}).Kind)
		o := c.Do(t.Context(), move)
		require.NoError(t, o.Err)
		require.Equal(t, [2]int64{2, 2}, o.Versions, "nothing moved before")
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
	require.EqualError(t, err, `unknown strategy "hope": choose from naive, none, exponential, full-jitter, for-update, atomic`)
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
