//go:build unix

package main

import (
	"os/exec"
	"syscall"
)

// group runs a command in a process group of its own, so that an interrupt
// reaches its children as well, from wherever it came.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
}
