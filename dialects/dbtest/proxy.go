package dbtest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy forwards TCP connections to a server and loses what it is told to. It
// makes faults that a real network makes, at a moment that the test chooses:
// above all a COMMIT that the server got and whose reply never arrives.
//
// Its methods act on open and on future connections alike and are safe for
// concurrent use. A proxy ends with its test.
type Proxy struct {
	upstream string
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex
	mode    mode
	delay   time.Duration
	changed chan struct{} // closed and replaced when mode changes
	links   map[*link]struct{}
	closed  bool
}

type mode uint8

const (
	healthy mode = iota
	cutReplies
	blackhole
)

// NewProxy starts a proxy in front of the server at a host:port. The server
// need not answer yet, and may restart.
func NewProxy(t testing.TB, upstreamAddr string) *Proxy {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("dbtest: proxy: %v", err)
	}
	p := &Proxy{
		upstream: upstreamAddr, listener: listener,
		changed: make(chan struct{}), links: map[*link]struct{}{},
	}
	p.running.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

// Through starts a proxy in front of the server that a DSN leads to (as from
// [PostgresTCP], [MariaDBTCP] or [Server.TCPDSN]) and returns it with the DSN
// that leads through it.
func Through(t testing.TB, dsn string) (*Proxy, string) {
	t.Helper()
	addr, err := addrOf(dsn)
	if err != nil {
		t.Fatalf("dbtest: proxy: %v", err)
	}
	p := NewProxy(t, addr)
	through, err := withAddr(dsn, p.Addr())
	if err != nil {
		t.Fatalf("dbtest: proxy: %v", err)
	}
	return p, through
}

// Addr is the host:port that clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// CutReplies loses every byte that the server sends from now on, while bytes to
// the server still arrive. A connection on which a reply was lost is reset for
// its client, never before: when the client sees the error, the server has
// answered. What it was sent by then is still carried out.
func (p *Proxy) CutReplies() { p.set(cutReplies) }

// Blackhole stops delivery in both directions, as a network partition does:
// connections stay open and nothing arrives. What is sent meanwhile arrives
// late, after [Proxy.Heal], even when its sender has given up.
func (p *Proxy) Blackhole() { p.set(blackhole) }

// Heal ends [Proxy.CutReplies] and [Proxy.Blackhole]. Replies that were cut and
// connections that were reset do not come back.
func (p *Proxy) Heal() { p.set(healthy) }

// Delay delivers everything that is read from now on by d later, in each
// direction: a round trip takes 2d more. Zero ends it.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Reset ends every open connection at once, on both sides, and forgets what was
// under way on them. New ones are served as before.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.reset()
	}
}

func (p *Proxy) set(m mode) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mode = m
	close(p.changed)
	p.changed = make(chan struct{})
}

// state returns the mode and a channel that is closed when it changes.
func (p *Proxy) state() (mode, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.mode, p.changed
}

// due is when something that was read now is to be delivered.
func (p *Proxy) due() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.delay == 0 {
		return time.Time{}
	}
	return time.Now().Add(p.delay)
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(client) })
	}
}

// serve forwards one connection until both sides have ended.
func (p *Proxy) serve(client net.Conn) {
	server, err := net.DialTimeout("tcp", p.upstream, 10*time.Second)
	if err != nil {
		abort(client)
		return
	}
	l := &link{proxy: p, client: client, server: server, ended: make(chan struct{})}
	if !p.add(l) {
		l.reset()
		return
	}
	defer p.remove(l)
	l.forward()
}

func (p *Proxy) add(l *link) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed {
		p.links[l] = struct{}{}
	}
	return !p.closed
}

func (p *Proxy) remove(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.links, l)
}

// close ends the proxy and waits for its goroutines.
func (p *Proxy) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	_ = p.listener.Close()
	p.Reset()
	p.running.Wait()
}
