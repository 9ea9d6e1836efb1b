package dialecttest

import (
	"errors"

	"github.com/occkit/occkit/occ"
)

const featureBulk = "Bulk writes with an outcome per row"

var bulkCases = []testCase{
	{"update-many", featureBulk, "UpdateMany tells winners, stale and missing rows apart, and writes all, or the winners", caseUpdateMany},
	{"delete-many", featureBulk, "DeleteMany tells winners, stale and missing rows apart, and removes all, or the winners", caseDeleteMany},
	{"insert-many", featureBulk, "InsertMany names the rows that exist, and inserts all, or the others", caseInsertMany},
	{"same-key", featureBulk, "two rows with one key are refused, and nothing is written", caseSameKey},
	{"suppressed-many", featureSuppression, "rows that the database swallows are ErrSuppressed, each of them", caseSuppressedMany},
}

// contested are rows 1 to 4 as a caller holds them: 2 is stale, 3 is gone.
func (s *scene) contested() (held []account, current account) {
	held = s.accountsFrom(2)
	current = s.move(held[1], 5)
	held = append(held, account{ID: 3, Owner: "Ada", Version: 3}, s.seed(account{4, "Ada", 100, 3}))
	for i := range held {
		held[i].Balance = 1
	}
	return held, current
}

// judgeMany judges the outcomes of contested rows.
func (s *scene) judgeMany(outcomes []occ.Outcome, err error, mode occ.BulkMode, current account) {
	p := s.p
	p.is(err, occ.ErrConflict, "the call")
	p.is(err, occ.ErrGone, "the call")
	if !p.equal("the number of outcomes", len(outcomes), 4) {
		return
	}
	judgeConflict(p, outcomes[1].Err, 3, &current)
	p.is(outcomes[2].Err, occ.ErrGone, "the row that is gone")
	for _, i := range []int{0, 3} {
		if mode == occ.AllOrNothing {
			p.is(outcomes[i].Err, occ.ErrNotApplied, "a row that nothing was wrong with")
		} else {
			p.ok(outcomes[i].Err, "a row that nothing was wrong with")
		}
	}
	s.holds(current)
	s.absent(3)
}

func caseUpdateMany(p *probe) {
	s := p.accounts()
	held, current := s.contested()
	outcomes, err := s.UpdateMany(p.ctx, held, occ.AllOrNothing)
	s.judgeMany(outcomes, err, occ.AllOrNothing, current)
	s.holds(account{1, "Ada", 100, 3})
	p.equal("the struct", held[0], account{1, "Ada", 1, 3})
	outcomes, err = s.UpdateMany(p.ctx, held, occ.BestEffort)
	s.judgeMany(outcomes, err, occ.BestEffort, current)
	p.equal("the version of a winner", outcomes[0].Version, any(int64(4)))
	p.equal("the winner's struct", held[0], account{1, "Ada", 1, 4})
	p.equal("the loser's struct", held[1], account{2, "Ada", 1, 3})
	s.holds(held[0])
	s.holds(held[3])
	_, err = s.UpdateMany(p.ctx, []account{held[3], held[0]}, occ.AllOrNothing)
	p.must(err, "update winners")
	s.holds(account{4, "Ada", 1, 5})
}

func caseDeleteMany(p *probe) {
	s := p.accounts()
	held, current := s.contested()
	outcomes, err := s.DeleteMany(p.ctx, held, occ.AllOrNothing)
	s.judgeMany(outcomes, err, occ.AllOrNothing, current)
	s.holds(account{1, "Ada", 100, 3})
	outcomes, err = s.DeleteMany(p.ctx, held, occ.BestEffort)
	s.judgeMany(outcomes, err, occ.BestEffort, current)
	s.absent(1)
	s.absent(4)
}

func caseInsertMany(p *probe) {
	s := p.accounts()
	s.accountsFrom(1)
	rows := []account{{ID: 5, Owner: "e"}, {ID: 1, Owner: "a"}, {ID: 6, Owner: "f"}}
	outcomes, err := s.InsertMany(p.ctx, rows, occ.AllOrNothing)
	p.is(err, occ.ErrDuplicate, "insert many")
	p.is(outcomes[0].Err, occ.ErrNotApplied, "a row that nothing was wrong with")
	p.is(outcomes[1].Err, occ.ErrDuplicate, "the row that exists")
	s.absent(5)
	outcomes, err = s.InsertMany(p.ctx, rows, occ.BestEffort)
	p.is(err, occ.ErrDuplicate, "insert many")
	p.ok(outcomes[2].Err, "a row that nothing was wrong with")
	p.equal("the inserted struct", rows[2], account{6, "f", 0, 1})
	p.equal("the struct that lost", rows[1], account{ID: 1, Owner: "a"})
	s.holds(rows[0])
	s.holds(rows[2])
}

func caseSameKey(p *probe) {
	s := p.accounts()
	rows := s.accountsFrom(2)
	_, err := s.UpdateMany(p.ctx, append(rows, rows[0]), occ.BestEffort)
	p.is(err, occ.ErrUsage, "update many")
	s.holds(rows[0])
	s.holds(rows[1])
}

func caseSuppressedMany(p *probe) {
	if len(p.h.Interference.Swallow) == 0 {
		p.lacks("the database cannot swallow a write")
	}
	for _, trick := range p.h.Interference.Swallow {
		s := p.accounts()
		rows := s.accountsFrom(3)
		p.exec(trick.DDL(s.table, "UPDATE")...)
		outcomes, err := s.UpdateMany(p.ctx, rows, occ.BestEffort)
		if trick.Loud && err != nil && !errors.Is(err, occ.ErrSuppressed) {
			continue
		}
		for _, o := range outcomes {
			p.is(o.Err, occ.ErrSuppressed, "an update swallowed by a "+trick.Name)
		}
		s.holds(rows[2])
	}
}
