package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/bench/report"
)

// peerVariable tells a process that it works for another occbench, which tells it
// through its standard input what to do. Passwords go that way too: command lines
// and environments can be looked at.
const peerVariable = "OCCBENCH_PEER"

// servePeer is the whole life of such a process: see [bench.Serve].
func servePeer(ctx context.Context, stdin io.Reader, stdout, stderr io.Writer) int {
	if err := peerWork(ctx, stdin, stdout); err != nil {
		fmt.Fprintln(stderr, report.OneLine(err))
		return exitUsage
	}
	return exitOK
}

func peerWork(ctx context.Context, stdin io.Reader, stdout io.Writer) (err error) {
	var at place
	first := json.NewDecoder(stdin)
	if err := first.Decode(&at); err != nil {
		return fmt.Errorf("not told which database to use: %w", err)
	}
	db, target, err := at.open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return bench.Serve(ctx, target, io.MultiReader(first.Buffered(), stdin), stdout)
}

// spawner returns what starts such processes: this program once more.
func spawner(at place) func(ctx context.Context) (io.ReadWriteCloser, error) {
	return func(ctx context.Context) (io.ReadWriteCloser, error) {
		program, err := os.Executable()
		if err != nil {
			return nil, err
		}
		return startPeer(ctx, program, at)
	}
}

// patience is how long a process may take to end by itself.
const patience = 10 * time.Second

// startPeer starts a program and tells it where the database is.
func startPeer(ctx context.Context, program string, at place) (io.ReadWriteCloser, error) {
	ctx, cancel := context.WithCancel(ctx)
	p := &process{cmd: exec.CommandContext(ctx, program), cancel: cancel}
	p.cmd.Env = append(os.Environ(), peerVariable+"=1")
	p.cmd.Stderr = &p.complaints
	p.cmd.WaitDelay = patience
	p.cmd.Cancel = func() error { return p.stdin.Close() } // it ends by itself then
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err == nil {
		p.stdout, err = p.cmd.StdoutPipe()
	}
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		cancel()
		return nil, err
	}
	if err := json.NewEncoder(p.stdin).Encode(at); err != nil {
		return nil, errors.Join(p.Close(), err)
	}
	return p, nil
}

// process is one that works for this one.
type process struct {
	cmd        *exec.Cmd
	cancel     context.CancelFunc
	stdin      io.WriteCloser
	stdout     io.Reader
	complaints bytes.Buffer
	once       sync.Once
	err        error
}

func (p *process) Read(b []byte) (int, error)  { return p.stdout.Read(b) }
func (p *process) Write(b []byte) (int, error) { return p.stdin.Write(b) }

// Close ends the process and waits for it. What it complained of last is why it
// ended.
func (p *process) Close() error {
	p.once.Do(func() {
		p.cancel()
		p.err = p.cmd.Wait()
		lines := strings.Split(strings.TrimSpace(p.complaints.String()), "\n")
		switch last := lines[len(lines)-1]; {
		case p.cmd.ProcessState != nil && p.cmd.ProcessState.Success():
			p.err = nil // it was told to end, and did
		case last != "":
			p.err = errors.New(last)
		}
	})
	return p.err
}
