package dbtest

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"
)

// source is a server for namespaces: its DSNs over the socket and over TCP.
type source struct{ local, tcp string }

var shared struct {
	sync.Mutex
	instances map[Installation]func() (*instance, error)
}

// sharedInstance starts an installation's server at the first call and returns
// the same one from then on. It ends with the process.
func sharedInstance(installation Installation) (*instance, error) {
	shared.Lock()
	start, ok := shared.instances[installation]
	if !ok {
		start = sync.OnceValues(func() (*instance, error) { return newInstance(installation, nil) })
		if shared.instances == nil {
			shared.instances = map[Installation]func() (*instance, error){}
		}
		shared.instances[installation] = start
	}
	shared.Unlock()
	return start()
}

// sourceOf returns the engine's server: the environment's, else the newest that
// can be started. It ends the test when there is none.
func sourceOf(t testing.TB, e engine) source {
	t.Helper()
	if dsn := os.Getenv(e.env()); dsn != "" {
		return source{local: dsn, tcp: dsn}
	}
	installations := startable(t, e)
	return sourceFrom(t, installations[len(installations)-1])
}

func sourceFrom(t testing.TB, installation Installation) source {
	t.Helper()
	in, err := sharedInstance(installation)
	if err != nil {
		t.Fatalf("dbtest: %v", err)
	}
	return source{local: in.local(in), tcp: in.tcp(in)}
}

// startable returns the installations, oldest first; at least one.
func startable(t testing.TB, e engine) []Installation {
	t.Helper()
	if !canStart {
		missing(t, e, "set "+e.env()+" to a DSN: servers are started on Linux only")
	}
	installations := Installed(e.name)
	if len(installations) == 0 {
		missing(t, e, "")
	}
	return installations
}

// requireTCP ends the test unless the DSN, which is the environment's, leads to
// a TCP port.
func requireTCP(t testing.TB, e engine, dsn string) {
	t.Helper()
	if _, err := addrOf(dsn); err != nil {
		missing(t, e, "this test needs TCP, but in "+e.env()+" "+err.Error())
	}
}

// later returns a context for what a cleanup does: the test's own is over then.
func later() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

// dropTimeout bounds how long a namespace's end waits for a test's forgotten
// transaction.
const dropTimeout = 10 * time.Second

var errNotTCP = errors.New("the server is on a Unix socket")
