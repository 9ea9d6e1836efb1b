package occ

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/occkit/occkit/dialects"
)

// member is one row of a unit of work, whatever its repository.
type member interface {
	// place is where the row stands in the order in which all units lock rows.
	place() (table string, key []any)
	// writes tells whether the unit changes the row.
	writes() bool
	// settle locks the row, and validates or writes it. A failure says that the
	// row is not as the unit believes, an error that the database refused.
	settle(ctx context.Context, q dialects.Querier) (failure, error)
	// shot returns the row's part of a commit in one round trip; false when it
	// cannot be part of one.
	shot(g dialects.Guarder, compound bool) (shot, bool)
	// inspect compares the row with what the unit believes, without a lock.
	inspect(ctx context.Context, q dialects.Querier) (failure, error)
	// committed takes over the outcome into the caller's rows.
	committed()
}

// commit applies the unit in one database transaction. The zero failure means
// that it is committed.
func (tx *Tx) commit(ctx context.Context, s Subject) failure {
	if err := ctx.Err(); err != nil {
		return failure{&OpError{Subject: s, Err: fmt.Errorf("not applied: %w", context.Cause(ctx))}, dialects.Refused}
	}
	members := tx.ordered()
	if len(members) == 0 && len(tx.execs) == 0 {
		return failure{}
	}
	conn, err := tx.db.conn(ctx, tx.afterOutage)
	if err != nil {
		return tx.db.judge(ctx, s, dialects.Connecting, err)
	}
	u := unit{db: tx.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	f, tried := tx.oneShot(ctx, s, conn, members)
	if tried && f.err == nil {
		for _, m := range members {
			m.committed()
		}
		return failure{}
	}
	if tried && !tx.needsDetail(f) {
		return f
	}
	return tx.commitInSteps(ctx, s, &u, members)
}

// needsDetail tells whether the long way has to find out why the one round trip
// applied nothing: which rows are stale, which of them was suppressed, which
// insert met a row.
func (tx *Tx) needsDetail(f failure) bool {
	return f.err == errStale || errors.Is(f.err, ErrDuplicate) //nolint:errorlint // identity is meant
}

// commitInSteps commits with one round trip for each statement.
func (tx *Tx) commitInSteps(ctx context.Context, s Subject, u *unit, members []member) failure {
	var stale failure
	err := u.run(ctx, func() (commit bool, err error) {
		stale, err = tx.settle(ctx, u.conn, members)
		return stale.err == nil, err
	})
	switch {
	case err != nil && ownKind(err) != nil:
		return failure{&OpError{Subject: s, Kind: ownKind(err), Err: unlessSame(err, ownKind(err))}, dialects.Refused}
	case err != nil:
		return tx.db.judge(ctx, s, u.phase, err)
	case stale.err == nil:
		for _, m := range members {
			m.committed()
		}
	}
	return stale
}

// settle validates and writes the members in order. After the first stale one
// it only looks at the rest, so that all are named.
func (tx *Tx) settle(ctx context.Context, q dialects.Querier, members []member) (failure, error) {
	var stale []failure
	for _, m := range members {
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
	if len(stale) > 0 {
		return together(stale), nil
	}
	for _, c := range tx.execs {
		if _, err := q.Exec(ctx, c.text, c.args); err != nil {
			return failure{}, err
		}
	}
	return failure{}, nil
}

// together makes one failure of several: the unit may run again only if that
// can help each of them.
func together(stale []failure) failure {
	conflict := &UnitConflict{}
	for _, f := range stale {
		if f.outcome != dialects.Retry {
			return f
		}
		conflict.Rows = append(conflict.Rows, f.err)
	}
	return failure{conflict, dialects.Retry}
}

// ordered returns the members that the commit has to do with, in the order in
// which every unit everywhere locks them, so that units do not deadlock.
func (tx *Tx) ordered() []member {
	members := make([]member, 0, len(tx.rows))
	for _, m := range tx.rows {
		if m.writes() || !tx.relaxed {
			members = append(members, m)
		}
	}
	slices.SortFunc(members, func(a, b member) int {
		tableA, keyA := a.place()
		tableB, keyB := b.place()
		return cmp.Or(strings.Compare(tableA, tableB), slices.CompareFunc(keyA, keyB, compareBound))
	})
	return members
}

// compareBound orders two values of one key column.
func compareBound(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
	case []byte:
		if b, ok := b.([]byte); ok {
			return bytes.Compare(a, b)
		}
	case time.Time:
		if b, ok := b.(time.Time); ok {
			return a.Compare(b)
		}
	}
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}
