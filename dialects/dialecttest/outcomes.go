package dialecttest

import (
	"errors"

	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

const featureOutcomes = "Exact outcome of every write"

var outcomeCases = []testCase{
	{"insert", featureOutcomes, "Insert writes the row at version 1, whatever version the struct held", caseInsert},
	{"duplicate", featureOutcomes, "Insert of a key that exists is ErrDuplicate and changes neither row nor struct", caseDuplicate},
	{"update", featureOutcomes, "Update writes every column and moves the version by exactly one", caseUpdate},
	{"same-values", featureOutcomes, "Update with the values that the row has already moves the version", caseSameValues},
	{"patch", featureOutcomes, "Patch writes the named columns alone and moves the version by exactly one", casePatch},
	{"touch", featureOutcomes, "Touch moves the version by exactly one and changes nothing else", caseTouch},
	{"delete", featureOutcomes, "Delete removes the row at the expected version, and that row alone", caseDelete},
	{"overwrite", featureOutcomes, "Overwrite writes whatever the version is, moves it by one and is observed", caseOverwrite},
	{"mutate", featureOutcomes, "Mutate returns the row as written", caseMutate},
	{"mutate-again", featureOutcomes, "Mutate starts again from a fresh read when another writer was faster", caseMutateAgain},
	{"mutate-error", featureOutcomes, "Mutate returns the closure's own error as it is, with nothing written", caseMutateError},
	{"stale-update", featureOutcomes, "Update at a stale version is a Conflict with the current row; row and struct stay", caseStaleUpdate},
	{"stale-patch", featureOutcomes, "Patch at a stale version is a Conflict; row and struct stay", caseStalePatch},
	{"stale-touch", featureOutcomes, "Touch at a stale version is a Conflict; row and struct stay", caseStaleTouch},
	{"stale-delete", featureOutcomes, "Delete at a stale version is a Conflict and removes nothing", caseStaleDelete},
	{"future-version", featureOutcomes, "a version that the row has not reached yet is a Conflict like a stale one", caseFuture},
	{"gone", featureOutcomes, "writes to a row that was deleted are ErrGone, and ErrNotFound as well", caseGone},
}

func caseInsert(p *probe) {
	s := p.accounts()
	a := account{ID: 1, Owner: "Ada", Balance: 100, Version: 7}
	p.must(s.Insert(p.ctx, &a), "insert")
	p.equal("the struct", a, account{ID: 1, Owner: "Ada", Balance: 100, Version: 1})
	s.holds(a)
	s.attempts(1)
}

func caseDuplicate(p *probe) {
	s := p.accounts()
	old := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 5})
	a := account{ID: 1, Owner: "Bob", Balance: 1}
	err := s.Insert(p.ctx, &a)
	p.is(err, occ.ErrDuplicate, "insert")
	p.not(err, "insert", occ.ErrConflict, occ.ErrAmbiguous)
	p.equal("the struct", a, account{ID: 1, Owner: "Bob", Balance: 1})
	s.holds(old)
	s.attempts(1)
}

func caseUpdate(p *probe) {
	s := p.accounts()
	other := s.seed(account{ID: 2, Owner: "Bob", Balance: 5, Version: 3})
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	for want := int64(4); want <= 6; want++ {
		a.Owner, a.Balance = a.Owner+"!", a.Balance+1
		p.must(s.Update(p.ctx, &a), "update")
		p.equal("the version in the struct", a.Version, want)
		s.holds(a)
	}
	s.holds(other)
	s.attempts(3)
}

func caseSameValues(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 1})
	p.must(s.Update(p.ctx, &a), "update")
	p.equal("the struct", a, account{ID: 1, Owner: "Ada", Balance: 100, Version: 2})
	s.holds(a)
}

func casePatch(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	a := account{ID: 1, Balance: 7, Version: 3}
	p.must(s.Patch(p.ctx, &a, "balance"), "patch")
	p.equal("the struct", a, account{ID: 1, Balance: 7, Version: 4})
	s.holds(account{ID: 1, Owner: "Ada", Balance: 7, Version: 4})
	p.is(s.Patch(p.ctx, &a, "version"), occ.ErrUsage, "patch of the version")
	p.is(s.Patch(p.ctx, &a), occ.ErrUsage, "patch of nothing")
}

func caseTouch(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	a := account{ID: 1, Owner: "not", Balance: -1, Version: 3}
	p.must(s.Touch(p.ctx, &a), "touch")
	p.equal("the version in the struct", a.Version, int64(4))
	s.holds(account{ID: 1, Owner: "Ada", Balance: 100, Version: 4})
}

func caseDelete(p *probe) {
	s := p.accounts()
	other := s.seed(account{ID: 2, Owner: "Bob", Balance: 5, Version: 3})
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	before := a
	p.must(s.Delete(p.ctx, &a), "delete")
	p.equal("the struct", a, before)
	if _, found := s.row(1); found {
		p.failf("the row is still there")
	}
	s.holds(other)
}

