package dialecttest

import (
	"context"
	"errors"

	"github.com/occkit/occkit/occ"
)

const (
	featureJoined   = "The caller's own transaction (occ.Join)"
	featureSnapshot = "Conflicts under repeatable reads"
)

var joinedCases = []testCase{
	{"commit", featureJoined, "writes of a joined transaction take effect at its commit, and the structs passed in stay", caseJoinedCommit},
	{"rollback", featureJoined, "writes of a joined transaction vanish with its rollback", caseJoinedRollback},
	{"conflict", featureJoined, "a stale version is a Conflict with the current row, after one attempt", caseJoinedConflict},
	{"gone", featureJoined, "a row that was deleted is ErrGone", caseJoinedGone},
	{"mutate-twice", featureJoined, "a row can be mutated twice in one transaction", caseJoinedTwice},
	{"overwrite", featureJoined, "Overwrite works in a joined transaction", caseJoinedOverwrite},
	{"own-writes", featureJoined, "a joined transaction reads what it has written", caseJoinedOwnWrites},
	{"poison", featureJoined, "after an error of the database everything in the transaction is ErrPoisoned", casePoison},
	{"wrong-type", featureJoined, "what is no transaction is refused as wrong use", caseWrongType},
	{"snapshot-update", featureSnapshot, "an update that lost against a commit after the snapshot is a Conflict, and never called suppressed", caseSnapshotUpdate},
	{"snapshot-delete", featureSnapshot, "a delete that lost against a commit after the snapshot is a Conflict, and never called suppressed", caseSnapshotDelete},
	{"snapshot-gone", featureSnapshot, "a row that was deleted after the snapshot is ErrGone or a conflict", caseSnapshotGone},
	{"snapshot-retry", featureSnapshot, "DB.Retry repeats a transaction that lost, and it then succeeds", caseSnapshotRetry},
}

func caseJoinedCommit(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	b := s.seed(account{ID: 2, Owner: "Bob", Balance: 5, Version: 8})
	tx := p.beginTx()
	in := s.In(tx)
	a.Balance = 1
	held, heldB, c := a, b, account{ID: 3, Owner: "Cyd"}
	p.must(in.Update(p.ctx, &a), "update")
	p.must(in.Delete(p.ctx, &b), "delete")
	p.must(in.Insert(p.ctx, &c), "insert")
	p.equal("the structs", []account{a, b, c}, []account{held, heldB, {ID: 3, Owner: "Cyd"}})
	tx.mustCommit()
	s.holds(account{ID: 1, Owner: "Ada", Balance: 1, Version: 4})
	s.holds(account{ID: 3, Owner: "Cyd", Version: 1})
	if _, found := s.row(2); found {
		p.failf("the deleted row is still there")
	}
}

func caseJoinedRollback(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	tx := p.beginTx()
	changed := a
	changed.Balance = 1
	p.must(s.In(tx).Update(p.ctx, &changed), "update")
	tx.end()
	s.holds(a)
	p.must(s.Update(p.ctx, &changed), "update afterwards")
}

func caseJoinedConflict(p *probe) {
	s := p.accounts()
	current := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 5})
	for _, write := range []func(r *accountRepository, a *account) error{
		func(r *accountRepository, a *account) error { return r.Update(p.ctx, a) },
		func(r *accountRepository, a *account) error { return r.Delete(p.ctx, a) },
	} {
		s := s.via(p.h.Transport, occ.Options{}, nil) // with the default policy
		tx := p.beginTx()
		a := account{ID: 1, Owner: "Eve", Balance: 1, Version: 4}
		before := a
		judgeConflict(p, write(s.In(tx), &a), 4, &current)
		p.equal("the struct", a, before)
		s.attempts(1)
		tx.end()
	}
	s.holds(current)
}

func caseJoinedGone(p *probe) {
	s := p.accounts()
	tx := p.beginTx()
	a := account{ID: 1, Version: 1}
	p.is(s.In(tx).Update(p.ctx, &a), occ.ErrGone, "update")
	p.is(s.In(tx).Delete(p.ctx, &a), occ.ErrGone, "delete")
}

func caseJoinedTwice(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	tx := p.beginTx()
	in := s.In(tx)
	for want := int64(4); want <= 5; want++ {
		got, err := in.Mutate(p.ctx, 1, func(a *account) error { a.Balance++; return nil })
		p.must(err, "mutate")
		p.equal("the version returned", got.Version, want)
	}
	tx.mustCommit()
	s.holds(account{ID: 1, Owner: "Ada", Balance: 102, Version: 5})
}

func caseJoinedOverwrite(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 8})
	tx := p.beginTx()
	a := account{ID: 1, Owner: "Eve", Version: 2}
	p.must(s.In(tx).Overwrite(p.ctx, &a, "suite"), "overwrite")
	p.equal("the struct", a, account{ID: 1, Owner: "Eve", Version: 2})
	tx.mustCommit()
	s.holds(account{ID: 1, Owner: "Eve", Version: 9})
}

