package distance

import (
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// kernelAlarm is a timer of the kernel, which the runtime's poller waits for like
// for a socket. It learns how late data arrive, and goes off earlier by as much.
// https://man7.org/linux/man-pages/man2/timerfd_create.2.html
type kernelAlarm struct {
	file *os.File
	late time.Duration
}

func newKernelAlarm() (alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("timerfd_create: %w", err)
	}
	return &kernelAlarm{file: os.NewFile(uintptr(fd), "timer")}, nil
}

func (a *kernelAlarm) wait(until time.Time) bool {
	left := time.Until(until)
	if left <= a.late {
		return true
	}
	if !a.set(left - a.late) {
		return false
	}
	var expirations [8]byte
	_, err := a.file.Read(expirations[:])
	return err == nil
}

func (a *kernelAlarm) learn(waited, late time.Duration) {
	const weight = 8
	if waited > a.late { // else it was late before it came here
		a.late = min(max(a.late+late/weight, 0), waited/2)
	}
}

func (a *kernelAlarm) set(d time.Duration) bool {
	raw, err := a.file.SyscallConn()
	if err != nil {
		return false
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = unix.TimerfdSettime(int(fd), 0, &unix.ItimerSpec{Value: unix.NsecToTimespec(d.Nanoseconds())}, nil)
	})
	return err == nil && failed == nil
}

func (a *kernelAlarm) close() { _ = a.file.Close() }
