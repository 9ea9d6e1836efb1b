package bench

import "fmt"

// Summary is a [Result] in a few numbers.
type Summary struct {
	// Commits is the number of acknowledged commits of all strategies but the
	// control; Lost, Duplicate, OutOfOrder and Broken is what the audit found
	// wrong with them, and Unknown how many outcomes were not acknowledged.
	Commits, Lost, Duplicate, OutOfOrder, Broken, Unknown int64
	// Control is the name of the control; empty when it was not run.
	Control string
	// ControlLost is how many updates the control lost.
	ControlLost int64
	// Problems say what is wrong, one line each. Without any the verdict is OK.
	Problems []string
}

// Caught tells whether the control was run and lost updates on every workload,
// which it must.
func (s *Summary) Caught() bool { return s.Control != "" && s.ControlLost > 0 }

// Summarize judges a result by its cells.
func Summarize(cells []Cell) Summary {
	var s Summary
	for _, cell := range cells {
		if isControl(cell.Strategy) {
			s.control(cell)
		} else {
			s.exact(cell)
		}
	}
	return s
}

// control demands that a cell lost updates.
func (s *Summary) control(cell Cell) {
	var lost int64
	for _, rep := range cell.Reps {
		lost += rep.Lost
	}
	s.Control = cell.Strategy
	s.ControlLost += lost
	if lost == 0 {
		s.Problems = append(s.Problems, fmt.Sprintf(
			"%s: the control %s lost nothing, so the check proves nothing: raise clients, or lower keys",
			cell.Workload, cell.Strategy))
	}
}

// exact demands that a cell lost nothing.
func (s *Summary) exact(cell Cell) {
	for i, rep := range cell.Reps {
		s.Commits += rep.Commits
		s.Lost += rep.Lost
		s.Duplicate += rep.Duplicate
		s.OutOfOrder += rep.OutOfOrder
		s.Broken += rep.Broken
		s.Unknown += rep.Unknown
		if rep.Lost == 0 && rep.Duplicate == 0 && rep.OutOfOrder == 0 && rep.Broken == 0 {
			continue
		}
		problem := fmt.Sprintf("%s, %s, repetition %d: %d lost, %d duplicate, %d out of order",
			cell.Workload, cell.Strategy, i+1, rep.Lost, rep.Duplicate, rep.OutOfOrder)
		if rep.Broken > 0 {
			problem += fmt.Sprintf(", %d otherwise wrong", rep.Broken)
		}
		if len(rep.Audit.Findings) > 0 {
			problem += ": " + rep.Audit.Findings[0]
		}
		s.Problems = append(s.Problems, problem)
	}
}

// Verdict returns [OK] or [Violated].
func (s *Summary) Verdict() string {
	if len(s.Problems) > 0 {
		return Violated
	}
	return OK
}
