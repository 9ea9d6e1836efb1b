package bench_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench"
)

// neighbour is what a process is to another one: both ends of two pipes. The
// process is a goroutine here.
type neighbour struct {
	io.Reader
	io.WriteCloser
	gone <-chan struct{}
	err  error
}

func (n *neighbour) Close() error {
	_ = n.WriteCloser.Close()
	<-n.gone
	return n.err
}

// spawning returns a target whose processes are goroutines that work on targets of
// their own, and a wait group that is done when all are gone.
func spawning(target bench.Target, wrap func(io.Writer) io.Writer) (bench.Target, *sync.WaitGroup) {
	var running sync.WaitGroup
	inner := target
	target.Spawn = func(ctx context.Context) (io.ReadWriteCloser, error) {
		in, toIn := io.Pipe()
		fromOut, out := io.Pipe()
		gone := make(chan struct{})
		n := &neighbour{Reader: fromOut, WriteCloser: toIn, gone: gone}
		running.Go(func() {
			n.err = bench.Serve(ctx, inner, in, wrap(out))
			_, _ = in.CloseWithError(io.ErrClosedPipe), out.Close()
			close(gone)
		})
		return n, nil
	}
	return target, &running
}

func whole(w io.Writer) io.Writer { return w }

func TestProcessesAreAuditedTogether(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) bench.Target{
		"sqlite": onSQLite, "postgres": onPostgres, "mariadb": onMariaDB,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target, running := spawning(open(t), whole)
			spec := bench.Spec{
				Clients: 9, Procs: 2, Keys: 2, Reps: 2, Duration: 150 * time.Millisecond,
				Strategies: []string{"naive", "none", "auto", "group", "lock", "atomic"},
			}
			result, err := bench.Run(t.Context(), spec, target, nil)
			require.NoError(t, err)
			require.Equal(t, bench.OK, result.Verdict, bench.Summarize(result.Cells).Problems)
			for _, cell := range result.Cells {
				require.Equal(t, 2, cell.Procs)
				for _, rep := range cell.Reps {
					require.Zero(t, rep.Errors, "%s, %s: %v", cell.Workload, cell.Strategy, rep.FirstError)
					require.Len(t, rep.Shares, 2)
					require.InDelta(t, 1, rep.Shares[0]+rep.Shares[1], 1e-9)
					require.Positive(t, rep.LatencyUS.P50)
					require.InDelta(t, cell.Collision.Predicted, rep.Collision, 0.25)
				}
			}
			running.Wait()
			requireNoTables(t, target)
		})
	}
}

// What a process acknowledges and the database does not have is found out, whichever
// process it was.
func TestLyingDatabaseIsFoundOutBehindProcesses(t *testing.T) {
	t.Parallel()
	target := onSQLite(t)
	target.DB = &lying{DB: target.DB}
	target, _ = spawning(target, whole)
	spec := bench.Spec{
		Clients: 4, Procs: 2, Reps: 1, Duration: 250 * time.Millisecond, Strategies: []string{"none"}, Workloads: []string{"counter"},
	}
	result, err := bench.Run(t.Context(), spec, target, nil)
	require.NoError(t, err)
	require.Equal(t, bench.Violated, result.Verdict)
	require.EqualValues(t, 1, result.Cells[0].Reps[0].Lost)
}

// Every client makes the same choices in one process and in several.
func TestChoicesDoNotDependOnProcesses(t *testing.T) {
	t.Parallel()
	spec := bench.Spec{
		Clients: 4, Keys: 50, Reps: 1, Duration: 100 * time.Millisecond,
		Strategies: []string{"none"}, Workloads: []string{"counter"},
	}
	spec.Dist.Theta = 1.2
	alone, err := bench.Run(t.Context(), spec, onSQLite(t), nil)
	require.NoError(t, err)
	target, _ := spawning(onSQLite(t), whole)
	spec.Procs = 4
	together, err := bench.Run(t.Context(), spec, target, nil)
	require.NoError(t, err)
	a, b := alone.Cells[0], together.Cells[0]
	require.Equal(t, a.Collision.Predicted, b.Collision.Predicted)
	require.InDelta(t, a.Collision.Measured, b.Collision.Measured, 0.2) // of some hundred draws
	require.Nil(t, a.Reps[0].Shares)
	require.Len(t, b.Reps[0].Shares, 4)
}

// dying is a process that ends in the middle of its third reply.
type dying struct {
	io.Writer
	left int
}

func (d *dying) Write(p []byte) (int, error) {
	if d.left--; d.left < 0 {
		return 0, errors.New("killed")
	}
	return d.Writer.Write(p)
}

func TestProcessThatDiesIsAnError(t *testing.T) {
	t.Parallel()
	target, running := spawning(onSQLite(t), func(w io.Writer) io.Writer { return &dying{w, 2} })
	spec := bench.Spec{
		Clients: 4, Procs: 2, Reps: 3, Duration: 10 * time.Millisecond, Strategies: []string{"none"}, Workloads: []string{"counter"},
	}
	_, err := bench.Run(t.Context(), spec, target, nil)
	require.EqualError(t, err, "counter, none: process 1 of 2 ended early: killed")
	running.Wait()
	requireNoTables(t, target)
}

func TestInterruptedRunEndsItsProcesses(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	target := onSQLite(t)
	watched := target
	watched.DB = &cancelling{DB: target.DB, cancel: cancel}
	watched, running := spawning(watched, whole)
	spec := bench.Spec{Procs: 2, Duration: time.Hour, Strategies: []string{"none"}, Workloads: []string{"counter"}}
	_, err := bench.Run(ctx, spec, watched, nil)
	require.ErrorIs(t, err, context.Canceled)
	running.Wait()
	requireNoTables(t, target)
}

func TestProcessesNeedASpawn(t *testing.T) {
	t.Parallel()
	_, err := bench.Run(t.Context(), bench.Spec{Procs: 2}, onSQLite(t), nil)
	require.EqualError(t, err, "procs must be 1 on a target that starts no processes")
}
