package retry

import (
	"errors"
	"time"
)

// Pass is the leave to make one call. Exactly one of Answered, Failed and Left
// ends it; each tells how the breaker changed by that, zero being not at all.
// The zero Pass does nothing.
type Pass struct {
	b    *Breaker
	word uint64      // of the breaker when the pass was given
	done func(error) // ends a probe; nil for other calls
}

// Calm reports that the last call was answered, as far as is known. Otherwise the
// server is suspect: make sure that the call reaches it, and does not succeed on
// the strength of something that was pooled before.
func (p Pass) Calm() bool { return p.b == nil || p.word&7 == 0 }

// Enter asks for leave to make a call. While the breaker is open the error is an
// [*OpenError]. Changed is [HalfOpen] when this call is the probe.
func (b *Breaker) Enter() (p Pass, changed State, err error) {
	if b == nil || b.Off {
		return Pass{}, 0, nil
	}
	word := b.word.Load()
	if s := word & 7; s == 0 || s == failing {
		return Pass{b: b, word: word}, 0, nil
	}
	if e := b.open.Load(); time.Now().Before(e.Until) {
		return Pass{}, 0, e
	}
	return b.enterSlowly()
}

// enterSlowly asks the circuit, which makes a call the probe when it is time.
func (b *Breaker) enterSlowly() (Pass, State, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.changed = 0
	if e := b.open.Load(); b.probe != nil && !time.Now().Before(e.Until) {
		b.probe(errHung) // open again
		b.probe = nil
	}
	done, err := b.circuit.Allow()
	if err != nil { // somebody else was faster
		return Pass{}, b.changed, b.open.Load()
	}
	p := Pass{b: b, word: b.word.Load()}
	if State(p.word&7) != HalfOpen {
		done(errLeft) // closed meanwhile
		return p, b.changed, nil
	}
	p.done, b.probe = done, done
	b.until(patience, true)
	return p, b.changed, nil
}

var (
	errHung = errors.New("the probe did not come back")
	errLeft = errors.New("no verdict")
)

// Answered ends the call: the server answered, if only with a refusal.
func (p Pass) Answered() State {
	if p.Calm() {
		return 0
	}
	return p.end(nil)
}

// Failed ends the call: there was no server to answer, and err says how.
func (p Pass) Failed(err error) State {
	if p.b == nil {
		return 0
	}
	return p.end(err)
}

// Left ends the call without a verdict: the caller stopped waiting, or the error
// proves nothing.
func (p Pass) Left() State {
	if p.Calm() {
		return 0
	}
	return p.end(errLeft)
}

// end tells the circuit about a call, unless the breaker opened or closed since
// it began: what it met is history then.
func (p Pass) end(err error) State {
	b := p.b
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.word.Load()>>3 != p.word>>3 {
		return 0
	}
	b.changed = 0
	if err != nil && err != errLeft { //nolint:errorlint // identity is meant
		b.outage(err)
	}
	if p.done != nil {
		b.probe = nil
		b.until(0, false) // the next call is a probe, unless this one decides
		p.done(err)
		return b.changed
	}
	b.start()
	if done, refused := b.circuit.Allow(); refused == nil {
		done(err)
	}
	switch {
	case b.changed != 0:
	case err == nil:
		b.set(0, p.word>>3)
	case err != errLeft: //nolint:errorlint // identity is meant
		b.set(failing, p.word>>3)
	}
	return b.changed
}
