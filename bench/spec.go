package bench

import (
	"fmt"
	"slices"
	"time"

	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
)

// Spec says what is run. The zero value is a complete experiment that takes
// less than a minute.
type Spec struct {
	// Workloads are the names of the workloads. Defaults to all.
	Workloads []string
	// Strategies are the names of the strategies. Defaults to all, without the
	// control when there is one client, which alone can lose nothing.
	Strategies []string
	// Clients is the number of concurrent clients, 1 to 10000. Defaults to 16.
	Clients int
	// Keys is the number of rows, 1 to 1000000. Defaults to 8.
	Keys int
	// Dist tells how often each row is chosen. Defaults to uniform.
	Dist workload.Dist
	// Duration is the measured time of one repetition of one strategy. Defaults
	// to [DefaultDuration].
	Duration time.Duration
	// Reps is how often everything is repeated, 1 to 1000. Defaults to 6, the
	// least number with which a median has a 95 % confidence interval.
	Reps int
	// Seed makes the clients' choices repeatable: every strategy gets the same
	// ones. Defaults to 1.
	Seed uint64

	_ struct{} // no positional literals, so that fields may be added
}

// DefaultDuration is the default of [Spec.Duration].
const DefaultDuration = 700 * time.Millisecond

// The greatest values of a [Spec]'s fields.
const (
	MaxClients = 10_000
	MaxKeys    = 1_000_000
	MaxReps    = 1_000
)

// normal returns the spec with its defaults filled in, or an error that says
// what to change.
func (s Spec) normal() (Spec, error) {
	s.Clients = orDefault(s.Clients, 16)
	s.Keys = orDefault(s.Keys, 8)
	s.Duration = orDefault(s.Duration, DefaultDuration)
	s.Reps = orDefault(s.Reps, 6)
	s.Seed = orDefault(s.Seed, 1)
	if len(s.Workloads) == 0 {
		s.Workloads = workload.Names()
	}
	if len(s.Strategies) == 0 {
		s.Strategies = strategy.Names()
		if s.Clients == 1 {
			s.Strategies = slices.DeleteFunc(s.Strategies, isControl)
		}
	}
	if err := s.checkRanges(); err != nil {
		return s, err
	}
	return s, s.checkNames()
}

func orDefault[T comparable](value, fallback T) T {
	var zero T
	if value == zero {
		return fallback
	}
	return value
}

func (s *Spec) checkRanges() error {
	switch {
	case s.Clients < 1 || s.Clients > MaxClients:
		return fmt.Errorf("clients must be 1 to %d, not %d", MaxClients, s.Clients)
	case s.Keys < 1 || s.Keys > MaxKeys:
		return fmt.Errorf("keys must be 1 to %d, not %d", MaxKeys, s.Keys)
	case s.Reps < 1 || s.Reps > MaxReps:
		return fmt.Errorf("reps must be 1 to %d, not %d", MaxReps, s.Reps)
	case s.Duration < 0:
		return fmt.Errorf("duration must be positive, not %s", s.Duration)
	}
	return nil
}

func (s *Spec) checkNames() error {
	for i, name := range s.Workloads {
		w, err := workload.Find(name)
		switch {
		case err != nil:
			return err
		case slices.Contains(s.Workloads[:i], name):
			return fmt.Errorf("workload %q is named twice", name)
		case s.Keys < w.MinKeys:
			return fmt.Errorf("workload %s needs at least %d keys, not %d: raise keys, or choose other workloads", name, w.MinKeys, s.Keys)
		}
	}
	for i, name := range s.Strategies {
		_, err := strategy.Find(name)
		switch {
		case err != nil:
			return err
		case slices.Contains(s.Strategies[:i], name):
			return fmt.Errorf("strategy %q is named twice", name)
		case s.Clients == 1 && isControl(name):
			return fmt.Errorf("strategy %s needs at least 2 clients: one alone cannot lose an update", name)
		}
	}
	return nil
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
	return time.Duration(s.Reps*len(s.Workloads)*len(s.Strategies)) * s.Duration
}
