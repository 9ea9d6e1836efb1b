package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/bench/report"
	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects/named"
)

// The exit codes.
const (
	exitOK          = 0
	exitUsage       = 1 // bad usage, unreachable database
	exitViolated    = 2
	exitInterrupted = 130
)

// dsnVariable keeps passwords out of the process list.
const dsnVariable = "OCCBENCH_DSN"

// maxDelay is farther away than any server is.
const maxDelay = 10 * time.Second

// errViolated ends a run whose verdict has been printed.
var errViolated = errors.New("violated")

// usageError is an error of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand(stdout, stderr) //nolint:contextcheck // the commands get their context from Execute
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errViolated):
		return exitViolated
	case ctx.Err() != nil:
		left := "the benchmark's table is gone"
		if errors.Is(err, bench.ErrLeftover) {
			left = report.OneLine(err)
		}
		fmt.Fprintf(stderr, "occbench: interrupted: nothing was verified, %s\n", left)
		return exitInterrupted
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "occbench: %s (see occbench --help)\n", report.OneLine(err))
		return exitUsage
	default:
		fmt.Fprintf(stderr, "occbench: %s\n", report.OneLine(err))
		return exitUsage
	}
}

// options are the flags' values.
type options struct {
	db, dsn    string
	dist, json string
	spec       bench.Spec

	delay, commitDelay time.Duration
}

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:           "occbench [flags]",
		Short:         "Compare ways of changing contended rows, and prove that no update was lost",
		Long:          help(),
		Example:       examples,
		Args:          noArguments,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := o.check(cmd); err != nil {
				return usageError{err}
			}
			return run(cmd.Context(), o, stdout, stderr)
		},
	}
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.db, "db", "sqlite", "database: "+strings.Join(named.Names(), ", "))
	f.StringVar(&o.dsn, "dsn", "", "how to connect; better in the environment as "+dsnVariable+", which ps does not show")
	f.StringSliceVar(&o.spec.Workloads, "workload", workload.Defaults(), "what clients do: "+strings.Join(workload.Names(), ", "))
	f.StringSliceVar(&o.spec.Strategies, "strategies", strategy.Defaults(), "what is compared")
	f.IntVar(&o.spec.Clients, "clients", 16, "concurrent clients, in all processes together")
	f.IntVar(&o.spec.Procs, "procs", 1, "processes that share the clients evenly: what occkit keeps for a process, it keeps for each")
	f.IntVar(&o.spec.Keys, "keys", 0, "rows; fewer means more contention (default 8, or 100 for each row of a batch)")
	f.IntVar(&o.spec.Batch, "batch", workload.DefaultBatch, "rows of one operation of the workload batch")
	f.StringVar(&o.dist, "dist", "uniform", "how often each row is chosen: uniform, single, zipf:THETA")
	f.DurationVar(&o.spec.Duration, "duration", bench.DefaultDuration, "measured time of one repetition of one strategy; by default less for more than a dozen of them")
	f.IntVar(&o.spec.Reps, "reps", 6, "repetitions; a 95 % confidence interval takes 6")
	f.Uint64Var(&o.spec.Seed, "seed", 1, "the clients' choices; equal for every strategy")
	f.DurationVar(&o.delay, "delay", 0, "let everything that is sent to the server, and back, arrive so much later: a server that is far away")
	f.DurationVar(&o.commitDelay, "commit-delay", 0, "let the server wait so long before it flushes a commit: a slow disk (postgres; needs a superuser and fsync=on)")
	f.StringVar(&o.json, "json", "", "write the result as JSON to this file; - is standard output, and the table goes to standard error")
	return cmd
}

func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q: options begin with --", args[0])}
	}
	return nil
}

// check completes the options, and refuses what cannot be right. A zero that
// was given is no default.
func (o *options) check(cmd *cobra.Command) error {
	changed := cmd.Flags().Changed
	if o.dsn == "" && !changed("dsn") {
		o.dsn = os.Getenv(dsnVariable)
	}
	if !slices.Contains(named.Names(), o.db) {
		return fmt.Errorf("unknown database %q: choose from %s", o.db, strings.Join(named.Names(), ", "))
	}
	var err error
	if o.spec.Dist, err = workload.ParseDist(o.dist); err != nil {
		return err
	}
	if !changed("strategies") {
		o.spec.Strategies = nil // the default leaves out what makes no sense
	}
	if !changed("duration") {
		o.spec.Duration = 0 // and depends on how much there is to run
	}
	switch {
	case o.spec.Clients == 0, o.spec.Procs == 0, changed("keys") && o.spec.Keys == 0, o.spec.Batch == 0, o.spec.Reps == 0:
		return errors.New("clients, procs, keys, batch and reps must be at least 1")
	case o.delay < 0 || o.delay > maxDelay:
		return fmt.Errorf("delay must be 0 to %s, not %s", maxDelay, o.delay)
	case o.commitDelay < 0:
		return fmt.Errorf("commit-delay must not be negative, as %s is", o.commitDelay)
	case changed("duration") && o.spec.Duration <= 0:
		return fmt.Errorf("duration must be positive, not %s", o.spec.Duration)
	case len(o.spec.Workloads) == 0:
		return errors.New("workload must name at least one of " + strings.Join(workload.Names(), ", "))
	case changed("strategies") && len(o.spec.Strategies) == 0:
		return errors.New("strategies must name at least one of " + strings.Join(strategy.Names(), ", "))
	}
	return o.spec.Validate()
}
