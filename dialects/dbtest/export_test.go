package dbtest

import "testing"

// Dir is the directory of the server's files.
func (s *Server) Dir() string { return s.in.dir }

// PID is the server's process.
func (s *Server) PID() int { return s.in.server.cmd.Process.Pid }

// Shared returns the server that namespaces of the newest installation are on.
func Shared(t testing.TB, name string) *Server {
	t.Helper()
	all := Installed(name)
	in, err := sharedInstance(all[len(all)-1])
	if err != nil {
		t.Fatal(err)
	}
	return &Server{t: t, in: in}
}

var (
	AddrOf         = addrOf
	WithAddr       = withAddr
	WithSearchPath = withSearchPath
)
