package occ

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/occkit/occkit/dialects"
)

// Scope is where a repository runs its statements: a unit of work ([*Tx]), or a
// transaction of the caller's own ([Join]).
type Scope interface {
	// bind tells repositories of db which of both it is.
	bind(db *DB) (*joined, *Tx, error)
}

// Join makes a [Scope] from the caller's own transaction: a *sql.Tx or a
// *sql.Conn with an open transaction for the sqldb transport, a pgx.Tx or a
// *pgx.Conn for pgxdb.
//
// In a joined transaction every versioned write is sent at once and nothing is
// retried: an error means that the caller rolls back and repeats the whole
// transaction ([DB.Retry] does that well). After an error of the database the
// scope is over, and everything in it returns [ErrPoisoned]; after a rollback to
// a savepoint, join again.
//
// Rows that are passed in are not changed, because nobody knows yet whether the
// transaction commits. To write a row twice, read it again in between or use
// what [Repository.Mutate] returns.
//
// A scope is as little safe for concurrent use as the transaction itself.
func Join(tx any) Scope { return &joinScope{tx: tx} }

type joinScope struct {
	tx    any
	state *joined
	db    *DB
}

func (s *joinScope) bind(db *DB) (*joined, *Tx, error) {
	if s.state != nil {
		if s.db != db {
			return nil, nil, fmt.Errorf("%w: the joined transaction belongs to another occ.DB", ErrUsage)
		}
		return s.state, nil, nil
	}
	j, ok := db.transport.(dialects.Joiner)
	if !ok {
		return nil, nil, fmt.Errorf("%w: transport %T cannot join transactions: %w", ErrUsage, db.transport, errors.ErrUnsupported)
	}
	q, err := j.Join(s.tx)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	s.db, s.state = db, &joined{q: q}
	return s.state, nil, nil
}

// joined is a transaction of the caller's own. Once a statement has failed it
// is over: on MySQL after a deadlock the next statement would run outside of
// any transaction and stay.
type joined struct {
	q      dialects.Querier
	failed atomic.Bool
}

// usable refuses a transaction that is over.
func (tx *joined) usable(s Subject) error {
	if tx.failed.Load() {
		return &OpError{Subject: s, Kind: ErrPoisoned}
	}
	return nil
}
