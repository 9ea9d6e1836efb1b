package dialecttest

import (
	"context"
	"errors"
	"fmt"

	"github.com/occkit/occkit/occ"
)

const (
	featureUnits   = "Units of work validate what they read"
	featureOneTrip = "Units of work commit in one round trip"
)

var unitCases = []testCase{
	{"apply", featureUnits, "a unit's inserts, updates, patches, touches and deletes take effect together, with the versions in the structs", caseUnitApply},
	{"stale", featureUnits, "a unit with stale rows applies nothing, names all of them and runs again", caseUnitStale},
	{"write-skew", featureUnits, "a row that was only read is validated, unless the unit is relaxed", caseUnitSkew},
	{"absent", featureUnits, "a row that was not there when read, and is there at the commit, makes the unit run again", caseUnitAbsent},
	{"gone", featureUnits, "a row that was deleted meanwhile makes the unit run again", caseUnitGone},
	{"blind", featureUnits, "a stale version that the caller brought along is a Conflict at once", caseUnitBlind},
	{"duplicate", featureUnits, "an insert of a key that exists is ErrDuplicate, and nothing is applied", caseUnitDuplicate},
	{"suppressed", featureSuppression, "a write that the database swallows is ErrSuppressed, and nothing of the unit is applied", caseUnitSuppressed},
	{"lost-reply", featureUnits, "a commit whose reply is lost is ErrAmbiguous and is sent once", caseUnitLost},
	{"canceled", featureUnits, "a context that ends before the commit applies nothing", caseUnitCanceled},
	{"one-round-trip", featureOneTrip, "the commit waits for the server once", caseUnitOneTrip},
}

// accountsFrom seeds rows 1 to n at version 3.
func (s *scene) accountsFrom(n int64) []account {
	var rows []account
	for id := int64(1); id <= n; id++ {
		rows = append(rows, s.seed(account{ID: id, Owner: "Ada", Balance: 100, Version: 3}))
	}
	return rows
}

// absent notes a fault if there is a row.
func (s *scene) absent(id int64) {
	if got, found := s.row(id); found {
		s.p.failf("the row %+v is in the table", got)
	}
}

func caseUnitApply(p *probe) {
	p.eachPath(func(s *scene) {
		rows := s.accountsFrom(4)
		fresh, hooks := account{ID: 9, Owner: "Bob"}, 0
		p.must(s.db.Transact(p.ctx, func(tx *occ.Tx) error {
			in := s.In(tx)
			rows[0].Balance, rows[1].Balance, rows[1].Owner = 1, 2, "not written"
			return errors.Join(in.Insert(p.ctx, &fresh), in.Update(p.ctx, &rows[0]), in.Patch(p.ctx, &rows[1], "balance"),
				in.Touch(p.ctx, &rows[2]), in.Delete(p.ctx, &rows[3]), tx.AfterCommit(func() { hooks++ }),
				tx.Exec(fmt.Sprintf("UPDATE %s SET owner = 'by hand' WHERE id = 3", p.h.DDL.quote(s.table))))
		}), "transact")
		rows[1].Owner = "Ada"
		p.equal("the first struct", rows[0], account{1, "Ada", 1, 4})
		s.holds(rows[0])
		s.holds(account{2, "Ada", 2, 4})
		s.holds(account{3, "by hand", 100, 4})
		p.equal("the version of the touched struct", rows[2].Version, int64(4))
		s.absent(4)
		p.equal("the inserted struct", fresh, account{9, "Bob", 0, 1})
		s.holds(fresh)
		p.equal("the runs of the hook", hooks, 1)
		s.attempts(1)
	})
}

// unitTwice runs a unit that somebody interferes with in its first run, and that
// must run again.
func (s *scene) unitTwice(interfere func(), body func(tx *occ.Tx, in *accountRepository) error) error {
	runs := 0
	err := s.db.Transact(s.p.ctx, func(tx *occ.Tx) error {
		runs++
		if err := body(tx, s.In(tx)); err != nil {
			return err
		}
		if runs == 1 {
			interfere()
		}
		return nil
	})
	s.p.equal("the runs of the body", runs, 2)
	return err
}

