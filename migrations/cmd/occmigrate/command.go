package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/named"
	"github.com/occkit/occkit/migrations"
)

// The exit codes.
const (
	exitOK          = 0
	exitFindings    = 1 // verify
	exitChanges     = 2 // plan
	exitRefused     = 3
	exitFailed      = 4 // bad usage, unreachable database, no lock in time
	exitInterrupted = 130
)

// dsnVariable keeps passwords out of the process list.
const dsnVariable = "OCCMIGRATE_DSN"

// exitError ends a command whose output says all.
type exitError int

func (e exitError) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// usageError is an error of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// execute runs the command line and returns the exit code.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	cmd := newCommand(stdout, stderr) //nolint:contextcheck // the commands get their context from Execute
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	var exit exitError
	var usage usageError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &exit):
		return int(exit)
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "occmigrate: interrupted at a safe point: what was done stays; run the same command again to go on")
		return exitInterrupted
	case errors.Is(err, migrations.ErrRefused), errors.Is(err, migrations.ErrPlanChanged):
		fmt.Fprintln(stderr, "occmigrate: "+oneLine(err))
		return exitRefused
	case errors.As(err, &usage):
		fmt.Fprintf(stderr, "occmigrate: %s (see occmigrate --help)\n", oneLine(err))
	default:
		fmt.Fprintln(stderr, "occmigrate: "+oneLine(err))
	}
	return exitFailed
}

func oneLine(err error) string {
	return strings.TrimPrefix(strings.Join(strings.Fields(err.Error()), " "), "migrations: ")
}

// app holds the flags' values.
type app struct {
	stdout, stderr io.Writer

	db, dsn              string
	column, kind, guard  string
	initial              int64
	invisible, noHistory bool
	json, jsonl          bool

	maxWait, nowait, chunkTime, pause, maxLag time.Duration
	pauseFile, fingerprint                    string
	drop, force, yes, noProbe                 bool
	format, dir, version                      string
}

