package migrations_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/migrations"
)

const (
	pileWorkers = 16
	pileRows    = 10_000
)

// pile is traffic on a table, with a transaction that is idle for a while.
type pile struct {
	*rig
	pool *sql.DB
	idle time.Duration
}

// run lets workers read and write for as long as the idle transaction lasts and
// a second more, makes change a second after its beginning, and returns how long
// the operations of the workers took.
func (p *pile) run(change func(ctx context.Context)) *hdrhistogram.Histogram {
	ctx, stop := context.WithTimeout(p.Context(), p.idle+2*time.Second)
	defer stop()
	var all sync.WaitGroup
	latencies := make([]*hdrhistogram.Histogram, pileWorkers)
	for i := range latencies {
		latencies[i] = hdrhistogram.New(1, time.Minute.Microseconds(), 3)
		all.Go(func() { p.work(ctx, latencies[i]) })
	}
	tx, err := p.pool.BeginTx(p.Context(), nil)
	require.NoError(p, err)
	var n int64
	require.NoError(p, tx.QueryRow("SELECT n FROM accounts WHERE id = 1").Scan(&n))
	ended := time.AfterFunc(p.idle, func() { _ = tx.Rollback() })
	defer ended.Stop()
	begin := time.NewTimer(time.Second)
	<-begin.C
	change(p.Context())
	all.Wait()
	_ = tx.Rollback()
	total := hdrhistogram.New(1, time.Minute.Microseconds(), 3)
	for _, h := range latencies {
		total.Merge(h)
	}
	return total
}

// work reads or updates a row, rests a little, and begins again.
func (p *pile) work(ctx context.Context, h *hdrhistogram.Histogram) {
	rest := time.NewTicker(5 * time.Millisecond)
	defer rest.Stop()
	for ctx.Err() == nil {
		id := rand.IntN(pileRows) + 1 //nolint:gosec // load
		began := time.Now()
		var err error
		if id%2 == 0 {
			var n int64
			err = p.pool.QueryRow(fmt.Sprintf("SELECT n FROM accounts WHERE id = %d", id)).Scan(&n)
		} else {
			_, err = p.pool.Exec(fmt.Sprintf("UPDATE accounts SET n = n + 1 WHERE id = %d", id))
		}
		if err != nil {
			p.Errorf("traffic: %v", err)
			return
		}
		_ = h.RecordValue(max(time.Since(began).Microseconds(), 1))
		<-rest.C
	}
}

func at(h *hdrhistogram.Histogram, quantile float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(quantile)) * time.Microsecond
}

// TestPileUp is a measurement of the command apply: it needs the machine for
// itself, and runs only when OCCKIT_PILEUP is set.
func TestPileUp(t *testing.T) {
	if os.Getenv("OCCKIT_PILEUP") == "" {
		t.Skip("a measurement: set OCCKIT_PILEUP=1 on a quiet machine")
	}
	binary := build(t)
	for _, name := range []string{"postgres", "mariadb"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, engineNamed(name))
			r.db.SetMaxOpenConns(pileWorkers + 8)
			r.db.SetMaxIdleConns(pileWorkers + 8)
			r.fresh(pileRows)
			p := &pile{rig: r, pool: r.db, idle: 6 * time.Second}
			show := func(what string, h *hdrhistogram.Histogram) {
				t.Logf("%-8s %-12s ops %6d  p50 %8s  p99 %8s  p99.9 %8s  max %8s", name, what, h.TotalCount(),
					at(h, 50), at(h, 99), at(h, 99.9), at(h, 100))
			}
			baseline := p.run(func(context.Context) {})
			show("baseline", baseline)

			var attempts int
			var waited time.Duration
			apply := p.run(func(ctx context.Context) {
				r.occmigrate(ctx, binary, "apply", func(e migrations.Event) {
					attempts, waited = max(attempts, e.Attempt), max(waited, e.Waited)
				})
			})
			show("apply", apply)
			t.Logf("%-8s apply waited %s, %d attempts at most for one step", name, waited.Round(time.Millisecond), attempts)
			r.verified(freshTable)

			naive := p.run(func(ctx context.Context) {
				_, err := p.pool.ExecContext(ctx, "ALTER TABLE accounts ADD COLUMN naive BIGINT NOT NULL DEFAULT 1")
				require.NoError(t, err)
			})
			show("plain ALTER", naive)

			require.Greater(t, at(naive, 99.9), time.Second, "the harness shows no outage: it proves nothing")
			require.LessOrEqual(t, at(apply, 99.9), 5*at(baseline, 99.9), "traffic queued behind apply")
		})
	}
}