func caseUnitStale(p *probe) {
	p.eachPath(func(s *scene) {
		rows := s.accountsFrom(3)
		var stale *occ.UnitConflict
		strict := occ.New(s.wire, s.db.Dialect(), &occ.Options{Retry: &once})
		in := repository[account, int64](p, strict, s.table, nil)
		err := strict.Transact(p.ctx, func(tx *occ.Tx) error {
			for i := range rows {
				a, err := in.In(tx).Get(p.ctx, rows[i].ID)
				p.must(err, "get")
				if i != 1 {
					a.Balance = 0
					p.must(in.In(tx).Update(p.ctx, &a), "update")
				}
			}
			s.move(rows[0], 7)
			s.move(rows[1], 7)
			return nil
		})
		p.is(err, occ.ErrConflict, "transact")
		if !errors.As(err, &stale) {
			p.failf("the error is a %T, want a *occ.UnitConflict inside", err)
			return
		}
		p.equal("the number of stale rows", len(stale.Rows), 2)
		s.holds(account{1, "Ada", 7, 4})
		s.holds(rows[2])
		p.must(s.unitTwice(func() { s.move(account{ID: 2, Owner: "Ada", Version: 4}, 8) }, func(_ *occ.Tx, in *accountRepository) error {
			_, err := in.Mutate(p.ctx, 2, func(a *account) error { a.Balance++; return nil })
			return err
		}), "transact")
		s.holds(account{2, "Ada", 9, 6})
	})
}

func caseUnitSkew(p *probe) {
	p.eachPath(func(s *scene) {
		rows := s.accountsFrom(2)
		body := func(_ *occ.Tx, in *accountRepository) error {
			other, err := in.Get(p.ctx, 2)
			p.must(err, "get")
			_, err = in.Mutate(p.ctx, 1, func(a *account) error { a.Balance = other.Balance; return nil })
			return err
		}
		p.must(s.unitTwice(func() { rows[1] = s.move(rows[1], 5) }, body), "transact")
		s.holds(account{1, "Ada", 5, 4})
		p.must(s.db.Transact(p.ctx, func(tx *occ.Tx) error {
			p.must(tx.Relaxed(), "relax")
			if err := body(tx, s.In(tx)); err != nil {
				return err
			}
			s.move(rows[1], 6)
			return nil
		}), "relaxed transact")
		s.holds(account{1, "Ada", 5, 5})
	})
}

func caseUnitAbsent(p *probe) {
	p.eachPath(func(s *scene) {
		s.accountsFrom(1)
		getOrInsert := func(_ *occ.Tx, in *accountRepository) error {
			_, err := in.Get(p.ctx, 8)
			if errors.Is(err, occ.ErrNotFound) {
				return in.Insert(p.ctx, &account{ID: 8, Owner: "mine"})
			}
			return err
		}
		p.must(s.unitTwice(func() { s.seed(account{8, "theirs", 1, 1}) }, getOrInsert), "get or insert")
		s.holds(account{8, "theirs", 1, 1})
		onlyIfAbsent := func(_ *occ.Tx, in *accountRepository) error {
			_, found := in.Get(p.ctx, 9)
			_, err := in.Mutate(p.ctx, 1, func(a *account) error {
				if a.Balance = 1; errors.Is(found, occ.ErrNotFound) {
					a.Balance = 2
				}
				return nil
			})
			return err
		}
		p.must(s.unitTwice(func() { s.seed(account{9, "theirs", 1, 1}) }, onlyIfAbsent), "only if absent")
		s.holds(account{1, "Ada", 1, 4})
	})
}

func caseUnitGone(p *probe) {
	p.eachPath(func(s *scene) {
		s.accountsFrom(2)
		err := s.unitTwice(func() { p.exec(fmt.Sprintf("DELETE FROM %s WHERE id = 2", p.h.DDL.quote(s.table))) },
			func(_ *occ.Tx, in *accountRepository) error {
				if _, err := in.Mutate(p.ctx, 1, func(a *account) error { a.Balance++; return nil }); err != nil {
					return err
				}
				_, err := in.Get(p.ctx, 2)
				if errors.Is(err, occ.ErrNotFound) {
					return nil
				}
				return err
			})
		p.must(err, "transact")
		s.holds(account{1, "Ada", 101, 4})
	})
}

func caseUnitBlind(p *probe) {
	p.eachPath(func(s *scene) {
		rows := s.accountsFrom(2)
		held := rows[1]
		current := s.move(rows[1], 5)
		err := s.db.Transact(p.ctx, func(tx *occ.Tx) error {
			return errors.Join(s.In(tx).Touch(p.ctx, &rows[0]), s.In(tx).Update(p.ctx, &rows[1]))
		})
		judgeConflict(p, err, 3, &current)
		p.equal("the struct", rows[1], held)
		s.holds(rows[0])
		s.attempts(1)
	})
}