func caseOverwrite(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 8})
	a := account{ID: 1, Owner: "Eve", Balance: 1, Version: 2}
	p.must(s.Overwrite(p.ctx, &a, "suite"), "overwrite")
	p.equal("the struct", a, account{ID: 1, Owner: "Eve", Balance: 1, Version: 9})
	s.holds(a)
	p.equal("the number of overwrites observed", s.events.Count(observe.Overwrite), int64(1))
	b := account{ID: 2}
	p.is(s.Overwrite(p.ctx, &b, "suite"), occ.ErrGone, "overwrite of a row that is not there")
}

func caseMutate(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	got, err := s.Mutate(p.ctx, 1, func(a *account) error {
		a.Balance -= 30
		a.Version = 99 // is ignored
		return nil
	})
	p.must(err, "mutate")
	p.equal("the row returned", got, account{ID: 1, Owner: "Ada", Balance: 70, Version: 4})
	s.holds(got)
	s.attempts(1)
	_, err = s.Mutate(p.ctx, 2, func(*account) error { return nil })
	p.is(err, occ.ErrNotFound, "mutate of a row that is not there")
}

func caseMutateAgain(p *probe) {
	s := p.accounts()
	first := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 1})
	runs := 0
	got, err := s.Mutate(p.ctx, 1, func(a *account) error {
		if runs++; runs == 1 {
			s.move(first, 500)
		}
		a.Balance += 10
		return nil
	})
	p.must(err, "mutate")
	p.equal("the runs of the closure", runs, 2)
	p.equal("the row returned", got, account{ID: 1, Owner: "Ada", Balance: 510, Version: 3})
	s.holds(got)
	s.attempts(2)
	p.equal("the conflicts observed", s.events.Count(observe.Conflict), int64(1))
}

var errClosure = errors.New("the closure's own error")

func caseMutateError(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 1})
	_, err := s.Mutate(p.ctx, 1, func(a *account) error {
		a.Balance = 0
		return errClosure
	})
	if err != errClosure { //nolint:errorlint // it must come back as it is
		p.failf("mutate: error %q, want the closure's own", text(err))
	}
	s.holds(a)
}

// stale runs a write at a version that the row is not at, and judges it.
func stale(p *probe, held int64, write func(s *scene, a *account) error) {
	s := p.accounts()
	current := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 5})
	a := account{ID: 1, Owner: "Eve", Balance: 1, Version: held}
	before := a
	judgeConflict(p, write(s, &a), held, &current)
	p.equal("the struct", a, before)
	s.holds(current)
	s.attempts(1)
}

// judgeConflict notes a fault unless err is a full conflict with current.
func judgeConflict(p *probe, err error, expected int64, current *account) {
	var conflict *occ.Conflict[account]
	if !p.is(err, occ.ErrConflict, "the write") {
		return
	}
	p.not(err, "the write", occ.ErrGone, occ.ErrSuppressed, occ.ErrAmbiguous, occ.ErrExhausted)
	if !errors.As(err, &conflict) {
		p.failf("the error is a %T, want a *occ.Conflict", err)
		return
	}
	p.equal("Conflict.Expected", conflict.Expected, any(expected))
	p.equal("Conflict.Actual", conflict.Actual, any(current.Version))
	p.equal("Conflict.Current", conflict.Current, current)
}

func caseStaleUpdate(p *probe) {
	stale(p, 4, func(s *scene, a *account) error { return s.Update(p.ctx, a) })
}

func caseStalePatch(p *probe) {
	stale(p, 4, func(s *scene, a *account) error { return s.Patch(p.ctx, a, "balance") })
}

func caseStaleTouch(p *probe) {
	stale(p, 4, func(s *scene, a *account) error { return s.Touch(p.ctx, a) })
}

func caseStaleDelete(p *probe) {
	stale(p, 4, func(s *scene, a *account) error { return s.Delete(p.ctx, a) })
}

func caseFuture(p *probe) {
	stale(p, 6, func(s *scene, a *account) error { return s.Update(p.ctx, a) })
	stale(p, 6, func(s *scene, a *account) error { return s.Delete(p.ctx, a) })
}

func caseGone(p *probe) {
	s := p.accounts()
	for op, write := range map[string]func(a *account) error{
		"update": func(a *account) error { return s.Update(p.ctx, a) },
		"patch":  func(a *account) error { return s.Patch(p.ctx, a, "balance") },
		"touch":  func(a *account) error { return s.Touch(p.ctx, a) },
		"delete": func(a *account) error { return s.Delete(p.ctx, a) },
	} {
		a := account{ID: 1, Owner: "Ada", Version: 1}
		err := write(&a)
		p.is(err, occ.ErrGone, op)
		p.is(err, occ.ErrNotFound, op)
		p.not(err, op, occ.ErrConflict)
		p.equal("the struct after "+op, a, account{ID: 1, Owner: "Ada", Version: 1})
	}
	s.attempts(4)
	_, err := s.Get(p.ctx, 1)
	p.is(err, occ.ErrNotFound, "get")
}