func newCommand(stdout, stderr io.Writer) *cobra.Command {
	a := &app{stdout: stdout, stderr: stderr}
	root := &cobra.Command{
		Use: "occmigrate", Short: "Give tables in use a version column, and a guard for it", Long: help(), Example: examples,
		SilenceErrors: true, SilenceUsage: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	f := root.PersistentFlags()
	f.SortFlags = false
	f.StringVar(&a.db, "db", "", "database: "+strings.Join(named.Names(), ", "))
	f.StringVar(&a.dsn, "dsn", "", "how to connect; better in the environment as "+dsnVariable+", which ps does not show")
	f.StringVar(&a.column, "column", "version", "the version column, new or existing (lock_version, row_version ...)")
	f.StringVar(&a.guard, "guard", "enforce", "what the database does about writes that leave the version alone: enforce, strict, none")
	f.StringVar(&a.kind, "kind", "counter", "what the column holds: counter, token")
	f.Int64Var(&a.initial, "initial", 1, "the version of rows that have none, where the column is new")
	f.BoolVar(&a.invisible, "invisible", false, "hide a new column from SELECT * and INSERT without columns (MySQL, MariaDB)")
	f.BoolVar(&a.noHistory, "no-history", false, "do without the table occkit_migrations")
	root.AddCommand(a.planCommand(), a.previewCommand(), a.applyCommand(), a.backfillCommand(), a.statusCommand(),
		a.verifyCommand(), a.revertCommand(), a.emitCommand())
	return root
}

// command makes a command that takes tables.
func (a *app) command(use, short, long string, run func(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error) *cobra.Command {
	cmd := &cobra.Command{
		Use: use + " TABLE...", Short: short, Long: long, DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			tables, err := a.tables(args)
			if err != nil {
				return usageError{err}
			}
			return a.with(cmd.Context(), func(m *migrations.Migrator) error { return run(cmd.Context(), m, tables) })
		},
	}
	cmd.Flags().SortFlags = false
	return cmd
}

func (a *app) withJSON(cmd *cobra.Command) *cobra.Command {
	cmd.Flags().BoolVar(&a.json, "json", false, "print JSON")
	return cmd
}

func (a *app) withLocks(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.BoolVar(&a.jsonl, "jsonl", false, "print every event as a line of JSON on standard output")
	f.DurationVar(&a.maxWait, "max-wait", 10*time.Minute, "give up when a step cannot get its lock for this long")
	f.DurationVar(&a.nowait, "nowait", 30*time.Second, "for this long, ask for locks without waiting at all; then wait 0.2 s at most each time")
	return cmd
}

func (a *app) withChunks(cmd *cobra.Command) *cobra.Command {
	f := cmd.Flags()
	f.DurationVar(&a.chunkTime, "chunk-time", 100*time.Millisecond, "how long one part of a backfill should take")
	f.DurationVar(&a.pause, "pause", 5*time.Millisecond, "the rest between two parts")
	f.DurationVar(&a.maxLag, "max-lag", 0, "hold a backfill while a replica is farther behind, or gone; PostgreSQL alone; 0: no bound")
	f.StringVar(&a.pauseFile, "pause-file", "", "hold a backfill as long as this file exists")
	return cmd
}

// tables reads the arguments: NAME, or SCHEMA.NAME.
func (a *app) tables(args []string) ([]migrations.Table, error) {
	if len(args) == 0 {
		return nil, errors.New("name at least one table")
	}
	kinds := map[string]dialects.VersionKind{"counter": dialects.Counter, "token": dialects.Token}
	kind, ok := kinds[a.kind]
	if !ok {
		return nil, fmt.Errorf("unknown kind %q: choose from counter, token", a.kind)
	}
	guards := []dialects.GuardMode{dialects.GuardEnforce, dialects.GuardStrict, dialects.GuardNone}
	i := slices.IndexFunc(guards, func(m dialects.GuardMode) bool { return m.String() == a.guard })
	if i < 0 {
		return nil, fmt.Errorf("unknown guard %q: choose from enforce, strict, none", a.guard)
	}
	if a.initial < 1 {
		return nil, fmt.Errorf("initial must be at least 1, not %d", a.initial)
	}
	var tables []migrations.Table
	for _, name := range args {
		t := migrations.Table{Name: name, Column: a.column, Kind: kind, Guard: guards[i], Initial: a.initial, Invisible: a.invisible}
		if schema, rest, qualified := strings.Cut(name, "."); qualified {
			t.Schema, t.Name = schema, rest
		}
		if t.Name == "" || t.Column == "" {
			return nil, fmt.Errorf("the name of a table or column is empty in %q", name)
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// with opens the database.
func (a *app) with(ctx context.Context, use func(*migrations.Migrator) error) (err error) {
	if a.dsn == "" {
		a.dsn = os.Getenv(dsnVariable)
	}
	switch {
	case a.db == "":
		return usageError{errors.New("name the database with --db: " + strings.Join(named.Names(), ", "))}
	case !slices.Contains(named.Names(), a.db):
		return usageError{fmt.Errorf("unknown database %q: choose from %s", a.db, strings.Join(named.Names(), ", "))}
	case a.dsn == "":
		form, _, _ := strings.Cut(named.Usage(a.db), ", or nothing")
		return usageError{fmt.Errorf("%s: no DSN is given: set %s to %s", a.db, dsnVariable, form)}
	}
	if a.maxLag < 0 {
		return usageError{fmt.Errorf("max-lag must not be negative, not %s", a.maxLag)}
	}
	db, err := named.Open(ctx, a.db, a.dsn, &named.Options{Connections: 2})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	o := migrations.Options{
		MaxWait: a.maxWait, NowaitFor: a.nowait, ChunkTime: a.chunkTime, Pause: a.pause, NoHistory: a.noHistory, Actor: actor(),
		Throttle: a.throttle(), MaxLag: a.maxLag,
	}
	progress := newProgress(a.stdout, a.stderr, a.jsonl)
	defer progress.end()
	o.Progress = progress.show
	m, err := migrations.New(db.DB, db.Dialect, &o)
	if err != nil {
		return err
	}
	return use(m)
}

// throttle holds a backfill as long as there is the file.
func (a *app) throttle() func(context.Context) (string, error) {
	if a.pauseFile == "" {
		return nil
	}
	return func(context.Context) (string, error) {
		if _, err := os.Stat(a.pauseFile); err == nil {
			return "the file " + a.pauseFile + " exists", nil
		}
		return "", nil
	}
}

// actor is who runs this, for the history.
func actor() string {
	host, _ := os.Hostname()
	u, err := user.Current()
	if err != nil {
		return host
	}
	return u.Username + "@" + host
}
