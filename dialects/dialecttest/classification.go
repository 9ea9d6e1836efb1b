package dialecttest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

const (
	featureRefused   = "Errors that repeating cannot cure are returned at once"
	featureTransient = "Errors that the server calls transient are retried"
	featureContext   = "Contexts are honoured"
)

var classificationCases = []testCase{
	{"unique", featureRefused, "an update that breaks a unique constraint is ErrDuplicate, after one attempt", caseUnique},
	{"not-null", featureRefused, "NULL in a NOT NULL column is refused, after one attempt, and is no duplicate", caseNotNull},
	{"missing-table", featureRefused, "a table that is not there is refused, after one attempt", caseMissingTable},
	{"missing-column", featureRefused, "a column that is not there is refused, after one attempt", caseMissingColumn},
	{"syntax", featureRefused, "a statement that cannot be parsed is refused, and never ambiguous", caseSyntax},
	{"exec", featureOutcomes, "DB.Exec of a versioned statement that matches no row is ErrConflict", caseExec},
	{"transient", featureTransient, "an error that the database says to retry is retried as often as the policy allows", caseTransient},
	{"joined-transient", featureTransient, "an error that the database says to retry ends a joined transaction as a Conflict", caseJoinedTransient},
	{"wrapped", featureRefused, "errors are classified through any number of wraps", caseWrapped},
	{"unknown", featureRefused, "an error that is not the database's proves nothing", caseUnknown},
	{"canceled-before", featureContext, "a context that has ended before the call: nothing is written, and the error says why", caseCanceledBefore},
	{"canceled-waiting", featureContext, "a context that ends during a lock wait ends the call", caseCanceledWaiting},
}

// refused notes a fault unless err is a refusal that may not be repeated.
func refused(p *probe, db *occ.DB, err error, what string) {
	if err == nil {
		p.failf("%s: no error", what)
		return
	}
	p.not(err, what, occ.ErrAmbiguous, occ.ErrExhausted, occ.ErrConflict, occ.ErrGone, occ.ErrNotFound,
		occ.ErrSuppressed, occ.ErrUnavailable, occ.ErrMapping)
	outcome := db.Classify(err).At(dialects.Autocommit)
	p.equal("what may be done after "+err.Error(), outcome.String(), dialects.Refused.String())
}

// email is a row with a second unique column.
type email struct {
	ID      int64   `occ:"id,key"`
	Address *string `occ:"address"`
	Version int64   `occ:"version,version"`
}

const emailColumns = "id {bigint} NOT NULL PRIMARY KEY, address {key} NOT NULL UNIQUE, version {bigint} NOT NULL"

func caseUnique(p *probe) {
	r := repository[email, int64](p, p.open(&occ.Options{Retry: &few}), p.create(emailColumns), nil)
	x, y := "x", "y"
	a, b := email{ID: 1, Address: &x}, email{ID: 2, Address: &y}
	p.must(r.Insert(p.ctx, &a), "insert")
	p.must(r.Insert(p.ctx, &b), "insert")
	c := email{ID: 3, Address: &x}
	p.is(r.Insert(p.ctx, &c), occ.ErrDuplicate, "insert")
	p.equal("the struct", c, email{ID: 3, Address: &x})
	before := b
	before.Address, b.Address = &x, &x
	err := r.Update(p.ctx, &b)
	p.is(err, occ.ErrDuplicate, "update")
	p.not(err, "update", occ.ErrConflict, occ.ErrExhausted, occ.ErrAmbiguous)
	p.equal("the struct", b, before)
	_, err = r.Mutate(p.ctx, 2, func(e *email) error { e.Address = &x; return nil })
	p.is(err, occ.ErrDuplicate, "mutate")
	got, err := r.Get(p.ctx, 2)
	p.must(err, "get")
	p.equal("the row", got, email{ID: 2, Address: &y, Version: 1})
}

func caseNotNull(p *probe) {
	db := p.open(&occ.Options{Retry: &few})
	r := repository[email, int64](p, db, p.create(emailColumns), nil)
	refuse := func(err error, what string) {
		refused(p, db, err, what)
		p.not(err, what, occ.ErrDuplicate)
	}
	refuse(r.Insert(p.ctx, &email{ID: 1}), "insert of NULL")
	x := "x"
	a := email{ID: 2, Address: &x}
	p.must(r.Insert(p.ctx, &a), "insert")
	a.Address = nil
	refuse(r.Update(p.ctx, &a), "update to NULL")
	p.equal("the version in the struct", a.Version, int64(1))
}

func caseMissingTable(p *probe) {
	s := &scene{p: p, table: p.name()}
	s.open(p.h.Transport, occ.Options{Retry: &few}, nil)
	refusedEverywhere(s)
}

func caseMissingColumn(p *probe) {
	s := &scene{p: p, table: p.create("id {bigint} NOT NULL PRIMARY KEY, owner {text}, version {bigint} NOT NULL")}
	s.open(p.h.Transport, occ.Options{Retry: &few}, nil)
	refusedEverywhere(s)
}

// refusedEverywhere notes a fault unless the operations fail at once.
func refusedEverywhere(s *scene) {
	p := s.p
	a := account{ID: 1, Version: 1}
	refused(p, s.db, s.Insert(p.ctx, &a), "insert")
	refused(p, s.db, s.Update(p.ctx, &a), "update")
	_, err := s.Mutate(p.ctx, 1, func(*account) error { return nil })
	refused(p, s.db, err, "mutate")
	s.attempts(3)
	_, err = s.Get(p.ctx, 1)
	refused(p, s.db, err, "get")
	_, err = s.GetMany(p.ctx, []int64{1, 2})
	refused(p, s.db, err, "get many")
	p.equal("the struct", a, account{ID: 1, Version: 1})
}

