package dbtest

import (
	"os/exec"
	"runtime"
)

// process is a running child that dies with this process.
type process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended; err is set before
	err  error
}

// startProcess starts cmd and calls ended when it is over. It waits from the
// goroutine that started it, on a thread of its own: the kernel delivers the
// death signal when the parent THREAD ends, not the parent process.
func startProcess(cmd *exec.Cmd, ended func()) (*process, error) {
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		p.err = cmd.Wait()
		ended()
		close(p.done)
	}()
	return p, <-started
}

func (p *process) running() bool {
	if p == nil {
		return false
	}
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}
