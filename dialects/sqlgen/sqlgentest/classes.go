package sqlgentest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
)

// Class checks that d gives each of errs the class, bare and through the ways
// in which callers wrap errors.
func Class(t *testing.T, d dialects.Dialect, want dialects.Class, errs ...error) {
	t.Helper()
	for _, err := range errs {
		wrapped := fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", err))
		joined := errors.Join(errors.New("first"), wrapped)
		for _, e := range []error{err, wrapped, joined} {
			require.Equal(t, want.String(), d.Classify(e).String(), "%T: %v", err, e)
		}
	}
}
