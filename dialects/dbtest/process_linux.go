package dbtest

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// canStart tells whether private servers can be had on this system.
const canStart = true

// childAttributes makes a child that runs as the account, in a process group of
// its own (a Ctrl-C at the terminal must not reach it before us), and that gets
// the death signal from the kernel when we die.
func childAttributes(run account, death syscall.Signal) *syscall.SysProcAttr {
	attr := &syscall.SysProcAttr{Setpgid: true, Pdeathsig: death}
	if run.switched {
		attr.Credential = &syscall.Credential{Uid: run.uid, Gid: run.gid}
	}
	return attr
}

// detached makes a child that survives us and whatever the terminal does.
func detached() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true}
}

// killTree ends a process and its children with SIGKILL, as a power cut does.
func killTree(p *os.Process) error {
	id := strconv.Itoa(p.Pid)
	list, _ := os.ReadFile("/proc/" + id + "/task/" + id + "/children") // may be gone already
	err := p.Kill()
	for child := range strings.FieldsSeq(string(list)) {
		if pid, convErr := strconv.Atoi(child); convErr == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return err
}

// resume lets a stopped process go on, so that it can act on other signals.
func resume(p *os.Process) { _ = p.Signal(syscall.SIGCONT) }

// freeBytes returns how much can be written below a directory.
func freeBytes(dir string) (uint64, error) {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 0, fmt.Errorf("free space of %s: %w", dir, err)
	}
	return fs.Bavail * uint64(fs.Bsize), nil
}
