package bench

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/occkit/occkit/bench/audit"
	"github.com/occkit/occkit/bench/measure"
	"github.com/occkit/occkit/bench/strategy"
)

// part is what happened in one process during a repetition. It travels as JSON.
type part struct {
	// Base is when the clients began, on the clock that the machine's processes
	// share; Elapsed is the time until the last operation ended.
	Base    int64
	Elapsed time.Duration
	// Shares are the commits of each client.
	Shares    []int64
	Latencies *measure.Latencies
	Tally     tally
	// Ways counts the tries that won by how they were run.
	Ways map[string]int64
	// Draws counts how often each key was chosen.
	Draws []int64
	// Acked and Unknown are what operations did to rows, in time since Base.
	Acked, Unknown effects
	// Failure is err as text, for the way between processes.
	Failure string
	err     error
}

// tally counts operations and tries; see [Rep].
type tally struct {
	Commits, Attempts, Conflicts, GaveUp, Errors, Unknown, Declined, Forbidden int64
}

func (t *tally) add(o tally) {
	t.Commits += o.Commits
	t.Attempts += o.Attempts
	t.Conflicts += o.Conflicts
	t.GaveUp += o.GaveUp
	t.Errors += o.Errors
	t.Unknown += o.Unknown
	t.Declined += o.Declined
	t.Forbidden += o.Forbidden
}

// effects are many: their JSON form is one list of numbers.
type effects []audit.Effect

const effectNumbers = 5

func (e *effects) note(writes []strategy.Write, start, end time.Duration) {
	for _, w := range writes {
		*e = append(*e, audit.Effect{
			Key: w.Key, Delta: w.Delta, Version: w.Version, Start: int64(start), End: int64(end),
		})
	}
}

// MarshalJSON implements [json.Marshaler].
func (e effects) MarshalJSON() ([]byte, error) {
	numbers := make([]int64, 0, effectNumbers*len(e))
	for _, one := range e {
		numbers = append(numbers, one.Key, one.Delta, one.Version, one.Start, one.End)
	}
	return json.Marshal(numbers)
}

// UnmarshalJSON implements [json.Unmarshaler].
func (e *effects) UnmarshalJSON(text []byte) error {
	var n []int64
	if err := json.Unmarshal(text, &n); err != nil {
		return err
	}
	if len(n)%effectNumbers != 0 {
		return fmt.Errorf("%d numbers are no effects", len(n))
	}
	for ; len(n) > 0; n = n[effectNumbers:] {
		*e = append(*e, audit.Effect{Key: n[0], Delta: n[1], Version: n[2], Start: n[3], End: n[4]})
	}
	return nil
}

// collect puts the parts of a repetition together, and audits it as a whole.
func collect(parts []part, h audit.History) Rep {
	all, clients, draws := tally{}, []int64(nil), make([]int64, len(h.Final))
	latencies := measure.NewLatencies()
	begin, end := span(parts)
	var firstError error
	for i := range parts {
		p := &parts[i]
		h.Acknowledged = p.Acked.since(h.Acknowledged, p.Base-begin)
		h.Unknown = p.Unknown.since(h.Unknown, p.Base-begin)
		all.add(p.Tally)
		clients = append(clients, p.Shares...)
		latencies.Merge(p.Latencies)
		for key, n := range p.Draws {
			draws[key] += n
		}
		if firstError == nil {
			firstError = p.failure()
		}
	}
	h.Forbidden = all.Forbidden
	rep := newRep(all, time.Duration(end-begin))
	rep.FirstError = firstError
	rep.Jain, rep.Collision = measure.Jain(clients), measure.Collision(draws)
	rep.Shares, rep.Ways = shares(parts), ways(parts)
	rep.LatencyUS = percentiles(latencies)
	rep.Audit = audit.Check(h)
	rep.Lost, rep.Duplicate, rep.OutOfOrder = rep.Audit.Lost, rep.Audit.Duplicate, rep.Audit.OutOfOrder
	rep.Broken = rep.Audit.Broken
	return rep
}

// span returns when the first client began and the last one ended.
func span(parts []part) (begin, end int64) {
	begin = parts[0].Base
	for i := range parts {
		begin = min(begin, parts[i].Base)
		end = max(end, parts[i].Base+int64(parts[i].Elapsed))
	}
	return begin, end
}

// shares returns the processes' shares of the commits, if there are several.
func shares(parts []part) []float64 {
	if len(parts) == 1 {
		return nil
	}
	commits := make([]int64, len(parts))
	for i := range parts {
		commits[i] = parts[i].Tally.Commits
	}
	return measure.Shares(commits)
}

// ways adds up in which ways operations were run.
func ways(parts []part) map[string]int64 {
	var all map[string]int64
	for i := range parts {
		if all == nil && parts[i].Ways != nil {
			all = map[string]int64{}
		}
		for name, n := range parts[i].Ways {
			all[name] += n
		}
	}
	return all
}

// since appends effects to others, which happened so much later.
func (e effects) since(to []audit.Effect, later int64) []audit.Effect {
	for _, one := range e {
		one.Start += later
		one.End += later
		to = append(to, one)
	}
	return to
}

func (p *part) failure() error {
	if p.err == nil && p.Failure != "" {
		return errors.New(p.Failure)
	}
	return p.err
}

func newRep(t tally, d time.Duration) Rep {
	return Rep{
		Seconds: d.Seconds(), Commits: t.Commits, Attempts: t.Attempts, Conflicts: t.Conflicts,
		GaveUp: t.GaveUp, Errors: t.Errors, Unknown: t.Unknown, Declined: t.Declined,
	}
}

func percentiles(l *measure.Latencies) Latency {
	return Latency{P50: l.Micros(50), P90: l.Micros(90), P99: l.Micros(99), P999: l.Micros(99.9), Max: l.Micros(100)}
}
