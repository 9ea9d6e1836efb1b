// Package hotkey decides and organises what happens when many callers of one
// process want the same key at once: they queue, and one round trip serves as many
// of them as wait.
//
// It knows keys and operations, and nothing of rows and SQL: package occ brings
// the work that is done on a key. See [Policy] for the choices, and
// occ.Repository.Mutate for what callers see.
package hotkey

import (
	"fmt"
	"time"
)

// Mode is how operations on a contended key are run: the rungs of a ladder, from
// free to strict.
type Mode uint8

const (
	// Auto: each operation runs by itself while its key is cold. When a second one
	// comes meanwhile, or a conflict shows writers of other processes, the key is
	// hot: its operations are combined, and grouped with those of other hot keys,
	// until it has been idle for a while. It costs nothing measurable while keys
	// are cold.
	Auto Mode = iota
	// Backoff: each operation runs by itself, and waits as the retry policy says
	// after a conflict.
	Backoff
	// Gate: operations on one key run one after the other, first come, first
	// served. Each hands the row that it committed to the next, which need not
	// read it again.
	Gate
	// Combine: operations on one key that wait at the same time are applied in
	// order to the row in memory, and written by one statement.
	Combine
	// Lock: each operation locks its row in the database before it reads it.
	Lock

	modes // how many there are
)

var modeNames = [modes]string{"auto", "backoff", "gate", "combine", "lock"}

// String returns the mode's name in lower case, which is stable.
func (m Mode) String() string {
	if m < modes {
		return modeNames[m]
	}
	return "invalid"
}

// What a [Policy] means where it says nothing.
const (
	defaultMaxBatch = 256
	defaultMaxKeys  = 128
	defaultMaxQueue = 10_000
	defaultMaxHold  = 5 * time.Millisecond
	defaultIdle     = time.Second
)

// Policy says how contended keys are treated. Its zero value works: it is [Auto].
type Policy struct {
	// Mode is how operations on a contended key are run. Defaults to Auto.
	Mode Mode
	// MaxBatch is how many operations on one key share a write. Defaults to 256.
	MaxBatch int
	// MaxKeys is how many keys share a statement, where the database can check
	// and write several rows in one (group commit across keys). Defaults to 128;
	// 1 means that every key is written by itself.
	MaxKeys int
	// MaxQueue is how many operations on one key may wait in this process. One
	// more fails at once. Defaults to 10,000.
	MaxQueue int
	// MaxHold bounds how long the functions of one batch run in all: what is left
	// of the batch after that waits for the next one. Defaults to 5 ms.
	MaxHold time.Duration
	// Idle is how long the row of a key is remembered after its last operation,
	// and how long the key counts as hot. Defaults to 1 second.
	Idle time.Duration

	_ struct{} // no positional literals, so that fields may be added
}

// Validate returns an error that names the first field whose value has no
// meaning.
func (p Policy) Validate() error {
	switch {
	case p.Mode >= modes:
		return fmt.Errorf("hotkey: Policy.Mode is %d, which is none of Auto, Backoff, Gate, Combine, Lock", p.Mode)
	case p.MaxBatch < 0:
		return fmt.Errorf("hotkey: Policy.MaxBatch is %d, must not be negative", p.MaxBatch)
	case p.MaxKeys < 0:
		return fmt.Errorf("hotkey: Policy.MaxKeys is %d, must not be negative", p.MaxKeys)
	case p.MaxQueue < 0:
		return fmt.Errorf("hotkey: Policy.MaxQueue is %d, must not be negative", p.MaxQueue)
	case p.MaxHold < 0:
		return fmt.Errorf("hotkey: Policy.MaxHold is %s, must not be negative", p.MaxHold)
	case p.Idle < 0:
		return fmt.Errorf("hotkey: Policy.Idle is %s, must not be negative", p.Idle)
	default:
		return nil
	}
}

// normal returns the policy with its defaults filled in.
func (p Policy) normal() Policy {
	p.MaxBatch = orDefault(p.MaxBatch, defaultMaxBatch)
	p.MaxKeys = orDefault(p.MaxKeys, defaultMaxKeys)
	p.MaxQueue = orDefault(p.MaxQueue, defaultMaxQueue)
	p.MaxHold = orDefault(p.MaxHold, defaultMaxHold)
	p.Idle = orDefault(p.Idle, defaultIdle)
	if p.Mode == Gate {
		p.MaxBatch, p.MaxKeys = 1, 1
	}
	return p
}

func orDefault[T int | time.Duration](value, fallback T) T {
	if value == 0 {
		return fallback
	}
	return value
}
