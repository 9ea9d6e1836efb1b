package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// goTest runs go test with the environment and passes its output through.
func goTest(ctx context.Context, o options, env []string, stdout, stderr io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", testArguments(o)...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = stdout, stderr
	interruptible(cmd)
	return cmd.Run()
}

func testArguments(o options) []string {
	args := []string{"test"}
	if o.race {
		args = append(args, "-race")
	}
	return append(args, o.args...)
}

// testEnvironment decides whether cgo is on: the race detector needs a C
// compiler, and nothing else does.
func testEnvironment(environ []string, o options) ([]string, error) {
	if compiler() {
		return environ, nil
	}
	if o.race || slices.Contains(o.args, "-race") {
		return nil, errors.New("-race needs a C compiler: apt-get install gcc libc6-dev, or leave out -race")
	}
	return append(environ, "CGO_ENABLED=0"), nil
}

// compiler tells whether there is a C compiler, as the go command looks for it.
func compiler() bool {
	names := []string{"gcc", "clang"}
	if words := strings.Fields(os.Getenv("CC")); len(words) > 0 {
		names = words[:1]
	}
	return slices.ContainsFunc(names, func(name string) bool {
		_, err := exec.LookPath(name)
		return err == nil
	})
}

// interruptible makes the end of a command's context an interrupt for it and
// its children, which have ten seconds to end in order.
func interruptible(cmd *exec.Cmd) {
	group(cmd)
	cmd.WaitDelay = 10 * time.Second
}

// oneLine makes an error fit into one line.
func oneLine(err error) error {
	if err == nil || !strings.Contains(err.Error(), "\n") {
		return err
	}
	return errors.New(strings.Join(strings.Fields(err.Error()), " "))
}
