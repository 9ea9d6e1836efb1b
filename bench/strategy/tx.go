package strategy

import (
	"context"
	"errors"
	"time"

	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

// endTimeout bounds COMMIT and ROLLBACK, which do not end with the caller's
// context: a COMMIT that is cut off has an unknown outcome.
const endTimeout = 10 * time.Second

// tx runs body in a transaction of its own and commits it. Its errors say what
// they prove: see prove.
func (c *Client) tx(ctx context.Context, body func(q dialects.Querier) error) error {
	conn, err := c.env.DB.Conn(ctx)
	if err != nil {
		return c.prove(dialects.Connecting, err)
	}
	clean := false
	defer func() { conn.Release(!clean) }()
	if err := conn.Begin(ctx, c.begin); err != nil {
		clean = c.db.Classify(err) == dialects.Busy // nothing was opened
		return c.prove(dialects.InTx, err)
	}
	if err := body(conn); err != nil {
		clean = rollback(ctx, conn)
		return c.prove(dialects.InTx, err)
	}
	end, cancel := ending(ctx)
	defer cancel()
	if err = conn.Commit(end); err == nil {
		clean = true
		return nil
	}
	clean = rollback(ctx, conn)
	phase := dialects.Commit
	if clean && c.db.Classify(err) == dialects.Busy {
		phase = dialects.InTx // refused for now, and rolled back since
	}
	return c.prove(phase, err)
}

func rollback(ctx context.Context, conn dialects.Conn) (clean bool) {
	end, cancel := ending(ctx)
	defer cancel()
	return conn.Rollback(end) == nil
}

func ending(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
}

// once runs body on a connection outside of any transaction.
func (c *Client) once(ctx context.Context, phase dialects.Phase, body func(q dialects.Querier) error) error {
	conn, err := c.env.DB.Conn(ctx)
	if err != nil {
		return c.prove(dialects.Connecting, err)
	}
	err = body(conn)
	conn.Release(err != nil && c.db.Classify(err) == dialects.Lost)
	if err != nil {
		return c.prove(phase, err)
	}
	return nil
}

// prove gives an error the meaning that it has in a phase, so that occ's Retry,
// which does not know the phase, repeats what was certainly not applied and
// nothing else.
func (c *Client) prove(phase dialects.Phase, err error) error {
	if errors.Is(err, workload.ErrDeclined) || errors.Is(err, errNoRow) {
		return err // found out here, not by the database
	}
	subject := occ.Subject{Op: c.strategy.Name, Table: c.env.Table}
	switch c.db.Classify(err).At(phase) {
	case dialects.Ambiguous:
		return &occ.AmbiguousError{Subject: subject, Phase: phase.String(), Err: err}
	case dialects.Down:
		return &occ.OpError{Subject: subject, Kind: occ.ErrUnavailable, Err: err}
	default:
		return err
	}
}