func caseJoinedOwnWrites(p *probe) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	tx := p.beginTx()
	in := s.In(tx)
	a := account{ID: 1, Owner: "Bob", Balance: 7, Version: 3}
	p.must(in.Update(p.ctx, &a), "update")
	want := account{ID: 1, Owner: "Bob", Balance: 7, Version: 4}
	got, err := in.Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the row", got, want)
	many, err := in.GetMany(p.ctx, []int64{1, 2})
	p.must(err, "get many")
	p.equal("the rows", many, map[int64]account{1: want})
	for found, err := range in.Find(p.ctx, "WHERE balance = ?", 7) {
		p.must(err, "find")
		p.equal("the row found", found, want)
	}
	// Written twice from the version that was held before: a conflict with
	// this very transaction.
	p.is(in.Update(p.ctx, &a), occ.ErrConflict, "update at the version held before")
}

func casePoison(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	tx := p.beginTx()
	in := s.In(tx)
	p.is(in.Insert(p.ctx, &account{ID: 1}), occ.ErrDuplicate, "insert of a key that exists")
	changed := a
	changed.Balance = 1
	p.is(in.Update(p.ctx, &changed), occ.ErrPoisoned, "update afterwards")
	p.is(s.In(tx).Delete(p.ctx, &a), occ.ErrPoisoned, "delete through another repository of the scope")
	_, err := in.Get(p.ctx, 1)
	p.is(err, occ.ErrPoisoned, "get afterwards")
	tx.end()
	s.holds(a)
}

func caseWrongType(p *probe) {
	s := p.accounts()
	for _, tx := range []any{nil, 42, "tx", s.db} {
		a := account{ID: 1}
		p.is(s.In(occ.Join(tx)).Update(p.ctx, &a), occ.ErrUsage, "update")
	}
}

// snapshot lets a transaction read a row that another writer then changes.
func snapshot(p *probe, then func(s *scene, a account)) (s *scene, tx *transaction, held account) {
	s = p.accounts()
	held = s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	tx = p.beginSnapshot()
	got, err := s.In(tx).Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the row", got, held)
	then(s, held)
	return s, tx, held
}

// judgeSnapshot takes a conflict without the current row, which is all that a
// database can say that ends the transaction, but no wrong current row.
func judgeSnapshot(p *probe, err error, current account) {
	var conflict *occ.Conflict[account]
	p.is(err, occ.ErrConflict, "the write")
	p.not(err, "the write", occ.ErrSuppressed, occ.ErrGone, occ.ErrAmbiguous)
	if !errors.As(err, &conflict) {
		p.failf("the error is a %T, want a *occ.Conflict", err)
		return
	}
	if conflict.Actual != nil || conflict.Current != nil {
		judgeConflict(p, err, 3, &current)
	}
}

func caseSnapshotUpdate(p *probe) {
	var current account
	s, tx, held := snapshot(p, func(s *scene, a account) { current = s.move(a, 500) })
	changed := held
	changed.Balance = 1
	judgeSnapshot(p, s.In(tx).Update(p.ctx, &changed), current)
	tx.end()
	s.holds(current)
}

func caseSnapshotDelete(p *probe) {
	var current account
	s, tx, held := snapshot(p, func(s *scene, a account) { current = s.move(a, 500) })
	judgeSnapshot(p, s.In(tx).Delete(p.ctx, &held), current)
	tx.end()
	s.holds(current)
}

func caseSnapshotGone(p *probe) {
	s, tx, held := snapshot(p, func(s *scene, a account) { p.must(s.Delete(p.ctx, &a), "delete") })
	err := s.In(tx).Update(p.ctx, &held)
	if !errors.Is(err, occ.ErrGone) && !errors.Is(err, occ.ErrConflict) {
		p.failf("update: error %q, want one that is ErrGone or ErrConflict", text(err))
	}
	p.not(err, "update", occ.ErrSuppressed, occ.ErrAmbiguous)
}

func caseSnapshotRetry(p *probe) {
	s := p.accounts()
	first := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	if p.h.BeginSnapshot == nil {
		p.untested("the harness has no BeginSnapshot")
	}
	runs := 0
	p.must(s.db.Retry(p.ctx, func(ctx context.Context) error {
		runs++
		tx := p.beginSnapshot()
		defer tx.end()
		in := s.In(tx)
		a, err := in.Get(ctx, 1)
		if err != nil {
			return err
		}
		if runs == 1 {
			s.move(first, 500)
		}
		a.Balance += 10
		if err := in.Update(ctx, &a); err != nil {
			return err
		}
		return tx.commit()
	}), "retry")
	p.equal("the runs", runs, 2)
	s.holds(account{ID: 1, Owner: "Ada", Balance: 510, Version: 5})
}
