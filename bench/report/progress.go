package report

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/occkit/occkit/bench"
)

// Progress shows how far a run is: on a terminal one line that is rewritten,
// elsewhere one line for each round.
type Progress struct {
	w     io.Writer
	width int // of the terminal; zero elsewhere
	round int
	drawn bool
}

// NewProgress returns a progress display. Width is the terminal's, zero when w
// is none or must not be rewritten.
func NewProgress(w io.Writer, width int) *Progress { return &Progress{w: w, width: width} }

// Show shows p.
func (g *Progress) Show(p bench.Progress) {
	if g.width > 0 {
		g.redraw(p)
		return
	}
	if p.Strategy != "" && p.Round == g.round {
		return
	}
	g.round = p.Round
	if p.Strategy == "" {
		fmt.Fprintf(g.w, "done: %s commits\n\n", Count(p.Commits))
		return
	}
	fmt.Fprintf(g.w, "round %d of %d, about %s left\n", p.Round, p.Rounds, seconds(p.Left))
}

func (g *Progress) redraw(p bench.Progress) {
	if p.Strategy == "" {
		g.Clear()
		return
	}
	const cells = 20
	full := cells * p.Done / max(p.Total, 1)
	line := fmt.Sprintf("[%s%s] round %d of %d: %s, %s; %s commits; about %s left",
		strings.Repeat("=", full), strings.Repeat(" ", cells-full), p.Round, p.Rounds,
		p.Workload, p.Strategy, Count(p.Commits), seconds(p.Left))
	if len(line) >= g.width {
		line = line[:g.width-1]
	}
	fmt.Fprintf(g.w, "\r\x1b[K%s", line)
	g.drawn = true
}

// Clear removes the line that is being rewritten.
func (g *Progress) Clear() {
	if g.drawn {
		fmt.Fprint(g.w, "\r\x1b[K")
		g.drawn = false
	}
}

func seconds(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%d s", int(d.Round(time.Second).Seconds()))
	}
	return d.Round(time.Second).String()
}
