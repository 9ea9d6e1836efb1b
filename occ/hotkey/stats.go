package hotkey

import "sync/atomic"

// Stats counts what a table has done so far. The counts are not of one instant.
type Stats struct {
	// Rounds is the number of rounds, Lines the number of keys that they worked
	// on: Lines / Rounds is how many keys share a statement.
	Rounds, Lines int64
	// Left is how many operations left the queue because their context ended,
	// Overflows how many found it full.
	Left, Overflows int64
}

type counters struct{ rounds, lines, left, overflows atomic.Int64 }

// Stats returns the counts.
func (t *Table[K]) Stats() Stats {
	return Stats{
		Rounds: t.stats.rounds.Load(), Lines: t.stats.lines.Load(),
		Left: t.stats.left.Load(), Overflows: t.stats.overflows.Load(),
	}
}
