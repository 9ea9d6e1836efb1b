package bench_test

import (
	"context"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
)

func question(int) string { return "?" }
func dollar(n int) string { return "$" + strconv.Itoa(n) }

func onSQLite(t *testing.T) bench.Target {
	db := dbtest.Open(t, "sqlite", dbtest.SQLite(t))
	db.SetMaxOpenConns(1)
	return bench.Target{DB: sqldb.New(db), Dialect: sqlite.New(), Placeholder: question, Connections: 1}
}

func onPostgres(t *testing.T) bench.Target {
	config, err := pgxpool.ParseConfig(dbtest.Postgres(t))
	require.NoError(t, err)
	config.MaxConns = 8
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return bench.Target{DB: pgxdb.New(pool), Dialect: postgres.New(), Placeholder: dollar, Connections: 8}
}

func onMariaDB(t *testing.T) bench.Target {
	db := dbtest.Open(t, "mysql", dbtest.MariaDB(t))
	db.SetMaxOpenConns(8)
	db.SetMaxIdleConns(8)
	return bench.Target{DB: sqldb.New(db), Dialect: mariadb.New(), Placeholder: question, Connections: 8}
}

// On every engine every strategy is exact, and the one that is wrong is caught.
func TestEveryStrategyIsExactAndTheControlIsCaught(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) bench.Target{
		"sqlite": onSQLite, "postgres": onPostgres, "mariadb": onMariaDB,
		"mariadb, one statement": func(t *testing.T) bench.Target {
			target := onMariaDB(t)
			target.Report = func(e string) string { return "LAST_INSERT_ID(" + e + ")" }
			return target
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := open(t)
			spec := bench.Spec{
				Clients: 8, Keys: 4, Batch: 3, Reps: 1, Duration: 150 * time.Millisecond,
				Workloads: workload.Names(), Strategies: exactStrategies(),
			}
			var last bench.Progress
			result, err := bench.Run(t.Context(), spec, target, func(p bench.Progress) { last = p })
			require.NoError(t, err)
			summary := bench.Summarize(result.Cells)
			require.Empty(t, summary.Problems)
			require.True(t, summary.Caught())
			require.Equal(t, bench.OK, result.Verdict)
			require.Len(t, result.Cells, 31)
			require.Equal(t, 31, last.Done)
			for _, cell := range result.Cells {
				rep := cell.Reps[0]
				require.Positive(t, rep.Commits, "%s, %s", cell.Workload, cell.Strategy)
				require.Zero(t, rep.Errors, "%s, %s: %v", cell.Workload, cell.Strategy, rep.FirstError)
				require.GreaterOrEqual(t, rep.Attempts, rep.Commits, "%s, %s", cell.Workload, cell.Strategy)
				require.Positive(t, rep.LatencyUS.P50)
				require.Nil(t, cell.CommitsPerS.CILow, "one repetition bounds nothing")
			}
			requireNoTables(t, target)
		})
	}
}

// exactStrategies are all strategies but the one that violates a workload.
func exactStrategies() []string {
	return slices.DeleteFunc(strategy.Names(), func(name string) bool { return name == "relaxed" })
}

// shares tells whether one write may serve several operations.
func shares(name string) bool { return name == "auto" || name == "combine" || name == "group" }

// A unit of work that checks only what it writes lets write skew through, and
// loses nothing; a bank does not mind.
func TestRelaxedViolatesDoctors(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) bench.Target{
		"sqlite": onSQLite, "postgres": onPostgres, "mariadb": onMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := bench.Spec{
				Clients: 8, Keys: 2, Reps: 1, Duration: 400 * time.Millisecond,
				Workloads: []string{"transfer", "doctors"}, Strategies: []string{"relaxed"},
			}
			result, err := bench.Run(t.Context(), spec, open(t), nil)
			require.NoError(t, err)
			require.Equal(t, bench.Violated, result.Verdict)
			transfer, doctors := result.Cells[0].Reps[0], result.Cells[1].Reps[0]
			require.True(t, transfer.Audit.Exact(), transfer.Audit.Findings)
			require.Positive(t, doctors.Broken)
			require.Zero(t, doctors.Lost+doctors.Duplicate+doctors.OutOfOrder)
			require.Contains(t, doctors.Audit.Findings[0], "write skew")
		})
	}
}

// requireNoTables fails when the benchmark left something behind.
func requireNoTables(t *testing.T, target bench.Target) {
	t.Helper()
	conn, err := target.DB.Conn(t.Context())
	require.NoError(t, err)
	defer conn.Release(false)
	text := "SELECT table_name FROM information_schema.tables WHERE table_name LIKE 'occbench%' AND table_schema = (SELECT "
	switch target.Dialect.(type) {
	case sqlite.Dialect:
		text = "SELECT name FROM sqlite_schema WHERE name LIKE 'occbench%'"
	case postgres.Dialect:
		text += "current_schema())"
	default:
		text += "DATABASE())"
	}
	rows, err := conn.Query(t.Context(), text, nil)
	require.NoError(t, err)
	defer rows.Close()
	require.False(t, rows.Next(), "a table is left")
	require.NoError(t, rows.Err())
}

func TestInterruptedRunLeavesNothing(t *testing.T) {
	t.Parallel()
	target := onSQLite(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	spec := bench.Spec{Duration: time.Hour, Strategies: []string{"none"}, Workloads: []string{"counter"}}
	watched := target
	watched.DB = &cancelling{DB: target.DB, cancel: cancel}
	_, err := bench.Run(ctx, spec, watched, nil)
	require.ErrorIs(t, err, context.Canceled)
	requireNoTables(t, target)
}

// cancelling is a user who presses Ctrl-C in the middle of a run.
type cancelling struct {
	dialects.DB
	cancel context.CancelFunc
	conns  int
}

func (c *cancelling) Conn(ctx context.Context) (dialects.Conn, error) {
	conn, err := c.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if c.conns++; c.conns == 200 { // the pool has one connection: no race
		c.cancel()
	}
	return conn, nil
}

// A database that loses a write that it acknowledged must be found out.
func TestLyingDatabaseIsFoundOut(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"none", "auto", "combine", "lock", "for-update", "atomic"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := onSQLite(t)
			target.DB = &lying{DB: target.DB}
			spec := bench.Spec{
				Reps: 1, Duration: 250 * time.Millisecond, Strategies: []string{name}, Workloads: []string{"counter"},
			}
			result, err := bench.Run(t.Context(), spec, target, nil)
			require.NoError(t, err)
			require.Equal(t, bench.Violated, result.Verdict)
			lost := result.Cells[0].Reps[0].Lost
			if shares(name) {
				require.Positive(t, lost, "all that shared the write")
			} else {
				require.EqualValues(t, 1, lost)
			}
		})
	}
}
