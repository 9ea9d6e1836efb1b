package dbtest

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// reaperScript waits until the test process is gone and then removes what it
// left: the server, if the kernel has not ended it yet, the directory, and the
// System V memory that a killed PostgreSQL leaves. Each line that it reads is
// the process group that runs now; 0 is none. The end of input is the end of
// the test process: nobody else holds the other end of the pipe.
const reaperScript = `
trap '' HUP INT QUIT TERM
runs() { # a zombie does not
	state=$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)
	[ -n "$state" ] && [ "$state" != Z ]
}
dir=$1 signal=$2 group=0 tries=0
while read -r line; do group=$line; done
if [ "$group" != 0 ]; then
	kill -s "$signal" -- "-$group" 2>/dev/null
	kill -s CONT -- "-$group" 2>/dev/null
	while [ "$tries" -lt 100 ] && runs "$group"; do
		sleep 0.05
		tries=$((tries + 1))
	done
	kill -s KILL -- "-$group" 2>/dev/null
fi
memory=$(sed -n 7p "$dir/data/postmaster.pid" 2>/dev/null)
[ -z "$memory" ] || ipcrm -m "${memory##* }" 2>/dev/null
tries=0
while [ -e "$dir" ] && [ "$tries" -lt 200 ]; do
	rm -rf -- "$dir" 2>/dev/null
	[ -e "$dir" ] && sleep 0.05
	tries=$((tries + 1))
done
`

// reaper is the process that outlives this one and removes a directory.
type reaper struct {
	pipe *os.File
	cmd  *exec.Cmd
}

// startReaper starts it before the directory exists, so that there is no moment
// in which a killed process leaves one behind. Death is the signal that ends
// the server at once.
func startReaper(dir string, death syscall.Signal) (*reaper, error) {
	r, w, err := os.Pipe() // closed on exec: servers do not inherit it
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	cmd := exec.Command("/bin/sh", "-c", reaperScript, "occkit-reaper", dir, strconv.Itoa(int(death)))
	cmd.Dir = "/"
	cmd.Stdin = r
	cmd.SysProcAttr = detached()
	if err := cmd.Start(); err != nil {
		_ = w.Close()
		return nil, fmt.Errorf("watch over %s: %w", dir, err)
	}
	return &reaper{pipe: w, cmd: cmd}, nil
}

// watch names the process group that has to end with us; 0 is none.
func (r *reaper) watch(group int) error {
	_, err := fmt.Fprintln(r.pipe, group)
	return err
}

// finish has the directory removed now, and returns when it is.
func (r *reaper) finish() {
	_ = r.pipe.Close()
	_ = r.cmd.Wait()
}
