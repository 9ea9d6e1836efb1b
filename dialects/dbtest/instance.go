package dbtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// instance is a private server: its directory, its reaper, its process. Its
// methods are safe for concurrent use; they exclude each other.
type instance struct {
	Installation
	recipe
	run      account
	args     []string
	dir      string
	password string

	mu     sync.Mutex
	port   int
	reaper *reaper
	server *process
}

// newInstance makes a data directory and starts a server on it.
func newInstance(installation Installation, args []string) (*instance, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	in := &instance{
		Installation: installation, recipe: recipeOf(installation.Engine), args: args,
		password: randomHex(16), port: freePort(),
	}
	err := in.create(ctx)
	if err == nil {
		err = in.start(ctx, true)
	}
	if err != nil {
		in.destroy()
		return nil, fmt.Errorf("start %s: %w", installation, err)
	}
	return in, nil
}

func (in *instance) path(name string) string { return filepath.Join(in.dir, name) }

// create makes the directory and runs the setup program in it.
func (in *instance) create(ctx context.Context) (err error) {
	for _, e := range []engine{postgres, mariadb, mysqld} {
		if e.name == in.Engine {
			in.run, err = serverAccount(e.accounts...)
		}
	}
	if err != nil {
		return err
	}
	in.dir = filepath.Join(baseFolder(in.run), "occkit-"+randomHex(6))
	if in.reaper, err = startReaper(in.dir, in.death()); err != nil {
		return err
	}
	if err := os.Mkdir(in.dir, 0o700); err != nil {
		return err
	}
	for name, text := range in.files(in) {
		if err := os.WriteFile(in.path(name), []byte(text), 0o600); err != nil {
			return err
		}
		if err := in.own(in.path(name)); err != nil {
			return err
		}
	}
	if err := in.own(in.dir); err != nil {
		return err
	}
	setup, err := in.launch(in.setup(in), syscall.SIGKILL)
	if err != nil {
		return err
	}
	select {
	case <-setup.done:
		return in.explain(setup.err)
	case <-ctx.Done():
		return in.explain(ctx.Err())
	}
}

func (in *instance) own(path string) error {
	if !in.run.switched {
		return nil
	}
	return os.Chown(path, int(in.run.uid), int(in.run.gid))
}

// launch starts a program as the server's user, with an environment that does
// not depend on the caller's, and tells the reaper.
func (in *instance) launch(line []string, death syscall.Signal) (*process, error) {
	log, err := os.OpenFile(in.path("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := exec.Command(line[0], line[1:]...)
	cmd.Dir = in.dir
	cmd.Env = []string{
		"PATH=" + filepath.Dir(in.Server) + ":/usr/sbin:/usr/bin:/sbin:/bin",
		"LC_ALL=C", "HOME=" + in.dir, "TMPDIR=" + in.dir,
	}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = childAttributes(in.run, death)
	p, err := startProcess(cmd, func() { _ = in.reaper.watch(0) })
	if err != nil {
		return nil, err
	}
	return p, in.reaper.watch(p.cmd.Process.Pid)
}

// start runs the server until it answers. The first start may move to another
// port; later ones wait for theirs, because clients know it. They also wait for
// what a killed server left: PostgreSQL refuses to start before its last
// backend is gone.
func (in *instance) start(ctx context.Context, first bool) (err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.server.running() {
		return errors.New("already running")
	}
	pause := time.NewTicker(100 * time.Millisecond)
	defer pause.Stop()
	for range 20 {
		line := append(in.serve(in), in.args...)
		if in.server, err = in.launch(line, in.death()); err != nil {
			return err
		}
		if err = in.await(ctx); err == nil || ctx.Err() != nil {
			return err
		}
		if first {
			in.port = freePort()
		}
		select {
		case <-pause.C:
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// await returns when the server answers, has ended, or ctx is over.
func (in *instance) await(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := in.ping(ctx, in)
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-in.server.done:
			return in.explain(fmt.Errorf("the server ended: %w", in.server.err))
		case <-ctx.Done():
			_ = killTree(in.server.cmd.Process)
			<-in.server.done
			return in.explain(fmt.Errorf("no answer: %w", err))
		}
	}
}

// stop ends the server in order and, when it takes its time, by force.
func (in *instance) stop() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.server.running() {
		return
	}
	_ = in.server.cmd.Process.Signal(in.graceful())
	resume(in.server.cmd.Process)
	select {
	case <-in.server.done:
	case <-time.After(20 * time.Second):
		_ = killTree(in.server.cmd.Process)
		<-in.server.done
	}
}

// kill ends the server and its children with SIGKILL.
func (in *instance) kill() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.server.running() {
		_ = killTree(in.server.cmd.Process)
		<-in.server.done
	}
}

// signal sends a signal to the server's main process.
func (in *instance) signal(sig os.Signal) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !in.server.running() {
		return errors.New("the server does not run")
	}
	return in.server.cmd.Process.Signal(sig)
}

// destroy ends everything and removes the directory.
func (in *instance) destroy() {
	in.stop()
	if in.reaper != nil {
		in.reaper.finish()
	}
}

// explain adds the end of the server's log to an error.
func (in *instance) explain(err error) error {
	if err == nil {
		return nil
	}
	log, openErr := os.Open(in.path("log"))
	if openErr != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	if info, statErr := log.Stat(); statErr == nil && info.Size() > 2000 {
		_, _ = log.Seek(-2000, io.SeekEnd)
	}
	text, _ := io.ReadAll(log)
	return fmt.Errorf("%w; the end of its log:\n%s", err, bytes.TrimSpace(text))
}

// baseFolder is where servers keep their files: memory where there is plenty.
// A socket's path has at most 107 bytes, and another user's server cannot reach
// into a private folder, so long and private folders for temporary files yield.
func baseFolder(run account) string {
	const memory = "/dev/shm"
	if free, err := freeBytes(memory); err == nil && free >= 1<<30 {
		return memory
	}
	if dir := os.TempDir(); !run.switched && len(dir) < 60 {
		return dir
	}
	return "/tmp"
}

// freePort returns a loopback port that was free a moment ago. It lies below
// the range from which the kernel takes ports for outgoing connections, so that
// none of those takes it while the server restarts.
func freePort() int {
	for {
		port := 20000 + rand.IntN(12000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err == nil {
			_ = l.Close()
			return port
		}
	}
}
