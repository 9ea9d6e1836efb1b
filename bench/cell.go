package bench

import (
	"time"

	"github.com/occkit/occkit/bench/measure"
)

func (e *experiment) result(started time.Time) Result {
	r := Result{Schema: Schema, Environment: e.environment(started)}
	for _, c := range e.cells {
		r.Cells = append(r.Cells, c.summary(e.spec))
	}
	summary := Summarize(r.Cells)
	r.Verdict = summary.Verdict()
	return r
}

func (c *cell) summary(spec Spec) Cell {
	cell := Cell{
		Workload: c.workload.Name, Strategy: c.strategy.Name, Clients: spec.Clients,
		Keys: c.keys.Len(), Dist: spec.Dist.String(), Reps: c.reps, CommitsPerS: rate(c.reps),
		Collision:          Collision{Predicted: c.keys.Collision(), Measured: collision(c.reps)},
		ConflictsPerCommit: Conflicts{Predicted: c.predict(spec.Clients), Measured: conflicts(c.reps)},
	}
	if spec.Procs > 1 {
		cell.Procs = spec.Procs
	}
	if c.workload.Bulk {
		cell.Batch = c.workload.Rows
	}
	return cell
}

// credible is the greatest probability of a conflict for which the first-order
// estimate is one: beyond, operations that wait or start again change the picture.
const credible = 0.05

// predict estimates the conflicts per commit: see [Conflicts].
func (c *cell) predict(clients int) *float64 {
	if !c.strategy.Checked || c.workload.Rows != 1 || c.workload.Bulk {
		return nil
	}
	p := float64(clients-1) / 2 * c.keys.Collision()
	if p > credible {
		return nil
	}
	p /= 1 - p // of a try; a commit takes 1/(1-p) of them
	return &p
}

func conflicts(reps []Rep) float64 {
	var conflicts, commits int64
	for _, rep := range reps {
		conflicts += rep.Conflicts
		commits += rep.Commits
	}
	return float64(conflicts) / float64(max(commits, 1))
}

func collision(reps []Rep) float64 {
	var samples []float64
	for _, rep := range reps {
		samples = append(samples, rep.Collision)
	}
	return measure.MedianOf(samples).Value
}

// rate summarises the commits per second of repetitions.
func rate(reps []Rep) Interval {
	var samples []float64
	for _, rep := range reps {
		samples = append(samples, float64(rep.Commits)/rep.Seconds)
	}
	m := measure.MedianOf(samples)
	i := Interval{Median: m.Value}
	if m.Bounded {
		i.CILow, i.CIHigh = &m.Low, &m.High
	}
	return i
}
