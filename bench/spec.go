package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
)

// Spec says what is run. The zero value is a complete experiment that takes
// less than a minute.
type Spec struct {
	// Workloads are the names of the workloads. Defaults to
	// [workload.Defaults].
	Workloads []string
	// Strategies are the names of the strategies. Each is run on those of the
	// workloads that it serves, of which there must be one. Defaults to
	// [strategy.Defaults], without the control when there is one client, which
	// alone can lose nothing.
	Strategies []string
	// Clients is the number of concurrent clients, 1 to 10000. Defaults to 16.
	Clients int
	// Procs is the number of processes that share the clients, 1 to [MaxProcs] and
	// no more than there are clients. More than one needs [Target.Spawn]. Defaults
	// to 1: this process.
	Procs int
	// Keys is the number of rows, 1 to 1000000. Defaults to what each workload
	// says: see [workload.Workload.Keys].
	Keys int
	// Batch is the number of rows of a bulk operation, 1 to
	// [workload.MaxBatch]. Defaults to [workload.DefaultBatch].
	Batch int
	// Dist tells how often each row is chosen. Defaults to uniform.
	Dist workload.Dist
	// Duration is the measured time of one repetition of one strategy. Defaults
	// to [DefaultDuration], or to less if there is more to run than by default.
	Duration time.Duration
	// Reps is how often everything is repeated, 1 to 1000. Defaults to 6, the
	// least number with which a median has a 95 % confidence interval.
	Reps int
	// Seed makes the clients' choices repeatable: every strategy gets the same
	// ones. Defaults to 1.
	Seed uint64

	_ struct{} // no positional literals, so that fields may be added
}

// DefaultDuration is the default of [Spec.Duration] for up to a dozen
// combinations of workload and strategy. More of them share a minute.
const DefaultDuration = 700 * time.Millisecond

// The greatest values of a [Spec]'s fields.
const (
	MaxClients = 10_000
	MaxKeys    = 1_000_000
	MaxReps    = 1_000
	MaxProcs   = 64
)

// normal returns the spec with its defaults filled in, or an error that says
// what to change.
func (s Spec) normal() (Spec, error) {
	s.Clients = orDefault(s.Clients, 16)
	s.Procs = orDefault(s.Procs, 1)
	s.Batch = orDefault(s.Batch, workload.DefaultBatch)
	s.Reps = orDefault(s.Reps, 6)
	s.Seed = orDefault(s.Seed, 1)
	if len(s.Workloads) == 0 {
		s.Workloads = workload.Defaults()
	}
	if err := s.checkRanges(); err != nil {
		return s, err
	}
	if err := s.checkWorkloads(); err != nil {
		return s, err
	}
	if len(s.Strategies) == 0 {
		s.Strategies = s.defaultStrategies()
	}
	if err := s.checkStrategies(); err != nil {
		return s, err
	}
	s.Duration = orDefault(s.Duration, s.defaultDuration())
	return s, nil
}

// defaultDuration lets a run take less than a minute by default, the making and
// checking of tables included.
func (s *Spec) defaultDuration() time.Duration {
	const dozen, share = 12, 45 * time.Second / 6
	cells := len(s.cells())
	if cells <= dozen {
		return DefaultDuration
	}
	return (share / time.Duration(cells)).Truncate(10 * time.Millisecond)
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (s *Spec) defaultStrategies() []string {
	return slices.DeleteFunc(strategy.Defaults(), func(name string) bool {
		return s.Clients == 1 && isControl(name) || !s.serves(name)
	})
}

// serves tells whether a strategy is a way to do one of the workloads.
func (s *Spec) serves(name string) bool {
	one, err := strategy.Find(name)
	return err == nil && slices.ContainsFunc(s.workloads(), one.Serves)
}

func (s *Spec) checkRanges() error {
	switch {
	case s.Clients < 1 || s.Clients > MaxClients:
		return fmt.Errorf("clients must be 1 to %d, not %d", MaxClients, s.Clients)
	case s.Procs < 1 || s.Procs > MaxProcs:
		return fmt.Errorf("procs must be 1 to %d, not %d", MaxProcs, s.Procs)
	case s.Procs > s.Clients:
		return fmt.Errorf("procs must be at most the number of clients, which they share: %d is more than %d", s.Procs, s.Clients)
	case s.Keys < 0 || s.Keys > MaxKeys:
		return fmt.Errorf("keys must be 1 to %d, not %d", MaxKeys, s.Keys)
	case s.Batch < 1 || s.Batch > workload.MaxBatch:
		return fmt.Errorf("batch must be 1 to %d, not %d", workload.MaxBatch, s.Batch)
	case s.Reps < 1 || s.Reps > MaxReps:
		return fmt.Errorf("reps must be 1 to %d, not %d", MaxReps, s.Reps)
	case s.Duration < 0:
		return fmt.Errorf("duration must be positive, not %s", s.Duration)
	}
	return nil
}

func (s *Spec) checkWorkloads() error {
	for i, name := range s.Workloads {
		w, err := workload.Find(name)
		if err != nil {
			return err
		}
		if slices.Contains(s.Workloads[:i], name) {
			return fmt.Errorf("workload %q is named twice", name)
		}
		w = w.Sized(s.Batch)
		if err := w.Fits(s.keys(w)); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spec) checkStrategies() error {
	for i, name := range s.Strategies {
		one, err := strategy.Find(name)
		switch {
		case err != nil:
			return err
		case slices.Contains(s.Strategies[:i], name):
			return fmt.Errorf("strategy %q is named twice", name)
		case s.Clients == 1 && one.Control:
			return fmt.Errorf("strategy %s needs at least 2 clients: one alone cannot lose an update", name)
		case !s.serves(name):
			return fmt.Errorf("strategy %s is for workload %s only: name it too", name, strings.Join(served(one), " and "))
		}
	}
	for _, w := range s.workloads() {
		if !slices.ContainsFunc(s.cells(), func(c *cell) bool { return c.workload.Name == w.Name }) {
			return fmt.Errorf("workload %s has no strategy: none of those that are named is for it", w.Name)
		}
	}
	return nil
}

// served returns the names of the workloads that a strategy serves.
func served(one strategy.Strategy) []string {
	return slices.DeleteFunc(workload.Names(), func(name string) bool {
		w, err := workload.Find(name)
		return err != nil || !one.Serves(w)
	})
}

func isControl(name string) bool {
	s, err := strategy.Find(name)
	return err == nil && s.Control
}

// Validate returns an error that says what to change, or nil.
func (s Spec) Validate() error {
	_, err := s.normal()
	return err
}

// Total returns how long the measured time is in all.
func (s Spec) Total() time.Duration {
	s, _ = s.normal()
	return time.Duration(s.Reps*len(s.cells())) * s.Duration
}

// workloads returns the workloads, whose names are known to be right.
func (s *Spec) workloads() []workload.Workload {
	var all []workload.Workload
	for _, name := range s.Workloads {
		if w, err := workload.Find(name); err == nil {
			all = append(all, w.Sized(s.Batch))
		}
	}
	return all
}

// cells returns what is run: each strategy on each workload that it serves.
func (s *Spec) cells() []*cell {
	var cells []*cell
	for _, w := range s.workloads() {
		for _, name := range s.Strategies {
			if one, err := strategy.Find(name); err == nil && one.Serves(w) {
				cells = append(cells, &cell{workload: w, strategy: one})
			}
		}
	}
	return cells
}

// keys returns the number of rows of a workload.
func (s *Spec) keys(w workload.Workload) int { return orDefault(s.Keys, w.Keys()) }
