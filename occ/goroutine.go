package occ

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
)

// appliers knows the goroutines that run functions of callers, so that a function
// which calls Mutate again is found out instead of waiting for itself: such a
// call is on the same goroutine and can be told by nothing else, since the
// function gets no context.
type appliers struct {
	n       atomic.Int64
	running sync.Map // goroutine number -> *sweep
}

// enter notes that the calling goroutine runs s, until the result is called.
func (a *appliers) enter(s any) func() {
	id := goroutine()
	a.running.Store(id, s)
	a.n.Add(1)
	return func() {
		a.n.Add(-1)
		a.running.Delete(id)
	}
}

// current returns what the calling goroutine runs; nil for most. It costs one
// atomic load while nothing is run.
func (a *appliers) current() any {
	if a.n.Load() == 0 {
		return nil
	}
	s, _ := a.running.Load(goroutine())
	return s
}

// goroutine returns the number of the calling goroutine, as its stack trace shows
// it: "goroutine 18 [running]:". There is no other way to know it.
func goroutine() string {
	var trace [40]byte
	text := trace[:runtime.Stack(trace[:], false)]
	text = bytes.TrimPrefix(text, []byte("goroutine "))
	number, _, _ := bytes.Cut(text, []byte(" "))
	return string(number)
}
