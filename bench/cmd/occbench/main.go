// Command occbench measures ways of changing contended rows on a real database,
// and proves for each of them whether an update was lost.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	if os.Getenv(peerVariable) != "" {
		signal.Ignore(os.Interrupt) // Ctrl-C is for the other one, which ends this one
		os.Exit(servePeer(context.Background(), os.Stdin, os.Stdout, os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
