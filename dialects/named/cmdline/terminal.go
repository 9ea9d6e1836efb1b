// Package cmdline is what occkit's command lines have in common.
package cmdline

import (
	"io"
	"os"

	"golang.org/x/term"
)

const defaultWidth = 80

// TerminalWidth returns the width of the terminal that w is; zero when it is
// none, or when NO_COLOR or TERM ask for plain text.
func TerminalWidth(w io.Writer) int {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" || !term.IsTerminal(int(f.Fd())) {
		return 0
	}
	width, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	if width <= 0 {
		return defaultWidth // a terminal that does not know
	}
	return width
}
