package dialecttest

import (
	"context"
	"slices"
	"sync/atomic"

	"github.com/occkit/occkit/dialects"
)

// losing is a transport that loses replies: a statement runs, or a COMMIT takes
// effect, and the client gets an error instead of the answer. The connection
// itself stays sound, whatever the client must believe.
type losing struct {
	dialects.DB
	err    error
	texts  []string     // the forms of the statement whose replies get lost
	commit bool         // the replies to COMMIT get lost
	left   atomic.Int64 // how many more
	sent   atomic.Int64 // how often the statement, or COMMIT, was sent
}

func (l *losing) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := l.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &losingConn{c, l}, nil
}

// loses counts what is sent and tells whether its reply gets lost.
func (l *losing) loses() bool {
	l.sent.Add(1)
	return l.left.Add(-1) >= 0
}

type losingConn struct {
	dialects.Conn
	owner *losing
}

func (c *losingConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	rows, err := c.Conn.Query(ctx, text, args)
	if err != nil || !slices.Contains(c.owner.texts, text) || !c.owner.loses() {
		return rows, err
	}
	for rows.Next() { //nolint:revive // run the statement to its end
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return nil, c.owner.err
}

func (c *losingConn) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	result, err := c.Conn.Exec(ctx, text, args)
	if err != nil || !slices.Contains(c.owner.texts, text) || !c.owner.loses() {
		return result, err
	}
	return dialects.Result{}, c.owner.err
}

func (c *losingConn) Commit(ctx context.Context) error {
	err := c.Conn.Commit(ctx)
	if err != nil || !c.owner.commit || !c.owner.loses() {
		return err
	}
	return c.owner.err
}

// Release keeps the connection, which is sound.
func (c *losingConn) Release(bool) { c.Conn.Release(false) }
