// Package distance puts a distance between a client and its server: whatever one
// sends arrives at the other one later, as over a network, in order and without
// loss.
package distance

import (
	"context"
	"net"
	"sync"
	"time"
)

// Dialer opens connections to servers that seem to be far away.
type Dialer struct {
	// Delay is how much later data arrive, in each direction: a round trip takes
	// twice as much longer.
	Delay time.Duration
	// Precise keeps to the delay on average, where the operating system can: Go's
	// own timers are late by a tenth of a millisecond and more.
	Precise bool
	// Dial opens the connection to the server. Defaults to [net.Dialer]'s.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// DialContext connects to a server. The connection is in memory, and forwarded; its
// addresses say nothing. Data that wait do not hold up later ones: a delay costs
// latency and not throughput.
func (d Dialer) DialContext(ctx context.Context, network, addr string) (net.Conn, error) {
	dial := d.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	server, err := dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	l := &link{client: far, server: server, delay: d.Delay, ended: make(chan struct{})}
	for i := range l.alarms {
		if l.alarms[i], err = d.alarm(); err != nil {
			l.end()
			return nil, err
		}
	}
	go l.forward(server, far, l.alarms[0])
	go l.forward(far, server, l.alarms[1])
	return near, nil
}

func (d Dialer) alarm() (alarm, error) {
	if d.Precise {
		return newKernelAlarm()
	}
	return newGoAlarm(), nil
}

// alarm waits for the time.
type alarm interface {
	// wait returns at the time, or early and false after close.
	wait(until time.Time) bool
	// learn is told by how much what waited that long has arrived too late.
	learn(waited, late time.Duration)
	close()
}

// goAlarm uses Go's timers, which keep to the clock of a bubble of testing/synctest.
type goAlarm struct {
	timer  *time.Timer
	closed chan struct{}
}

func newGoAlarm() alarm {
	a := &goAlarm{timer: time.NewTimer(0), closed: make(chan struct{})}
	<-a.timer.C
	return a
}

func (a *goAlarm) wait(until time.Time) bool {
	a.timer.Reset(time.Until(until))
	select {
	case <-a.timer.C:
		return true
	case <-a.closed:
		a.timer.Stop()
		return false
	}
}

func (a *goAlarm) learn(time.Duration, time.Duration) {}

func (a *goAlarm) close() { close(a.closed) }

// link is one connection.
type link struct {
	client, server net.Conn
	delay          time.Duration
	alarms         [2]alarm
	once           sync.Once
	ended          chan struct{}
}

// chunk is what one read brought; the last one brought the end.
type chunk struct {
	data []byte
	due  time.Time
	last bool
}

// forward delivers what comes from one side to the other one, each chunk when it is
// due. With either direction the link ends.
func (l *link) forward(to, from net.Conn, a alarm) {
	defer l.end()
	chunks := make(chan chunk, 256)
	go l.read(from, chunks)
	for {
		select {
		case c := <-chunks:
			waited := time.Until(c.due)
			if !a.wait(c.due) || !deliver(to, c.data) || c.last {
				return
			}
			a.learn(waited, time.Since(c.due))
		case <-l.ended:
			return
		}
	}
}

// deliver writes data. Nothing is not written: on a pipe that would be a read of
// nothing.
func deliver(to net.Conn, data []byte) bool {
	if len(data) == 0 {
		return true
	}
	_, err := to.Write(data)
	return err == nil
}

// read passes chunks on until the side ends.
func (l *link) read(from net.Conn, chunks chan<- chunk) {
	for {
		buffer := make([]byte, 16<<10)
		n, err := from.Read(buffer)
		select {
		case chunks <- chunk{data: buffer[:n], due: time.Now().Add(l.delay), last: err != nil}:
		case <-l.ended:
			return
		}
		if err != nil {
			return
		}
	}
}

func (l *link) end() {
	l.once.Do(func() {
		close(l.ended)
		_ = l.client.Close()
		_ = l.server.Close()
		for _, a := range l.alarms {
			if a != nil {
				a.close()
			}
		}
	})
}
