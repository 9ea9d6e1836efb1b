package occ

import (
	"context"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
)

// member is one row of a unit of work, whatever its repository.
type member interface {
	// at is where the row stands among the others; locate finds that out.
	at() *slot
	locate()
	// settle locks the row, and validates or writes it. A failure says that the
	// row is not as the unit believes, an error that the database refused.
	settle(ctx context.Context, q dialects.Querier) (failure, error)
	// hold locks the row like settle, validates it, and leaves writing for later.
	hold(ctx context.Context, q dialects.Querier) (failure, error)
	// inspect compares the row with what the unit believes, without a lock.
	inspect(ctx context.Context, q dialects.Querier) (failure, error)
	// shot returns the row's part of a commit in one round trip; false when it
	// cannot be part of one.
	shot(g dialects.Guarder, compound bool) (shot, bool)
	// committed takes over the outcome into the caller's rows.
	committed()
}

// commit applies the unit in one database transaction. The zero failure means
// that it is committed.
func (tx *Tx) commit(ctx context.Context, s Subject) failure {
	if err := ctx.Err(); err != nil {
		return failure{&OpError{Subject: s, Err: fmt.Errorf("not applied: %w", context.Cause(ctx))}, dialects.Refused}
	}
	p, err := tx.plan()
	if err != nil {
		return failure{&OpError{Subject: s, Kind: ErrUsage, Err: err}, dialects.Refused}
	}
	if len(p.members) == 0 && len(tx.execs) == 0 {
		return failure{}
	}
	conn, err := tx.db.conn(ctx, tx.afterOutage)
	if err != nil {
		return tx.db.judge(ctx, s, dialects.Connecting, err)
	}
	u := unit{db: tx.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	f := tx.apply(ctx, s, &u, p)
	if f.err == nil {
		for _, m := range p.members {
			m.committed()
		}
	}
	return f
}

// apply tries the fastest way first. What the database refuses there may be due to
// the order of the writes; and it does not always tell what exactly was wrong.
func (tx *Tx) apply(ctx context.Context, s Subject, u *unit, p *plan) failure {
	f, tried := tx.oneShot(ctx, s, u, p)
	if !tried || f.err == errStale { //nolint:errorlint // identity is meant
		f = tx.inSteps(ctx, s, u, func(ctx context.Context) (failure, error) { return tx.direct(ctx, u.conn, p) })
	}
	if tx.refused(f) && p.reorders() && !u.dirty {
		f = tx.inSteps(ctx, s, u, func(ctx context.Context) (failure, error) { return tx.careful(ctx, u.conn, p) })
	}
	if f.outcome == dialects.Refused && errors.Is(f.err, ErrDuplicate) && !u.dirty {
		return tx.appeared(ctx, u.conn, p, f)
	}
	return f
}

// refused tells whether a constraint was in the way.
func (tx *Tx) refused(f failure) bool {
	if f.err == nil || f.outcome != dialects.Refused {
		return false
	}
	class := tx.db.Classify(f.err)
	return class == dialects.Duplicate || class == dialects.Rejected
}

// inSteps commits what body does, with one round trip for each statement.
func (tx *Tx) inSteps(ctx context.Context, s Subject, u *unit, body func(ctx context.Context) (failure, error)) failure {
	var stale failure
	err := u.run(ctx, func() (commit bool, err error) {
		stale, err = body(ctx)
		if err == nil && stale.err == nil {
			err = tx.runExecs(ctx, u.conn)
		}
		return stale.err == nil, err
	})
	switch {
	case err != nil && ownKind(err) != nil:
		return failure{&OpError{Subject: s, Kind: ownKind(err), Err: unlessSame(err, ownKind(err))}, dialects.Refused}
	case err != nil:
		return tx.db.judge(ctx, s, u.phase, err)
	default:
		return stale
	}
}

func (tx *Tx) runExecs(ctx context.Context, q dialects.Querier) error {
	for _, c := range tx.execs {
		if _, err := q.Exec(ctx, c.text, c.args); err != nil {
			return err
		}
	}
	return nil
}

// direct validates and writes the members in the order of the plan. After the
// first stale one it only looks at the rest, so that all are named.
func (tx *Tx) direct(ctx context.Context, q dialects.Querier, p *plan) (failure, error) {
	var stale []failure
	for _, m := range p.members {
		step := m.settle
		if len(stale) > 0 {
			step = m.inspect
		}
		f, err := step(ctx, q)
		if err != nil {
			return failure{}, err
		}
		if f.err != nil {
			stale = append(stale, f)
		}
	}
	return together(stale), nil
}

// careful locks and validates everything that exists first, and then writes in
// the order of the body, which a constraint may depend on.
func (tx *Tx) careful(ctx context.Context, q dialects.Querier, p *plan) (failure, error) {
	var stale []failure
	for _, m := range p.members {
		f, err := m.hold(ctx, q)
		if err != nil {
			return failure{}, err
		}
		if f.err != nil {
			stale = append(stale, f)
		}
	}
	if len(stale) > 0 {
		return together(stale), nil
	}
	for _, m := range p.written() {
		if f, err := m.settle(ctx, q); err != nil || f.err != nil {
			return f, err
		}
	}
	return failure{}, nil
}

// appeared finds out whether a duplicate is a row that the unit had not found:
// then running again will find it. Other constraints than the key refuse for good.
func (tx *Tx) appeared(ctx context.Context, q dialects.Querier, p *plan, f failure) failure {
	var stale []failure
	for _, m := range p.members {
		found, err := m.inspect(ctx, q)
		if err != nil {
			return f
		}
		if found.err != nil {
			stale = append(stale, found)
		}
	}
	if len(stale) == 0 {
		return f
	}
	return together(stale)
}

// together makes one failure of several: the unit may run again only if that
// can help each of them. Rows for which something else than another writer was in
// the way are no conflict.
func together(stale []failure) failure {
	if len(stale) == 0 {
		return failure{}
	}
	conflict, outcome := &UnitConflict{}, dialects.Retry
	for _, f := range stale {
		if f.outcome != dialects.Retry {
			if len(stale) == 1 || !errors.Is(f.err, ErrConflict) && !errors.Is(f.err, ErrGone) {
				return f
			}
			outcome = dialects.Refused
		}
		conflict.Rows = append(conflict.Rows, f.err)
	}
	return failure{conflict, outcome}
}
