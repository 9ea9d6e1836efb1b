package hotkey

import "errors"

// ErrFull is returned when [Policy.MaxQueue] operations wait for the key already.
var ErrFull = errors.New("too many operations wait for the key")

// Ticket is an operation's place in the queue. It is used once.
type Ticket struct {
	// Op describes the operation to the [Work] function.
	Op any

	done    chan struct{} // gets one value when the operation is finished
	number  uint64        // order of arrival at its line
	taken   bool          // being worked on: nobody leaves now
	urgent  bool
	leaving bool // its caller wants to leave as soon as it waits again
	left    bool // and has left, with nothing done
}

// Number is the operation's place in the order in which operations on its key
// arrived: see [Line.Arrived].
func (t *Ticket) Number() uint64 { return t.number }

// finish is called once, by whoever took the operation.
func (t *Ticket) finish() { t.done <- struct{}{} }

func (t *Ticket) open(urgent bool) {
	t.urgent = urgent
	t.done = make(chan struct{}, 1)
}
