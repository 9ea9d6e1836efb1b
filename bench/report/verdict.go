package report

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/occkit/occkit/bench"
)

// Verdict writes what is wrong, a line each, and then the verdict in one line.
func Verdict(w io.Writer, r bench.Result) error {
	s := bench.Summarize(r.Cells)
	var b strings.Builder
	for _, problem := range s.Problems {
		fmt.Fprintf(&b, "problem: %s\n", problem)
	}
	word := "verified"
	if r.Verdict != bench.OK {
		word = "VIOLATED"
	}
	fmt.Fprintf(&b, "%s: %s commits, %s lost, %s duplicate, %s out of order", word,
		Count(s.Commits), Count(s.Lost), Count(s.Duplicate), Count(s.OutOfOrder))
	if s.Broken > 0 {
		fmt.Fprintf(&b, ", %s otherwise wrong", Count(s.Broken))
	}
	if s.Unknown > 0 {
		fmt.Fprintf(&b, ", %s with unknown outcome", Count(s.Unknown))
	}
	switch {
	case s.Control == "":
		b.WriteString("; no control was run")
	case s.Caught():
		fmt.Fprintf(&b, "; control %s: %s lost (caught)", s.Control, Count(s.ControlLost))
	default:
		fmt.Fprintf(&b, "; control %s: 0 lost (NOT CAUGHT)", s.Control)
	}
	b.WriteByte('\n')
	_, err := io.WriteString(w, b.String())
	return err
}

// JSON writes the result in the form of [bench.Schema].
func JSON(w io.Writer, r bench.Result) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}
