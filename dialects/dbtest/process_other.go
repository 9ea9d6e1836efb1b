//go:build !linux

package dbtest

import (
	"errors"
	"os"
	"syscall"
)

// Only Linux ends children together with their parent, which private servers
// rely on; elsewhere servers come from the environment.
const canStart = false

func childAttributes(account, syscall.Signal) *syscall.SysProcAttr { return nil }

func detached() *syscall.SysProcAttr { return nil }

func killTree(p *os.Process) error { return p.Kill() }

func resume(*os.Process) {}

func freeBytes(string) (uint64, error) { return 0, errors.ErrUnsupported }
