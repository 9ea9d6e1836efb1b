package main

import (
	"bufio"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"
)

//go:embed install.sh
var installScript string

// installer returns the words to put before a command that needs root, and
// whether packages can be installed at all: with apt-get, without asking.
func installer(ctx context.Context) (privilege []string, ok bool) {
	if _, err := exec.LookPath("apt-get"); err != nil {
		return nil, false
	}
	if os.Geteuid() == 0 {
		return nil, true
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	sudo := []string{"sudo", "-n"}
	return sudo, exec.CommandContext(ctx, sudo[0], "-n", "true").Run() == nil
}

// aptInstall installs packages and shows their names as they are set up.
func (p *provider) aptInstall(ctx context.Context, privilege, packages []string) error {
	p.say("installing %s (this takes a minute)", strings.Join(packages, " "))
	line := installCommand(privilege, packages)
	cmd := exec.CommandContext(ctx, line[0], line[1:]...)
	if len(privilege) == 0 { // sudo is not ours to signal; a terminal's Ctrl-C reaches it
		interruptible(cmd)
	}
	var failure strings.Builder
	cmd.Stderr = &failure
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("apt-get: %w", err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if strings.HasPrefix(lines.Text(), "Setting up ") {
			p.say("  %s", strings.TrimSuffix(lines.Text(), " ..."))
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("apt-get cannot install %s: %w", strings.Join(packages, " "), lastLine(failure.String(), err))
	}
	return nil
}

func installCommand(privilege, packages []string) []string {
	line := append([]string{}, privilege...)
	line = append(line, "sh", "-c", installScript, "install.sh")
	return append(line, packages...)
}

// lastLine makes the last line of a program's complaints the error.
func lastLine(text string, err error) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" {
		return errors.New(last)
	}
	return err
}
