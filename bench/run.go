package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
)

// Progress tells how far a run is. It is sent before every repetition of a
// cell, and once at the end.
type Progress struct {
	// Done of Total repetitions of cells have ended.
	Done, Total int
	// Round is the repetition that begins, of Rounds.
	Round, Rounds int
	// Workload and Strategy are the cell that begins; empty at the end.
	Workload, Strategy string
	// Left is about how long the rest takes.
	Left time.Duration
	// Commits is the number of commits so far.
	Commits int64
}

// Run runs the experiment and judges it. Progress may be nil; it is called on
// the calling goroutine. A violation is no error: it is the result's verdict.
//
// Each repetition has a table of its own, which is dropped before Run returns,
// also when ctx ends. Then, and when the database fails, Run returns an error
// and nothing is judged.
func Run(ctx context.Context, spec Spec, target Target, progress func(Progress)) (Result, error) {
	spec, err := spec.normal()
	if err != nil {
		return Result{}, err
	}
	if spec.Procs > 1 && target.Spawn == nil {
		return Result{}, errors.New("procs must be 1 on a target that starts no processes")
	}
	e := &experiment{spec: spec, target: target, progress: progress}
	e.plan()
	if spec.Procs > 1 {
		e.peers, err = startPeers(ctx, target.Spawn, spec.Procs)
		if err != nil {
			return Result{}, err
		}
	}
	started := time.Now()
	err = e.rounds(ctx)
	if closeErr := e.peers.close(); err == nil && closeErr != nil {
		err = fmt.Errorf("a process of the benchmark ended badly: %w", closeErr)
	}
	if err != nil {
		return Result{}, err
	}
	e.report(Progress{Done: e.done, Total: e.total(), Round: spec.Reps, Rounds: spec.Reps, Commits: e.commits})
	return e.result(started), nil
}

// experiment is a run on its way.
type experiment struct {
	spec     Spec
	target   Target
	cells    []*cell
	peers    peers
	progress func(Progress)
	begun    time.Time
	done     int
	commits  int64
}

// cell is one strategy on one workload.
type cell struct {
	workload workload.Workload
	strategy strategy.Strategy
	keys     *workload.Sampler
	reps     []Rep
}

func (e *experiment) plan() {
	samplers := map[int]*workload.Sampler{}
	e.cells = e.spec.cells()
	for _, c := range e.cells {
		n := e.spec.keys(c.workload)
		if samplers[n] == nil {
			samplers[n] = workload.NewSampler(e.spec.Dist, n, e.spec.Seed)
		}
		c.keys = samplers[n]
	}
	e.begun = time.Now()
}

func (e *experiment) total() int { return len(e.cells) * e.spec.Reps }

func (e *experiment) rounds(ctx context.Context) error {
	for round := range e.spec.Reps {
		if err := e.round(ctx, round); err != nil {
			return err
		}
	}
	return nil
}

// round runs every cell once, in an order of its own.
func (e *experiment) round(ctx context.Context, round int) error {
	order := rand.New(rand.NewPCG(e.spec.Seed, uint64(round))).Perm(len(e.cells))
	for _, i := range order {
		c := e.cells[i]
		e.report(Progress{
			Done: e.done, Total: e.total(), Round: round + 1, Rounds: e.spec.Reps,
			Workload: c.workload.Name, Strategy: c.strategy.Name, Left: e.left(), Commits: e.commits,
		})
		rep, err := e.repeat(ctx, c, round)
		if err != nil {
			return fmt.Errorf("%s, %s: %w", c.workload.Name, c.strategy.Name, err)
		}
		c.reps = append(c.reps, rep)
		e.commits += rep.Commits
		e.done++
	}
	return nil
}

func (e *experiment) report(p Progress) {
	if e.progress != nil {
		e.progress(p)
	}
}

// left estimates the time that is still needed.
func (e *experiment) left() time.Duration {
	each := e.spec.Duration
	if e.done > 0 {
		each = time.Since(e.begun) / time.Duration(e.done)
	}
	return time.Duration(e.total()-e.done) * each
}

func (e *experiment) environment(started time.Time) Environment {
	return Environment{
		Started: started.UTC().Format(time.RFC3339), Go: runtime.Version(),
		OS: runtime.GOOS, Arch: runtime.GOARCH, CPU: cpuModel(), CPUs: runtime.GOMAXPROCS(0),
		Database: e.target.Dialect.Name(), Server: e.target.Server, Settings: e.target.Settings,
		Connections: e.target.Connections,
		DelayMS:     millis(e.target.Delay), CommitDelayMS: millis(e.target.CommitDelay), DurationS: e.spec.Duration.Seconds(), Seed: e.spec.Seed,
		Collision: e.cells[0].keys.Collision(),
	}
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// cpuModel returns the processor's name where the system has it in a file.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
