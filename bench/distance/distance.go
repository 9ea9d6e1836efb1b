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
	go l.forward(server, far)
	go l.forward(far, server)
	return near, nil
}

// link is one connection.
type link struct {
	client, server net.Conn
	delay          time.Duration
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
func (l *link) forward(to, from net.Conn) {
	defer l.end()
	chunks := make(chan chunk, 256)
	go l.read(from, chunks)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case c := <-chunks:
			timer.Reset(time.Until(c.due))
			select {
			case <-timer.C:
			case <-l.ended:
				return
			}
			if !deliver(to, c.data) || c.last {
				return
			}
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
	})
}
