package occ

import (
	"context"
	"errors"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// sharing returns a copy of a policy that has what the operations of a DB share.
func sharing(policy *retry.Policy) *retry.Policy {
	var shared retry.Policy
	if policy != nil {
		shared = *policy
	}
	if shared.Pace == nil {
		shared.Pace = new(retry.Pace)
	}
	if shared.Budget == nil {
		shared.Budget = new(retry.Budget)
	}
	return &shared
}

// conn returns a pinned connection whose session has been judged once. After an
// outage, of the operation or of the whole DB, it is verified to be alive. While
// the breaker is open the error is a [*retry.OpenError] and nothing is sent.
func (db *DB) conn(ctx context.Context, afterOutage bool) (dialects.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // nothing is sent, so nothing is ambiguous
	}
	pass, changed, err := db.opts.Breaker.Enter()
	db.announce(ctx, changed, nil)
	if err != nil {
		return nil, err
	}
	var c dialects.Conn
	if afterOutage || !pass.Calm() {
		c, err = db.liveConn(ctx)
	} else {
		c, err = db.judgedConn(ctx)
	}
	if err != nil || !pass.Calm() {
		db.announce(ctx, db.verdict(ctx, pass, err), err)
	}
	if err == nil && !db.opts.Retry.Budget.Full() {
		c = earning(c, db.opts.Retry.Budget)
	}
	return c, err
}

// verdict tells the breaker what came of getting a connection. That is all that
// it goes by: an outage is that no connection can be had, or none that answers.
// One that breaks later is replaced, and if it cannot be, that is the outage.
func (db *DB) verdict(ctx context.Context, pass retry.Pass, err error) retry.State {
	if err == nil {
		return pass.Answered()
	}
	switch class := db.Classify(err); {
	case ctx.Err() != nil: // the caller did not wait for the answer
		return pass.Left()
	case class.At(dialects.Connecting) == dialects.Down:
		return pass.Failed(err)
	case class == dialects.Unknown && !errors.Is(err, ErrUsage):
		return pass.Left()
	default:
		return pass.Answered()
	}
}

// announce reports that the breaker has changed.
func (db *DB) announce(ctx context.Context, to retry.State, err error) {
	if to != 0 && db.opts.Observer != nil {
		db.opts.Observer.Observe(ctx, observe.Event{Kind: observe.Breaker, Op: "connect", Reason: to.String(), Err: err})
	}
}

// judgedConn returns a connection of the pool.
func (db *DB) judgedConn(ctx context.Context) (dialects.Conn, error) {
	c, err := db.transport.Conn(ctx)
	if err != nil || db.checked.Load() {
		return c, err
	}
	if err := db.checkSession(ctx, c); err != nil {
		c.Release(false)
		return nil, err
	}
	db.checked.Store(true)
	return c, nil
}

// dead bounds how many broken connections of a pool one operation clears away.
const dead = 1000

// liveConn returns a connection that answers: a pool may hold many connections that the
// server has closed meanwhile, so each is tried with a query that may be lost. A
// server that answers that it does not serve is not asked again on another one.
func (db *DB) liveConn(ctx context.Context) (c dialects.Conn, err error) {
	for range dead {
		if c, err = db.judgedConn(ctx); err != nil {
			return nil, err
		}
		if err = ping(ctx, c); err == nil {
			return c, nil
		}
		c.Release(true)
		if class := db.Classify(err); ctx.Err() != nil || class != dialects.Lost && class != dialects.NotSent {
			return nil, err
		}
	}
	return nil, err
}

func ping(ctx context.Context, q dialects.Querier) error {
	rows, err := q.Query(ctx, "SELECT 1", nil)
	if err != nil {
		return err
	}
	for rows.Next() { //nolint:revive // only the end matters
	}
	rows.Close()
	return rows.Err()
}
