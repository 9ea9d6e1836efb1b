package retry

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
)

const (
	defaultFailures = 5
	defaultWait     = 250 * time.Millisecond
	patience        = 10 * time.Second // with a probe that does not come back
)

// Breaker is a circuit breaker for a server that cannot be reached: after some
// outages in a row it opens, and for a while every call fails at once with an
// [*OpenError] and nothing is sent. Then one call is let through as a probe: if
// the server answers, whatever it says, the breaker closes; if not, it stays open
// for another while. Conflicts and refusals are answers, and never open it.
//
// It is built on sony/gobreaker, and adds what a hot path needs: while the
// breaker is closed and the last call was answered, it costs one atomic load and
// no allocation.
//
// The zero value is closed, with the defaults. It is safe for concurrent use and
// may be shared by several users of one server. It must not be copied or have its
// fields changed after first use.
type Breaker struct {
	// Failures is how many outages in a row open the breaker. Defaults to 5.
	// Negative is invalid.
	Failures int
	// Wait is how long it stays open before the next probe. Defaults to 250 ms.
	// Negative is invalid.
	Wait time.Duration
	// Off keeps the breaker closed for ever. Defaults to false.
	Off bool

	word atomic.Uint64             // generation<<3 | state
	open atomic.Pointer[OpenError] // what refused calls get; set before word says so

	mu      sync.Mutex
	circuit *gobreaker.TwoStepCircuitBreaker[struct{}] // made at the first outage
	changed State                                      // by the call of circuit that runs
	probe   func(error)                                // ends the probe that is on its way
}

// State is what a [Breaker] does with calls.
type State uint8

const (
	// Closed: calls pass.
	Closed State = iota + 1
	// Open: calls are refused.
	Open
	// HalfOpen: one call is on its way as a probe, others are refused.
	HalfOpen
)

// String returns "closed", "open" or "half-open", which are stable.
func (s State) String() string {
	return [...]string{"unchanged", "closed", "open", "half-open"}[min(s, 3)]
}

// Internal states of word, beside those above: closed with nothing to remember is
// zero, so that the zero Breaker is ready.
const failing = uint64(HalfOpen) + 1 // closed, and the last call met an outage

// ErrOpen is what every [*OpenError] is.
var ErrOpen = errors.New("retry: circuit open")

// OpenError says that a [Breaker] refused a call: nothing was sent. It is
// [ErrOpen], and also whatever Err is.
type OpenError struct {
	Since   time.Time // when the breaker opened
	Until   time.Time // when a call is let through again
	Probing bool      // a probe is on its way, and Until is when it is given up
	Err     error     // the last outage
}

// Error returns a text such as "nothing sent: no answer since 15:04:05.000,
// tried again at 15:04:05.250: connection refused".
func (e *OpenError) Error() string {
	next := "tried again at " + e.Until.Format(clock)
	if e.Probing {
		next = "being tried again now"
	}
	text := fmt.Sprintf("nothing sent: no answer since %s, %s", e.Since.Format(clock), next)
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

const clock = "15:04:05.000"

// Is reports whether target is [ErrOpen].
func (e *OpenError) Is(target error) bool { return target == ErrOpen }

// Unwrap returns the last outage.
func (e *OpenError) Unwrap() error { return e.Err }

// Validate returns an error that names the first field whose value has no
// meaning. A nil Breaker is valid and lets everything pass.
func (b *Breaker) Validate() error {
	switch {
	case b == nil:
		return nil
	case b.Failures < 0:
		return fmt.Errorf("retry: Breaker.Failures is %d, must not be negative", b.Failures)
	case b.Wait < 0:
		return fmt.Errorf("retry: Breaker.Wait is %s, must not be negative", b.Wait)
	default:
		return nil
	}
}

// State returns what the breaker does with calls now. An open breaker whose time
// is over stays open until somebody calls.
func (b *Breaker) State() State {
	if b == nil {
		return Closed
	}
	switch s := b.word.Load() & 7; s {
	case uint64(Open), uint64(HalfOpen):
		return State(s)
	default:
		return Closed
	}
}

// outage notes what refused calls are going to be told.
func (b *Breaker) outage(err error) {
	e := OpenError{Since: time.Now()}
	if last := b.open.Load(); last != nil && b.word.Load()&7 != 0 {
		e = *last
	}
	e.Err = err
	b.open.Store(&e)
}

// start makes the circuit, which is not needed before the first outage.
func (b *Breaker) start() {
	if b.circuit != nil {
		return
	}
	failures := uint32(defaultFailures)
	if b.Failures > 0 {
		failures = uint32(min(b.Failures, 1<<30)) //nolint:gosec // in range
	}
	b.circuit = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		MaxRequests:   1,
		Timeout:       b.wait(),
		ReadyToTrip:   func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= failures },
		IsExcluded:    func(err error) bool { return err == errLeft }, //nolint:errorlint // identity is meant
		OnStateChange: func(_ string, _, to gobreaker.State) { b.change(to) },
	})
}

func (b *Breaker) wait() time.Duration {
	if b.Wait == 0 {
		return defaultWait
	}
	return b.Wait
}

// until sets how long calls are refused.
func (b *Breaker) until(d time.Duration, probing bool) {
	e := *b.open.Load()
	e.Until, e.Probing = time.Now().Add(d), probing
	b.open.Store(&e)
}

// change follows the circuit. It runs inside of a call of circuit, under mu.
func (b *Breaker) change(to gobreaker.State) {
	generation := b.word.Load()>>3 + 1
	switch to {
	case gobreaker.StateOpen:
		b.changed = Open
		b.until(b.wait(), false)
		b.set(uint64(Open), generation)
	case gobreaker.StateHalfOpen:
		b.changed = HalfOpen
		b.set(uint64(HalfOpen), generation)
	case gobreaker.StateClosed:
		b.changed = Closed
		b.set(0, generation)
	}
}

func (b *Breaker) set(state, generation uint64) { b.word.Store(generation<<3 | state) }
