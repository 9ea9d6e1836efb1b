package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/occkit/occkit/dialects/named/cmdline"
	"github.com/occkit/occkit/migrations"
)

// progress shows events: as lines of JSON, as one live line per table on a
// terminal, or as a line for each that is not merely progress.
type progress struct {
	stdout, stderr io.Writer
	jsonl          bool
	width          int // of the terminal; 0 when there is none
	live           string
	filling        time.Time
	rows           int64
}

func newProgress(stdout, stderr io.Writer, jsonl bool) *progress {
	return &progress{stdout: stdout, stderr: stderr, jsonl: jsonl, width: cmdline.TerminalWidth(stderr)}
}

func (p *progress) show(e migrations.Event) {
	if p.jsonl {
		text, err := json.Marshal(e)
		if err == nil {
			fmt.Fprintf(p.stdout, "%s\n", text)
		}
		return
	}
	line := p.line(e)
	over := e.State == migrations.Ready
	switch {
	case p.width > 0:
		if over && p.live == "" {
			return
		}
		if len(line) >= p.width {
			line = line[:p.width-1]
		}
		fmt.Fprintf(p.stderr, "\r\x1b[K%s", line)
		p.live = line
		if over {
			p.end()
		}
	case !over:
		fmt.Fprintln(p.stderr, line)
	}
}

// end leaves the live line where it is.
func (p *progress) end() {
	if p.live != "" {
		fmt.Fprintln(p.stderr)
		p.live = ""
	}
}

func (p *progress) line(e migrations.Event) string {
	head := fmt.Sprintf("%s  %s  ", e.Table, e.Step)
	switch e.State {
	case migrations.Waiting:
		text := head + fmt.Sprintf("waiting %s (attempt %d)", e.Waited.Round(100*time.Millisecond), e.Attempt)
		if who := migrations.Describe(e.Blockers, e.Why); who != "" {
			text += ": " + who
		}
		return text
	case migrations.Filling:
		return head + p.fill(e)
	case migrations.Paused:
		return head + "paused at " + thousands(e.Rows) + " rows: " + e.Why
	case migrations.Ready:
		return e.Table + "  ready"
	case migrations.Done:
		text := head + fmt.Sprintf("done in %s", e.Took.Round(time.Millisecond))
		if e.Rows > 0 {
			text += fmt.Sprintf(", %s rows, slowest part %s", thousands(e.Rows), e.Slowest.Round(time.Millisecond))
		}
		if e.Attempt > 1 {
			text += fmt.Sprintf(", waited %s, %d attempts", e.Waited.Round(time.Millisecond), e.Attempt)
		}
		return text
	default:
		return head + string(e.State)
	}
}

// fill says how far a backfill is, and when it will be through.
func (p *progress) fill(e migrations.Event) string {
	if p.filling.IsZero() || e.Rows < p.rows {
		p.filling = e.Time
		p.rows = e.Rows
	}
	text := thousands(e.Rows) + " rows"
	if e.Total > 0 {
		text += fmt.Sprintf(" of about %s (%d %%)", thousands(e.Total), min(100, 100*e.Rows/e.Total))
	}
	if took := e.Time.Sub(p.filling).Seconds(); took > 0 && e.Rows > p.rows {
		rate := float64(e.Rows-p.rows) / took
		text += fmt.Sprintf(", %s rows/s", thousands(int64(rate)))
		if left := e.Total - e.Rows; left > 0 {
			text += ", about " + time.Duration(float64(left)/rate*float64(time.Second)).Round(time.Second).String() + " left"
		}
	}
	return text + fmt.Sprintf(", parts of %d, slowest %s", e.Chunk, e.Slowest.Round(time.Millisecond))
}
