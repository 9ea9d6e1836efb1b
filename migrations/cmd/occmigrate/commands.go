package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/occkit/occkit/migrations"
)

// printJSON prints a value for programs.
func (a *app) printJSON(v any) error {
	encoder := json.NewEncoder(a.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false) // SQL is full of < and >
	return encoder.Encode(v)
}

func (a *app) planCommand() *cobra.Command {
	return a.withJSON(a.command("plan", "Tell what apply would do; exit code 0 nothing, 2 changes, 3 refused", planHelp,
		func(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error {
			plan, err := m.Plan(ctx, tables)
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(plan)
			} else {
				printPlan(a.stdout, plan)
			}
			return verdict(plan, err)
		}))
}

func verdict(plan *migrations.Plan, err error) error {
	codes := map[migrations.Verdict]int{migrations.Changes: exitChanges, migrations.Refused: exitRefused}
	if code := codes[plan.Verdict()]; err == nil && code != 0 {
		return exitError(code)
	}
	return err
}

func (a *app) previewCommand() *cobra.Command {
	return a.command("preview", "Print the exact SQL of apply, with locks and work", previewHelp,
		func(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error {
			plan, err := m.Plan(ctx, tables)
			if err != nil {
				return err
			}
			printPreview(a.stdout, plan)
			if plan.Verdict() == migrations.Refused {
				return exitError(exitRefused)
			}
			return nil
		})
}

func (a *app) applyCommand() *cobra.Command {
	cmd := a.withChunks(a.withLocks(a.command("apply", "Do it; run again to go on after any interruption", applyHelp, a.apply)))
	cmd.Flags().StringVar(&a.fingerprint, "fingerprint", anyPlan, "change nothing unless this is the plan, as plan prints it")
	return cmd
}

func (a *app) backfillCommand() *cobra.Command {
	return a.withChunks(a.withLocks(a.command("backfill", "Apply up to and including the backfill of a legacy column, and stop", backfillHelp,
		func(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error {
			done, err := m.Backfill(ctx, tables)
			if err == nil && !a.jsonl {
				printApplied(a.stdout, done)
			}
			return err
		})))
}

// anyPlan is the fingerprint that is given when none is. It is not empty: that is
// what a script makes of a variable that it forgot to set.
const anyPlan = "any"

func (a *app) apply(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error {
	switch a.fingerprint {
	case anyPlan:
		a.fingerprint = ""
	case "":
		return usageError{errors.New("the fingerprint is empty")}
	}
	plan, err := m.Plan(ctx, tables)
	if err != nil {
		return err
	}
	fmt.Fprintln(a.stderr, "target: "+plan.Target)
	done, err := m.ApplyPlan(ctx, tables, a.fingerprint)
	if err == nil && !a.jsonl {
		printApplied(a.stdout, done)
	}
	return err
}

func (a *app) statusCommand() *cobra.Command {
	return a.withJSON(a.command("status", "Tell the state of each table: column, guard, what is missing, who is in the way", statusHelp,
		func(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error {
			all, err := m.Status(ctx, tables)
			if err != nil {
				return err
			}
			if a.json {
				return a.printJSON(all)
			}
			printStatus(a.stdout, all)
			return nil
		}))
}

func (a *app) verifyCommand() *cobra.Command {
	cmd := a.withJSON(a.command("verify", "Check the catalog and try the guard on one row, rolled back; exit code 1 on findings", verifyHelp,
		func(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error {
			reports, err := m.Verify(ctx, tables, migrations.VerifyOptions{NoProbe: a.noProbe})
			if err != nil {
				return err
			}
			if a.json {
				err = a.printJSON(reports)
			} else {
				printReports(a.stdout, reports)
			}
			for _, r := range reports {
				if err == nil && len(r.Findings) > 0 {
					err = exitError(exitFindings)
				}
			}
			return err
		}))
	cmd.Flags().BoolVar(&a.noProbe, "no-probe", false, "only read: do not try the guard")
	return cmd
}

func (a *app) revertCommand() *cobra.Command {
	cmd := a.withLocks(a.command("revert", "Remove the guard and, with --drop-column, the column; only tells what it would do without --yes", revertHelp, a.revert))
	f := cmd.Flags()
	f.BoolVar(&a.drop, "drop-column", false, "drop the column too; without it the versions stay")
	f.BoolVar(&a.force, "force", false, "drop it even when rows have moved on from their first version")
	f.BoolVar(&a.yes, "yes", false, "do it")
	return cmd
}

func (a *app) revert(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error {
	o := migrations.RevertOptions{DropColumn: a.drop, Force: a.force}
	if a.yes {
		plan, err := m.RevertPlan(ctx, tables, o)
		if err != nil {
			return err
		}
		fmt.Fprintln(a.stderr, "target: "+plan.Target)
		return m.Revert(ctx, tables, o)
	}
	plan, err := m.RevertPlan(ctx, tables, o)
	if err != nil {
		return err
	}
	printPreview(a.stdout, plan)
	fmt.Fprintln(a.stdout, "\nnothing was done: add --yes to do it")
	return nil
}

func (a *app) emitCommand() *cobra.Command {
	cmd := a.command("emit", "Write files for goose, golang-migrate, Flyway, Liquibase, or plain SQL", emitHelp, a.emit)
	f := cmd.Flags()
	f.StringVar(&a.format, "format", "sql", "goose, golang-migrate, flyway, liquibase, sql")
	f.StringVar(&a.dir, "dir", ".", "where the files go; - is standard output")
	f.StringVar(&a.version, "version", "1", "the version of the first file; tables after it count up")
	return cmd
}

func (a *app) emit(ctx context.Context, m *migrations.Migrator, tables []migrations.Table) error {
	files, err := m.Emit(ctx, tables, migrations.Format(a.format), a.version)
	if err != nil {
		return err
	}
	for _, file := range files {
		if a.dir == "-" {
			fmt.Fprintf(a.stdout, "-- %s\n%s", file.Name, file.Text)
			continue
		}
		path := filepath.Join(a.dir, file.Name)
		if err := os.WriteFile(path, []byte(file.Text), 0o644); err != nil { //nolint:gosec // to be read by other tools
			return fmt.Errorf("cannot write the file: %w", err)
		}
		fmt.Fprintln(a.stdout, path)
	}
	return nil
}