func caseSyntax(p *probe) {
	s := p.accounts()
	refused(p, s.db, s.db.Exec(p.ctx, "UPDATE UPDATE nonsense SET"), "exec")
	runs := 0
	err := s.db.Retry(p.ctx, func(ctx context.Context) error {
		runs++
		return s.db.Exec(ctx, "UPDATE UPDATE nonsense SET")
	})
	refused(p, s.db, err, "retry")
	p.equal("the runs", runs, 1)
}

func caseExec(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	update := "UPDATE " + p.h.DDL.quote(s.table) + " SET balance = 1, version = version + 1 WHERE id = 1 AND version = "
	p.is(s.db.Exec(p.ctx, update+"2"), occ.ErrConflict, "exec at a stale version")
	p.ok(s.db.Exec(p.ctx, update+"3"), "exec at the current version")
	p.is(s.db.Exec(p.ctx, update+"3"), occ.ErrConflict, "exec at a version that was current")
	s.holds(account{ID: 1, Owner: "Ada", Balance: 1, Version: 4})
}

func caseTransient(p *probe) {
	s, a := transient(p)
	changed := a
	changed.Balance = 1
	err := s.Update(p.ctx, &changed)
	p.is(err, occ.ErrExhausted, "update")
	p.not(err, "update", occ.ErrAmbiguous, occ.ErrDuplicate)
	s.attempts(int64(few.MaxAttempts))
	p.equal("the version in the struct", changed.Version, a.Version)
	_, err = s.Mutate(p.ctx, 1, func(a *account) error { a.Balance = 1; return nil })
	p.is(err, occ.ErrExhausted, "mutate")
	s.attempts(2 * int64(few.MaxAttempts))
	s.holds(a)
}

// transient makes a table whose updates all fail with a transient error.
func transient(p *probe) (*scene, account) {
	if p.h.Interference.Transient == nil {
		p.untested("the harness has no Interference.Transient")
	}
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	p.exec(p.h.Interference.Transient(s.table)...)
	return s, a
}

func caseJoinedTransient(p *probe) {
	s, a := transient(p)
	tx := p.beginTx()
	err := s.In(tx).Update(p.ctx, &a)
	p.is(err, occ.ErrConflict, "update")
	p.not(err, "update", occ.ErrExhausted, occ.ErrAmbiguous)
	s.attempts(1)
	p.is(s.In(tx).Update(p.ctx, &a), occ.ErrPoisoned, "update afterwards")
	tx.end()
	s.holds(a)
}

func caseWrapped(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Version: 1})
	err := s.Insert(p.ctx, &account{ID: 1})
	p.is(err, occ.ErrDuplicate, "insert")
	for _, wrapped := range []error{
		err, errors.Unwrap(err), fmt.Errorf("a: %w", err), fmt.Errorf("b: %w", fmt.Errorf("a: %w", err)),
		errors.Join(errors.New("other"), err), fmt.Errorf("%w and %w", errors.New("other"), err),
	} {
		p.equal("the class of "+text(wrapped), p.h.Dialect.Classify(wrapped).String(), dialects.Duplicate.String())
	}
}

func caseUnknown(p *probe) {
	for _, err := range []error{nil, errClosure, fmt.Errorf("a: %w", errClosure), occ.ErrConflict} {
		p.equal("the class of "+text(err), p.h.Dialect.Classify(err).String(), dialects.Unknown.String())
	}
	p.equal("the class of ErrRolledBack", p.h.Dialect.Classify(dialects.ErrRolledBack).String(), dialects.Conflict.String())
	p.equal("the class of a deadline", p.h.Dialect.Classify(context.DeadlineExceeded).String(), dialects.Lost.String())
}

func caseCanceledBefore(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	ctx, cancel := context.WithCancel(p.ctx)
	cancel()
	changed := a
	changed.Balance = 1
	for what, err := range map[string]error{
		"update": s.Update(ctx, &changed), "delete": s.Delete(ctx, &changed), "insert": s.Insert(ctx, &account{ID: 2}),
	} {
		p.is(err, context.Canceled, what)
		p.not(err, what, occ.ErrAmbiguous, occ.ErrConflict, occ.ErrGone)
	}
	_, err := s.Get(ctx, 1)
	p.is(err, context.Canceled, "get")
	p.equal("the version in the struct", changed.Version, a.Version)
	s.holds(a)
}

func caseCanceledWaiting(p *probe) {
	if p.h.OneConnection {
		p.untested("an interrupted statement ends the only connection")
	}
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	holder := holdLock(s)
	ctx, cancel := context.WithTimeout(p.ctx, 150*time.Millisecond)
	defer cancel()
	start := time.Now()
	changed := a
	changed.Balance = 1
	err := s.Update(ctx, &changed)
	if took := time.Since(start); took > 20*time.Second {
		p.failf("the call ended %s after its context", took)
	}
	p.is(err, context.DeadlineExceeded, "update")
	p.not(err, "update", occ.ErrConflict, occ.ErrGone, occ.ErrSuppressed)
	p.equal("the struct", changed, account{ID: 1, Owner: "Ada", Balance: 1, Version: 3})
	holder.end()
	if !errors.Is(err, occ.ErrAmbiguous) {
		s.holds(a)
	}
}
