package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/migrations"
)

func about(rows int64) string {
	switch {
	case rows < 0:
		return "an unknown number of rows"
	case rows == 1:
		return "about 1 row"
	default:
		return "about " + thousands(rows) + " rows"
	}
}

func thousands(n int64) string {
	digits := fmt.Sprint(n)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func column(c *dialects.SchemaColumn) string {
	if c == nil {
		return "no column"
	}
	text := c.Name + " " + c.Type
	if !c.Nullable {
		text += " NOT NULL"
	}
	if c.Default != "" {
		text += " DEFAULT " + c.Default
	}
	return text
}

// work says what a step costs.
func work(s migrations.Step) string {
	switch s.Work {
	case dialects.WorkInstant:
		return "changes the catalog alone (milliseconds)"
	case dialects.WorkScan:
		return "reads the whole table"
	case dialects.WorkOnline:
		return "writes the whole table online"
	case dialects.WorkRewrite:
		return "writes the whole table"
	default:
		return "writes the table in many short transactions"
	}
}

func printFindings(w io.Writer, findings []dialects.SchemaFinding) {
	for _, f := range findings {
		mark := "note"
		if f.Refuse {
			mark = "refused"
		} else if f.Drift {
			mark = "wrong"
		}
		fmt.Fprintf(w, "  %s: %s\n    %s\n", mark, f.Text, f.Remedy)
	}
}

func printPlan(w io.Writer, plan *migrations.Plan) {
	fmt.Fprintln(w, "target: "+plan.Target)
	for _, t := range plan.Tables {
		fmt.Fprintf(w, "\n%s: %s, %s, guard %s\n", t.Table, about(t.Rows), column(t.Column), t.Guard)
		for _, s := range t.Steps {
			fmt.Fprintf(w, "  + %-14s %s; keeps out %s\n", s.ID, work(s), s.Keeps)
		}
		printFindings(w, t.Findings)
		if len(t.Steps) == 0 && !refusedTable(t) {
			fmt.Fprintln(w, "  nothing to do")
		}
	}
	switch plan.Verdict() {
	case migrations.Changes:
		fmt.Fprintf(w, "\nplan %s: see the SQL with occmigrate preview, do it with occmigrate apply\n", plan.Fingerprint)
	case migrations.Refused:
		fmt.Fprintln(w, "\nrefused: apply would change nothing, on no table")
	}
}

func refusedTable(t migrations.TablePlan) bool {
	for _, f := range t.Findings {
		if f.Refuse {
			return true
		}
	}
	return false
}

// printPreview prints SQL that can be read, and run where transactions are
// left to the reader.
func printPreview(w io.Writer, plan *migrations.Plan) {
	fmt.Fprintf(w, "-- target: %s\n-- plan %s; each step is a transaction of its own\n", plan.Target, plan.Fingerprint)
	for _, t := range plan.Tables {
		fmt.Fprintf(w, "\n-- %s: %s, %s\n", t.Table, about(t.Rows), column(t.Column))
		for i, s := range t.Steps {
			fmt.Fprintf(w, "\n-- %d. %s: %s\n--    lock %s, keeps out %s; done when %s\n", i+1, s.ID, work(s), s.Lock, s.Keeps, s.Observe)
			if s.Work == dialects.WorkChunks {
				fmt.Fprintln(w, "--    in parts along the primary key; as one statement it would be:")
			}
			for _, sql := range s.SQL {
				fmt.Fprintln(w, sql+";")
			}
			if len(s.Undo) > 0 {
				fmt.Fprintln(w, "--    undo: "+strings.Join(s.Undo, "; "))
			}
		}
		if len(t.Steps) == 0 {
			fmt.Fprintln(w, "-- nothing to do")
		}
		for _, f := range t.Findings {
			mark := "note"
			if f.Refuse {
				mark = "REFUSED"
			}
			fmt.Fprintf(w, "-- %s: %s: %s\n", mark, f.Text, f.Remedy)
		}
	}
}

func printApplied(w io.Writer, all []migrations.Applied) {
	for _, done := range all {
		what := "nothing to do"
		if len(done.Steps) > 0 {
			what = strings.Join(done.Steps, ", ")
		}
		fmt.Fprintf(w, "%s: ready: %s", done.Table, what)
		if done.Rows > 0 {
			fmt.Fprintf(w, "; %s rows filled", thousands(done.Rows))
		}
		if done.Waited > 100*time.Millisecond {
			fmt.Fprintf(w, "; waited %s for locks", done.Waited.Round(100*time.Millisecond))
		}
		fmt.Fprintln(w)
	}
}

// howFar says how much of a backfill is done. A sample that finds all rows filled
// does not mean that all are.
func howFar(p *migrations.Progress) string {
	switch {
	case p.Why != "":
		return "not known how far: " + p.Why
	case p.Estimate:
		return fmt.Sprintf("about %.0f %%: about %s of %s rows left, by a sample", min(p.Percent, 99), thousands(p.Left), thousands(p.Rows))
	default:
		return fmt.Sprintf("%.1f %%: %s of %s rows left", math.Floor(10*p.Percent)/10, thousands(p.Left), thousands(p.Rows))
	}
}

func printStatus(w io.Writer, all []migrations.Status) {
	for i, s := range all {
		if i == 0 {
			fmt.Fprintln(w, "target: "+s.Target)
		}
		fmt.Fprintf(w, "\n%s: %s\n", s.Table, about(s.Rows))
		if !s.Exists {
			printFindings(w, s.Findings)
			continue
		}
		fmt.Fprintf(w, "  column   %s\n", column(s.Column))
		guard := string(s.Guard)
		if s.Guard != dialects.GuardMissing {
			guard += " (" + s.Mode + ")"
		}
		fmt.Fprintf(w, "  guard    %s\n", guard)
		if s.Backfill != nil {
			fmt.Fprintf(w, "  backfill %s\n", howFar(s.Backfill))
		}
		if len(s.Missing) > 0 {
			fmt.Fprintf(w, "  missing  %s\n", strings.Join(s.Missing, ", "))
		} else {
			fmt.Fprintln(w, "  missing  nothing")
		}
		for _, b := range s.Open {
			fmt.Fprintf(w, "  open     %s\n", migrations.Describe([]dialects.SchemaBlocker{b}, ""))
		}
		if s.Why != "" {
			fmt.Fprintf(w, "  open     cannot be seen: %s\n", s.Why)
		}
		for _, r := range s.History {
			fmt.Fprintf(w, "  history  %s %s %s by %s, %d attempts, waited %d ms\n", r.At, r.Step, r.Status, r.Actor, r.Attempts, r.WaitedMS)
		}
		printFindings(w, s.Findings)
	}
}

func printReports(w io.Writer, reports []migrations.Report) {
	for _, r := range reports {
		probe := "the guard was tried on a row and works"
		if !r.Probed {
			probe = "the guard was not tried: " + r.Why
		}
		if len(r.Findings) == 0 {
			fmt.Fprintf(w, "%s: ok; %s\n", r.Table, probe)
			continue
		}
		fmt.Fprintf(w, "%s: %d findings\n", r.Table, len(r.Findings))
		printFindings(w, r.Findings)
	}
}
