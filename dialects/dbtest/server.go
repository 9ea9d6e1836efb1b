package dbtest

import (
	"context"
	"os"
	"testing"
)

// Server is a server that belongs to one test, which may break it. It ends with
// the test. What fails is reported to the test; the methods are safe for
// concurrent use and do not end the calling goroutine.
type Server struct {
	t  testing.TB
	in *instance
}

func startServer(t testing.TB, e engine, args []string) *Server {
	t.Helper()
	installations := startable(t, e)
	in, err := newInstance(installations[len(installations)-1], args)
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	t.Cleanup(in.destroy)
	return &Server{t: t, in: in}
}

// DSN leads to the server's own, empty database over a Unix socket, as its
// superuser. It stays valid over restarts.
func (s *Server) DSN() string { return s.in.local(s.in) }

// TCPDSN is [Server.DSN] over TCP.
func (s *Server) TCPDSN() string { return s.in.tcp(s.in) }

// TCPAddr is the host:port at which the server listens, also after a restart.
func (s *Server) TCPAddr() string { return s.in.addr() }

// Version is the server's own, such as "15.18".
func (s *Server) Version() string { return s.in.Version }

// Signal sends a signal to the server's main process: SIGSTOP freezes a
// MariaDB, SIGHUP makes a PostgreSQL read its configuration again.
func (s *Server) Signal(sig os.Signal) {
	s.t.Helper()
	if err := s.in.signal(sig); err != nil {
		s.t.Errorf("dbtest: signal %v: %v", sig, err)
	}
}

// Kill ends the server and its children with SIGKILL, as a power cut would, and
// returns when it is gone. Commits that were acknowledged survive it.
func (s *Server) Kill() { s.in.kill() }

// Stop shuts the server down in order: open transactions are rolled back and
// clients are disconnected. It returns when the server is gone.
func (s *Server) Stop() { s.in.stop() }

// Restart starts the server again on the same data, socket and port, stopping
// it first when it runs. It returns when the server answers.
func (s *Server) Restart() {
	s.t.Helper()
	s.in.stop()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.in.start(ctx, false); err != nil {
		s.t.Errorf("dbtest: restart: %v", err)
	}
}
