package hotkey_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/hotkey"
)

type counter struct {
	ID      int64 `occ:"id,key"`
	N       int64 `occ:"n"`
	Version int64 `occ:"version,version"`
}

// BenchmarkHotRow increments one row of PostgreSQL from 64 goroutines. The command
// occbench compares it with other strategies and audits the result.
func BenchmarkHotRow(b *testing.B) {
	for _, mode := range []hotkey.Mode{hotkey.Auto, hotkey.Combine, hotkey.Gate} {
		b.Run(mode.String(), func(b *testing.B) {
			repo := counters(b, hotkey.Policy{Mode: mode})
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ReportAllocs()
			b.ResetTimer()
			var all sync.WaitGroup
			for range 64 {
				all.Go(func() {
					for left.Add(-1) >= 0 {
						if _, err := repo.Mutate(context.Background(), 1, func(c *counter) error { c.N++; return nil }); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			b.StopTimer()
			row, err := repo.Get(b.Context(), 1)
			require.NoError(b, err)
			require.EqualValues(b, b.N, row.N)
			require.EqualValues(b, b.N+1, row.Version)
			c := repo.Contention()
			b.ReportMetric(float64(b.N)/float64(max(1, c.Rounds)), "ops/round")
		})
	}
}

func counters(b *testing.B, policy hotkey.Policy) *occ.Repository[counter, int64] {
	b.Helper()
	cfg, err := pgxpool.ParseConfig(dbtest.Postgres(b))
	require.NoError(b, err)
	cfg.MaxConns = 64
	pool, err := pgxpool.NewWithConfig(context.Background(), cfg)
	require.NoError(b, err)
	b.Cleanup(pool.Close)
	_, err = pool.Exec(b.Context(), "CREATE TABLE counters (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, version BIGINT NOT NULL)")
	require.NoError(b, err)
	repo, err := occ.NewRepository[counter, int64](occ.New(pgxdb.New(pool), postgres.New(), &occ.Options{Contention: policy}), "counters", nil)
	require.NoError(b, err)
	require.NoError(b, repo.Insert(b.Context(), &counter{ID: 1}))
	return repo
}
