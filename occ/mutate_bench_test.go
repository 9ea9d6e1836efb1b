package occ_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
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
	"github.com/occkit/occkit/occ/hotkey"
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
	one := func(run mutator, id int64) func() error {
		return func() error {
			for range batch {
				if _, err := run(b.Context(), id); err != nil {
					return err
				}
			}
			return nil
		}
	}
	compare(b, batch, "hand", one(hand, 1000), "occ", one(ours, 1001))
}

// BenchmarkColdKeys compares the default policy with one that never queues, on keys
// that hardly ever meet: 100,000 rows, 1 goroutine and 64.
//
//	go test ./occ -run '^$' -bench ColdKeys -benchtime 200x
func BenchmarkColdKeys(b *testing.B) {
	const keys, batch = 100_000, 512
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			cfg, err := pgxpool.ParseConfig(dbtest.Postgres(b))
			require.NoError(b, err)
			cfg.MaxConns = int32(clients) //nolint:gosec // small
			pool, err := pgxpool.NewWithConfig(b.Context(), cfg)
			require.NoError(b, err)
			b.Cleanup(pool.Close)
			for _, text := range []string{
				`CREATE TABLE accounts (id BIGINT PRIMARY KEY, owner TEXT NOT NULL, balance BIGINT NOT NULL, version BIGINT NOT NULL) WITH (fillfactor = 50)`,
				fmt.Sprintf(`INSERT INTO accounts SELECT i, 'Ada Lovelace', 1000, 1000 FROM generate_series(0, %d) i`, keys-1),
				`VACUUM ANALYZE accounts`,
			} {
				_, err = pool.Exec(b.Context(), text)
				require.NoError(b, err)
			}
			spread := func(mode hotkey.Mode) func() error {
				db := occ.New(pgxdb.New(pool), postgres.New(), &occ.Options{Contention: hotkey.Policy{Mode: mode}})
				accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
				require.NoError(b, err)
				return func() error {
					var all sync.WaitGroup
					errs := make([]error, clients)
					for i := range clients {
						all.Go(func() {
							for n := 0; n < batch/clients && errs[i] == nil; n++ {
								_, errs[i] = accounts.Mutate(b.Context(), rand.Int64N(keys), func(a *Account) error { a.Balance++; return nil })
							}
						})
					}
					all.Wait()
					return errors.Join(errs...)
				}
			}
			compare(b, batch, "backoff", spread(hotkey.Backoff), "auto", spread(hotkey.Auto))
		})
	}
}

// compare runs both in turns, the one and the other first, and reports the medians
// of the ratios ours / base for n operations.
func compare(b *testing.B, n int, baseName string, base func() error, ourName string, ours func() error) {
	b.Helper()
	var cpu, wall []float64
	var baseAllocs, ourAllocs uint64
	rounds := 0
	for b.Loop() {
		var h, o cost
		if rounds%2 == 0 {
			h = measure(b, base)
			o = measure(b, ours)
		} else {
			o = measure(b, ours)
			h = measure(b, base)
		}
		cpu = append(cpu, float64(o.cpu)/float64(h.cpu))
		wall = append(wall, float64(o.wall)/float64(h.wall))
		baseAllocs, ourAllocs = baseAllocs+h.allocs, ourAllocs+o.allocs
		rounds++
	}
	b.ReportMetric(median(cpu), "cpu-ratio")
	b.ReportMetric(median(wall), "wall-ratio")
	b.ReportMetric(float64(ourAllocs)/float64(rounds*n), ourName+"-allocs/op")
	b.ReportMetric(float64(baseAllocs)/float64(rounds*n), baseName+"-allocs/op")
}

type cost struct {
	cpu, wall time.Duration
	allocs    uint64
}

func measure(b *testing.B, run func() error) cost {
	b.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu, start := processCPU(), time.Now()
	if err := run(); err != nil {
		b.Fatal(err)
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
