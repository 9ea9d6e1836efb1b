package dialecttest

import (
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

const (
	featureSuppression = "Writes that the database swallows are ErrSuppressed"
	featureReturned    = "Triggers that move the version: the update returns it"
	featureReadBack    = "Triggers that move the version: with ReadBack"
)

var suppressionCases = []testCase{
	{"update", featureSuppression, "an update that a trigger or rule swallows is ErrSuppressed after one attempt", caseSwallowedUpdate},
	{"delete", featureSuppression, "a delete that a trigger or rule swallows is ErrSuppressed after one attempt", caseSwallowedDelete},
	{"insert", featureSuppression, "an insert that a trigger or rule swallows is ErrSuppressed after one attempt", caseSwallowedInsert},
	{"mutate", featureSuppression, "a mutate whose write is swallowed is ErrSuppressed after one attempt and one re-check, never a loop", caseSwallowedMutate},
	{"joined", featureSuppression, "a swallowed write of a joined transaction is ErrSuppressed", caseSwallowedJoined},
	{"bump", featureReturned, "a version that a trigger moved comes back from the update, and the next update succeeds", caseBump},
	{"bump-many", featureReturned, "versions that a trigger moved come back from UpdateMany", func(p *probe) { bumpedMany(p, false) }},
	{"bump-many-read-back", featureReadBack, "with ReadBack, UpdateMany reads the versions that a trigger moved", func(p *probe) { bumpedMany(p, true) }},
	{"bump-read-back", featureReadBack, "with ReadBack, a version that a trigger moved is read from the table, and the next update succeeds", caseBumpReadBack},
}

// swallowed runs a write in each way of swallowing it.
func swallowed(p *probe, event string, most int64, write func(s *scene, a *account) error) {
	if len(p.h.Interference.Swallow) == 0 {
		p.lacks("the database has no way to swallow a write")
	}
	for _, trick := range p.h.Interference.Swallow {
		s := p.accountsWith(occ.Options{}, nil) // the default policy would go on for long
		a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
		p.exec(trick.DDL(s.table, event)...)
		held := a
		held.Balance = 1
		before := held
		err := write(s, &held)
		what := "the write that a " + trick.Name + " swallows"
		switch {
		case err == nil:
			p.failf("%s: no error", what)
		case trick.Loud:
			p.not(err, what, occ.ErrConflict, occ.ErrGone, occ.ErrAmbiguous, occ.ErrExhausted, occ.ErrDuplicate)
		default:
			p.is(err, occ.ErrSuppressed, what)
			p.not(err, what, occ.ErrConflict, occ.ErrGone, occ.ErrAmbiguous, occ.ErrExhausted)
		}
		p.equal("the struct", held, before)
		if n := s.events.Count(observe.Attempt); n > most {
			p.failf("%s: %d attempts, want at most %d", what, n, most)
		}
		s.holds(a)
	}
}

func caseSwallowedUpdate(p *probe) {
	swallowed(p, "UPDATE", 1, func(s *scene, a *account) error { return s.Update(p.ctx, a) })
	swallowed(p, "UPDATE", 1, func(s *scene, a *account) error { return s.Patch(p.ctx, a, "balance") })
	swallowed(p, "UPDATE", 1, func(s *scene, a *account) error { return s.Touch(p.ctx, a) })
	swallowed(p, "UPDATE", 1, func(s *scene, a *account) error { return s.Overwrite(p.ctx, a, "suite") })
}

func caseSwallowedDelete(p *probe) {
	swallowed(p, "DELETE", 1, func(s *scene, a *account) error { return s.Delete(p.ctx, a) })
}

func caseSwallowedInsert(p *probe) {
	swallowed(p, "INSERT", 1, func(s *scene, _ *account) error { return s.Insert(p.ctx, &account{ID: 2}) })
}

func caseSwallowedMutate(p *probe) {
	swallowed(p, "UPDATE", 2, func(s *scene, _ *account) error {
		_, err := s.Mutate(p.ctx, 1, func(a *account) error { a.Balance++; return nil })
		return err
	})
}

func caseSwallowedJoined(p *probe) {
	for _, event := range []string{"UPDATE", "DELETE"} {
		swallowed(p, event, 1, func(s *scene, a *account) error {
			tx := p.beginTx()
			defer tx.end()
			if event == "DELETE" {
				return s.In(tx).Delete(p.ctx, a)
			}
			return s.In(tx).Update(p.ctx, a)
		})
	}
}

func caseBump(p *probe) { bumped(p, false) }

func caseBumpReadBack(p *probe) { bumped(p, true) }

// bumping is a table whose trigger moves the version by two each time.
func bumping(p *probe, readBack bool) *scene {
	switch {
	case p.h.Interference.Bump == nil:
		p.untested("the harness has no Interference.Bump")
	case !readBack && !p.h.Interference.BumpReturned:
		p.lacks("an update does not return what a trigger made of the version: use RepositoryOptions.ReadBack")
	}
	s := p.accountsWith(occ.Options{Retry: &few}, &occ.RepositoryOptions{ReadBack: readBack})
	p.exec(p.h.Interference.Bump(s.table)...)
	return s
}

func bumpedMany(p *probe, readBack bool) {
	s := bumping(p, readBack)
	for mode, name := range []string{occ.AllOrNothing: "all or nothing", occ.BestEffort: "best effort"} {
		rows := []account{s.seed(account{ID: int64(10 * mode), Version: 3}), s.seed(account{ID: int64(10*mode + 1), Version: 8})}
		outcomes, err := s.UpdateMany(p.ctx, rows, occ.BulkMode(mode)) //nolint:gosec // small
		p.must(err, "%s", name)
		for i, want := range []int64{5, 10} {
			p.must(outcomes[i].Err, "%s, row %d", name, i)
			p.equal("the version of the outcome", outcomes[i].Version, any(want))
			p.equal("the version in the row", rows[i].Version, want)
			s.holds(rows[i])
		}
	}
}

// bumped writes a row whose trigger moves the version by two each time.
func bumped(p *probe, readBack bool) {
	s := bumping(p, readBack)
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	for want := int64(5); want <= 7; want += 2 {
		a.Balance++
		p.must(s.Update(p.ctx, &a), "update at %d", want-2)
		p.equal("the version in the struct", a.Version, want)
		s.holds(a)
	}
	got, err := s.Mutate(p.ctx, 1, func(a *account) error { a.Balance++; return nil })
	p.must(err, "mutate")
	p.equal("the version returned", got.Version, int64(9))
	s.holds(got)
	stale := account{ID: 1, Version: 8}
	p.is(s.Update(p.ctx, &stale), occ.ErrConflict, "update at a version that the trigger skipped")
	if p.h.BeginTx == nil {
		return
	}
	tx := p.beginTx()
	got, err = s.In(tx).Mutate(p.ctx, 1, func(a *account) error { a.Balance++; return nil })
	p.must(err, "joined mutate")
	p.equal("the version returned by the joined mutate", got.Version, int64(11))
	tx.mustCommit()
	s.holds(got)
}
