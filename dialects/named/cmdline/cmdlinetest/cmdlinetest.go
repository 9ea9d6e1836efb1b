// Package cmdlinetest tests command lines in the process of the test.
package cmdlinetest

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Execute runs a command line and returns its exit code.
type Execute func(ctx context.Context, args []string, stdout, stderr io.Writer) int

// Invoke returns what a command line comes to.
func (e Execute) Invoke(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = e(t.Context(), args, &out, &err)
	return code, out.String(), err.String()
}

// Secret stands for a password in the arguments of bad usage.
const Secret = "canary"

// Refuses requires that each of the command lines ends with the code, and with one
// line: the command's name and a message that has the text that belongs to it, and
// no [Secret].
func (e Execute) Refuses(t *testing.T, name string, code int, all map[string]string) {
	t.Helper()
	for args, want := range all {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			got, stdout, stderr := e.Invoke(t, strings.Fields(args)...)
			require.Equal(t, code, got)
			require.Empty(t, stdout)
			require.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %q", stderr)
			require.True(t, strings.HasPrefix(stderr, name+": "), stderr)
			require.Contains(t, stderr, want)
			require.NotContains(t, stderr, Secret)
		})
	}
}
