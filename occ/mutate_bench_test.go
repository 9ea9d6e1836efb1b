package occ_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/occ"
)

// mutator adds one to a row's balance, and returns the row's version.
type mutator func(ctx context.Context, id int64) (int64, error)

// benchPool returns a pool of one connection with rows 1 and 2 in accounts.
func benchPool(b *testing.B) *pgxpool.Pool {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(dbtest.Postgres(b))
	require.NoError(b, err)
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	for _, text := range []string{
		`CREATE TABLE accounts (id BIGINT PRIMARY KEY, owner TEXT NOT NULL, balance BIGINT NOT NULL, version BIGINT NOT NULL) WITH (fillfactor = 50)`,
		`INSERT INTO accounts SELECT i, 'Ada Lovelace', 1000, 1000 FROM generate_series(1000, 1001) i`,
	} {
		_, err = pool.Exec(b.Context(), text)
		require.NoError(b, err)
	}
	return pool
}

// benchConn returns a connection of its own to the pool's database.
func benchConn(b *testing.B, pool *pgxpool.Pool) *pgx.Conn {
	b.Helper()
	conn, err := pgx.ConnectConfig(b.Context(), pool.Config().ConnConfig)
	require.NoError(b, err)
	b.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

var errStale = errors.New("stale")

// querier is what a pool and a connection share.
type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// handWritten is what a careful engineer writes on pgx: read, change, versioned
// update, check of the row count.
func handWritten(q querier) mutator {
	return func(ctx context.Context, id int64) (int64, error) {
		var a Account
		err := q.QueryRow(ctx, `SELECT id, owner, balance, version FROM accounts WHERE id = $1`, id).
			Scan(&a.ID, &a.Owner, &a.Balance, &a.Version)
		if err != nil {
			return 0, err
		}
		a.Balance++
		tag, err := q.Exec(ctx, `UPDATE accounts SET owner = $1, balance = $2, version = version + 1 WHERE id = $3 AND version = $4`,
			a.Owner, a.Balance, a.ID, a.Version)
		if err != nil {
			return 0, err
		}
		if tag.RowsAffected() != 1 {
			return 0, errStale
		}
		return a.Version + 1, nil
	}
}

// throughOCC is the same through Mutate.
func throughOCC(b *testing.B, transport dialects.DB) mutator {
	b.Helper()
	db := occ.New(transport, postgres.New(), nil)
	accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
	require.NoError(b, err)
	return func(ctx context.Context, id int64) (int64, error) {
		a, err := accounts.Mutate(ctx, id, func(a *Account) error {
			a.Balance++
			return nil
		})
		return a.Version, err
	}
}

// BenchmarkMutate compares allocations and time; BenchmarkMutateRatio compares
// CPU time.
func BenchmarkMutate(b *testing.B) {
	pool := benchPool(b)
	conn := benchConn(b, pool)
	for _, c := range []struct {
		name string
		run  mutator
	}{
		{"pool/handwritten", handWritten(pool)},
		{"pool/occ", throughOCC(b, pgxdb.New(pool))},
		{"conn/handwritten", handWritten(conn)},
		{"conn/occ", throughOCC(b, pgxdb.FromConn(conn))},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.run(b.Context(), 1000); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMutateRatio runs both in turns, so that a noisy machine disturbs both
// alike, and reports the median of the ratios occ / hand-written: of this
// process's CPU time, of wall time, and of allocations.
func BenchmarkMutateRatio(b *testing.B) {
	pool := benchPool(b)
	conn := benchConn(b, pool)
	b.Run("pool", func(b *testing.B) { ratio(b, handWritten(pool), throughOCC(b, pgxdb.New(pool))) })
	b.Run("conn", func(b *testing.B) { ratio(b, handWritten(conn), throughOCC(b, pgxdb.FromConn(conn))) })
}

func ratio(b *testing.B, hand, ours mutator) {
	b.Helper()
	const batch = 250
	var cpu, wall []float64
	var handAllocs, ourAllocs uint64
	rounds := 0
	for b.Loop() {
		h, o := measure(b, hand, 1000, batch), measure(b, ours, 1001, batch)
		cpu = append(cpu, float64(o.cpu)/float64(h.cpu))
		wall = append(wall, float64(o.wall)/float64(h.wall))
		handAllocs, ourAllocs = handAllocs+h.allocs, ourAllocs+o.allocs
		rounds++
	}
	b.ReportMetric(median(cpu), "cpu-ratio")
	b.ReportMetric(median(wall), "wall-ratio")
	b.ReportMetric(float64(ourAllocs)/float64(rounds*batch), "occ-allocs/op")
	b.ReportMetric(float64(handAllocs)/float64(rounds*batch), "hand-allocs/op")
}

type cost struct {
	cpu, wall time.Duration
	allocs    uint64
}

func measure(b *testing.B, run mutator, id int64, n int) cost {
	b.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := processCPU(), time.Now()
	for range n {
		if _, err := run(b.Context(), id); err != nil {
			b.Fatal(err)
		}
	}
	c := cost{cpu: processCPU() - cpu, wall: time.Since(start)}
	runtime.ReadMemStats(&after)
	c.allocs = after.Mallocs - before.Mallocs
	return c
}

// processCPU is the user and system time of this process.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