func caseUnitDuplicate(p *probe) {
	p.eachPath(func(s *scene) {
		rows := s.accountsFrom(2)
		err := s.db.Transact(p.ctx, func(tx *occ.Tx) error {
			return errors.Join(s.In(tx).Touch(p.ctx, &rows[0]), s.In(tx).Insert(p.ctx, &account{ID: 2}))
		})
		p.is(err, occ.ErrDuplicate, "transact")
		p.not(err, "transact", occ.ErrConflict, occ.ErrAmbiguous, occ.ErrExhausted)
		s.holds(account{1, "Ada", 100, 3})
		s.attempts(1)
	})
}

func caseUnitSuppressed(p *probe) {
	if len(p.h.Interference.Swallow) == 0 {
		p.lacks("the database cannot swallow a write")
	}
	for _, trick := range p.h.Interference.Swallow {
		for _, event := range []string{"INSERT", "UPDATE", "DELETE"} {
			p.eachPath(func(s *scene) { s.suppressedUnit(trick, event) })
		}
	}
}

func (s *scene) suppressedUnit(trick Trick, event string) {
	p, rows := s.p, s.accountsFrom(2)
	before := rows[0]
	p.exec(trick.DDL(s.table, event)...)
	err := s.db.Transact(p.ctx, func(tx *occ.Tx) error {
		in := s.In(tx)
		other := in.Delete(p.ctx, &rows[0]) // takes effect, unless the unit is taken back
		switch event {
		case "INSERT":
			return errors.Join(other, in.Insert(p.ctx, &account{ID: 7}))
		case "UPDATE":
			return errors.Join(other, in.Touch(p.ctx, &rows[1]))
		default:
			return errors.Join(in.Touch(p.ctx, &rows[1]), other)
		}
	})
	if err == nil || !trick.Loud {
		p.is(err, occ.ErrSuppressed, "a unit with an "+event+" swallowed by a "+trick.Name)
	}
	s.holds(before)
	s.holds(account{2, "Ada", 100, 3})
}

func caseUnitLost(p *probe) {
	p.eachPath(func(s *scene) {
		rows := s.accountsFrom(2)
		given := rows[0]
		s.wire.lose.Store(&losses[0])
		err := s.db.Transact(p.ctx, func(tx *occ.Tx) error {
			return errors.Join(s.In(tx).Touch(p.ctx, &rows[0]), s.In(tx).Touch(p.ctx, &rows[1]),
				tx.AfterCommit(func() { p.failf("the hook has run, although nobody knows the outcome") }))
		})
		s.wire.lose.Store(nil)
		p.is(err, occ.ErrAmbiguous, "transact")
		p.not(err, "transact", occ.ErrConflict, occ.ErrExhausted)
		p.equal("how often it was sent", s.wire.final.Load(), int64(1))
		p.equal("the struct", rows[0], given)
		s.holds(account{1, "Ada", 100, 4})
		s.attempts(1)
	})
}

func caseUnitCanceled(p *probe) {
	p.eachPath(func(s *scene) {
		rows := s.accountsFrom(1)
		ctx, cancel := context.WithCancel(p.ctx)
		defer cancel()
		err := s.db.Transact(ctx, func(tx *occ.Tx) error {
			defer cancel()
			return s.In(tx).Touch(ctx, &rows[0])
		})
		p.is(err, context.Canceled, "transact")
		p.not(err, "transact", occ.ErrAmbiguous)
		s.holds(account{1, "Ada", 100, 3})
	})
}

func caseUnitOneTrip(p *probe) {
	if !p.oneTrip() {
		p.lacks("the pair commits a unit in steps")
	}
	s := p.accountsOver(&wire{DB: p.h.Transport})
	rows := s.accountsFrom(3)
	for range 2 { // the first one also asks for the session's settings
		s.wire.trips.Store(0)
		p.must(s.db.Transact(p.ctx, func(tx *occ.Tx) error {
			return errors.Join(s.In(tx).Touch(p.ctx, &rows[0]), s.In(tx).Update(p.ctx, &rows[1]), s.In(tx).Delete(p.ctx, &rows[2]),
				s.In(tx).Insert(p.ctx, &account{ID: 20}))
		}), "transact")
		p.exec(fmt.Sprintf("DELETE FROM %s WHERE id = 20", p.h.DDL.quote(s.table)))
		rows[2] = s.seed(account{3, "Ada", 1, 1})
	}
	p.equal("the number of answers waited for", s.wire.trips.Load(), int64(1))
}
