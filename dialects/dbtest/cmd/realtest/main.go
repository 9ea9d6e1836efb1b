// Command realtest runs the tests against real database servers: it finds or
// installs them, and then runs go test in a way that no test may skip for want
// of one.
//
//	go run ./dialects/dbtest/cmd/realtest -h
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
)

const usage = `Realtest runs go test against real database servers.

usage: go run ./dialects/dbtest/cmd/realtest [-race] [-install=false] [-docker] [go test arguments...]

The go test arguments replace the default, which is
	-count=1 -timeout 20m ./...

  -race            run the race detector; needs a C compiler
  -install=false   install and download nothing
  -docker          take the servers from Docker, whatever is installed

PostgreSQL and MariaDB are taken, in this order, from
  1. OCCKIT_POSTGRES and OCCKIT_MARIADB: DSNs of your own servers; each test
     works in a schema or database that it makes and drops;
  2. the programs on this machine (PATH, /usr/lib/postgresql, the folders in
     OCCKIT_POSTGRES_BIN): the tests start servers of their own, which run as
     an unprivileged user in a private folder and leave nothing behind;
  3. apt-get, when root or sudo without a password allows it: the packages
     postgresql, mariadb-server-core and mariadb-client-core, set up so that
     no system-wide server starts;
  4. Docker, when "docker info" answers: containers on loopback ports, removed
     at the end.
Where npm is installed, a newer PostgreSQL is downloaded once as well, into
/var/cache/occkit (root) or your cache folder, and the tests run on both.

The exit code is that of go test.

examples:
	go run ./dialects/dbtest/cmd/realtest
	go run ./dialects/dbtest/cmd/realtest -race
	go run ./dialects/dbtest/cmd/realtest -run TestUpdate -v ./occ
	OCCKIT_POSTGRES='host=db.test user=me' go run ./dialects/dbtest/cmd/realtest
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args)
	if errors.Is(err, errHelp) {
		_, _ = io.WriteString(stdout, usage)
		return 0
	}
	if err == nil {
		err = realtest(ctx, o, stdout, stderr)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(stderr, "realtest: interrupted")
		return 130
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		return exit.ExitCode() // go test has said why
	default:
		_, _ = fmt.Fprintln(stderr, "realtest:", err)
		return 1
	}
}

// realtest prepares the servers and runs go test.
func realtest(ctx context.Context, o options, stdout, stderr io.Writer) error {
	p := &provider{options: o, out: stdout}
	defer p.close(ctx)
	environment, err := testEnvironment(os.Environ(), o)
	if err != nil {
		return err
	}
	settings, err := p.provide(ctx)
	if err != nil {
		return err
	}
	return goTest(ctx, o, append(environment, settings...), stdout, stderr)
}
