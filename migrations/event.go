package migrations

import (
	"time"

	"github.com/occkit/occkit/dialects"
)

// EventState is what an [Event] tells.
type EventState string

// A step is waited for, done by this migrator, found done by another one, or in
// the middle of its parts; a backfill pauses for a reason; a table is ready.
const (
	Waiting   EventState = "waiting"
	Done      EventState = "done"
	Elsewhere EventState = "done elsewhere"
	Filling   EventState = "filling"
	Paused    EventState = "paused"
	Ready     EventState = "ready"
)

// Event is something that happened to a table. It is what --jsonl prints.
type Event struct {
	Time  time.Time  `json:"ts"`
	Table string     `json:"table"`
	Step  string     `json:"step,omitempty"`
	State EventState `json:"state"`
	// Attempt counts the attempts to get the lock, Waited is how long they took.
	Attempt int           `json:"attempt,omitempty"`
	Waited  time.Duration `json:"waited_ns,omitempty"`
	// Took is how long the step itself took, with the lock in hand.
	Took time.Duration `json:"took_ns,omitempty"`
	// Blockers are who is in the way. Why says it where nobody can be named.
	Blockers []dialects.SchemaBlocker `json:"blockers,omitempty"`
	Why      string                   `json:"why,omitempty"`
	// Rows are filled so far, of about Total (-1 when unknown), in parts of Chunk.
	Rows  int64 `json:"rows,omitempty"`
	Total int64 `json:"total,omitempty"`
	Chunk int   `json:"chunk,omitempty"`
	// Slowest is the longest that a part kept its rows locked.
	Slowest time.Duration `json:"slowest_ns,omitempty"`
}

func (m *Migrator) tell(e Event) {
	e.Time = m.o.Now()
	m.o.Progress(e)
}
