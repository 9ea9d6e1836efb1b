package dbtest

import (
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// link is one connection through a [Proxy].
type link struct {
	proxy          *Proxy
	client, server net.Conn
	cut            atomic.Bool // a reply was lost
	once           sync.Once
	ended          chan struct{} // closed by reset
}

// chunk is what one read brought; err ends the stream after it.
type chunk struct {
	data []byte
	due  time.Time
	err  error
}

// forward copies both ways until both are over, and closes both sides. What was
// written still arrives, unless the link was reset.
func (l *link) forward() {
	var both sync.WaitGroup
	both.Go(func() { l.copy(l.server, l.client, l.request) })
	both.Go(func() { l.copy(l.client, l.server, l.reply) })
	both.Wait()
	_ = l.client.Close()
	_ = l.server.Close()
}

// copy reads chunks from one side and has them delivered to the other one, in
// order, each when it is due. Reading goes on while chunks wait, so that a
// delay costs latency and not throughput.
func (l *link) copy(to, from net.Conn, deliver func(chunk) error) {
	chunks := make(chan chunk, 64)
	var reading sync.WaitGroup
	reading.Go(func() { l.read(from, chunks) })
	defer reading.Wait()
	for c := range chunks {
		if !l.wait(c.due) {
			return
		}
		if err := deliver(c); err != nil {
			l.reset()
			return
		}
		if c.err != nil {
			l.finish(to, c.err)
			return
		}
	}
}

// read fills chunks until the side ends or the link is reset.
func (l *link) read(from net.Conn, chunks chan<- chunk) {
	defer close(chunks)
	for {
		buffer := make([]byte, 16<<10)
		n, err := from.Read(buffer)
		select {
		case chunks <- chunk{data: buffer[:n], due: l.proxy.due(), err: err}:
		case <-l.ended:
			return
		}
		if err != nil {
			return
		}
	}
}

// wait returns at the time, or at once with false when the link is reset.
func (l *link) wait(until time.Time) bool {
	if until.IsZero() {
		return true
	}
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.ended:
		return false
	}
}

// open returns the proxy's mode once that is not a black hole.
func (l *link) open() (mode, error) {
	for {
		m, changed := l.proxy.state()
		if m != blackhole {
			return m, nil
		}
		select {
		case <-changed:
		case <-l.ended:
			return m, net.ErrClosed
		}
	}
}

// request delivers what the client sent.
func (l *link) request(c chunk) error {
	if _, err := l.open(); err != nil {
		return err
	}
	_, err := l.server.Write(c.data)
	return err
}

// reply delivers what the server sent, or loses it. After a loss the client's
// side is reset; the server's is closed for writing only, and read to its end,
// so that the server carries out what the client sent before it sees the end.
func (l *link) reply(c chunk) error {
	m, err := l.open()
	if err != nil {
		return err
	}
	if m == cutReplies && !l.cut.Swap(true) {
		abort(l.client)
	}
	if l.cut.Load() {
		return nil
	}
	_, err = l.client.Write(c.data)
	return err
}

// finish passes the end of one side on to the other one.
func (l *link) finish(to net.Conn, err error) {
	if errors.Is(err, io.EOF) || l.cut.Load() {
		closeWrite(to)
		return
	}
	l.reset()
}

// reset ends both sides at once.
func (l *link) reset() {
	l.once.Do(func() {
		close(l.ended)
		abort(l.client)
		abort(l.server)
	})
}

// abort closes a connection so that its peer sees a reset.
func abort(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

func closeWrite(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}
