package dialects_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
)

// verdict is what a class means in each phase: connecting, in a transaction,
// autocommit, commit.
type verdict [4]dialects.Outcome

const (
	no        = dialects.Refused
	again     = dialects.Retry
	down      = dialects.Down
	stopped   = dialects.Stopped
	ambiguous = dialects.Ambiguous
)

// verdicts is the table of errors.md, written a second time.
var verdicts = map[dialects.Class]verdict{
	dialects.Unknown:       {no, no, ambiguous, ambiguous},
	dialects.Conflict:      {again, again, again, again},
	dialects.Busy:          {again, again, again, ambiguous},
	dialects.Replan:        {again, again, again, ambiguous},
	dialects.Duplicate:     {no, no, no, no},
	dialects.Rejected:      {no, no, no, no},
	dialects.Overflow:      {no, no, no, no},
	dialects.Unavailable:   {down, down, down, down},
	dialects.NotSent:       {down, down, down, ambiguous},
	dialects.Lost:          {down, down, ambiguous, ambiguous},
	dialects.Indeterminate: {down, ambiguous, ambiguous, ambiguous},
	dialects.Canceled:      {stopped, stopped, stopped, ambiguous},
}

// byReply are the classes that only a reply of the server makes.
var byReply = map[dialects.Class]bool{
	dialects.Conflict: true, dialects.Busy: true, dialects.Replan: true, dialects.Duplicate: true,
	dialects.Rejected: true, dialects.Overflow: true, dialects.Unavailable: true, dialects.Canceled: true,
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for class := range dialects.Class(255) {
		want, known := verdicts[class]
		if !known {
			want = verdicts[dialects.Unknown]
			require.Equal(t, "invalid", class.String())
		}
		for phase := dialects.Connecting; phase <= dialects.Commit; phase++ {
			got := class.At(phase)
			require.Equal(t, want[phase].String(), got.String(), "%s, %s", class, phase)

			// The principle behind the table. A write is definite only by the
			// server's own reply, or by proof that nothing was sent.
			if proven := byReply[class] || class == dialects.NotSent; phase == dialects.Autocommit && !proven {
				require.Equal(t, dialects.Ambiguous, got, "%s, %s", class, phase)
			}
			if phase == dialects.Commit && !byReply[class] {
				require.Equal(t, dialects.Ambiguous, got, "%s, %s", class, phase)
			}
			// A lost reply before COMMIT has applied nothing; what the server
			// itself does not know stays unknown.
			if phase < dialects.Autocommit && class != dialects.Indeterminate {
				require.NotEqual(t, dialects.Ambiguous, got, "%s, %s", class, phase)
			}
		}
	}
}

func TestTransportErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		class dialects.Class
		errs  []error
	}{
		{dialects.Conflict, []error{dialects.ErrRolledBack}},
		{dialects.Lost, []error{
			context.Canceled, context.DeadlineExceeded, driver.ErrBadConn, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe,
			net.ErrClosed, os.ErrDeadlineExceeded, syscall.ECONNRESET, syscall.EPIPE, &net.OpError{Op: "read", Err: errors.New("x")},
		}},
		{dialects.Unknown, []error{nil, errors.New("deadlock"), os.ErrNotExist}},
	} {
		for _, err := range c.errs {
			require.Equal(t, c.class, dialects.ClassifyTransport(err), "%v", err)
			if err != nil {
				require.Equal(t, c.class, dialects.ClassifyTransport(fmt.Errorf("outer: %w", errors.Join(errors.New("x"), err))), "%v", err)
			}
		}
	}
}
