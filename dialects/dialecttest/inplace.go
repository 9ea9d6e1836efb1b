package dialecttest

import (
	"context"
	"errors"
	"math"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

const (
	featureInPlace      = "Add, Max and SetIf in one statement"
	featureInPlaceRange = "Add beyond the column is an error"
)

var inPlaceCases = []testCase{
	{"add", featureInPlace, "Add changes the column, moves the version by one and returns it, with one statement", caseAdd},
	{"add-hot", featureInPlace, "every Add of many writers of one row counts once and returns a version of its own", caseAddHot},
	{"drain", featureInPlace, "concurrent Adds under a condition stop exactly where it ends", caseDrain},
	{"max", featureInPlace, "Max raises the column and never lowers it, and moves the version either way", caseMax},
	{"set-if", featureInPlace, "SetIf sets while its condition holds, and once only", caseSetIf},
	{"unmet", featureInPlace, "a condition that does not hold is ErrUnmet with the current row, and nothing is written", caseUnmet},
	{"not-found", featureInPlace, "a key without a row is ErrNotFound", caseInPlaceNotFound},
	{"stale-afterwards", featureInPlace, "who read the row before an Add conflicts after it", caseStaleAfterAdd},
	{"overflow", featureInPlaceRange, "a sum that does not fit the column is ErrOverflow and changes nothing", caseAddOverflow},
	{"narrow", featureInPlaceRange, "a sum that does not fit a narrower column, or its field, is ErrOverflow and changes nothing", caseAddNarrow},
	{"version-full", featureInPlaceRange, "a version that is full is ErrOverflow and nothing is written", caseInPlaceVersionFull},
	{"null", featureInPlace, "adding to NULL is refused, Max replaces it, and a nullable field takes it for zero", caseInPlaceNull},
	{"token-string", featureInPlace, "Add gives the row a new token", caseInPlaceTokenString},
	{"token-uuid", featureInPlace, "Add gives the row a new uuid.UUID", caseInPlaceTokenUUID},
	{"timestamp", "In place with a timestamp version", "a timestamp grows strictly even while the clock stands still", caseInPlaceTimestamp},
	{"xmin", featureXmin, "Add gives the row a new xmin", caseInPlaceXmin},
	{"composite", featureInPlace, "Add finds its row by a composite key", caseInPlaceComposite},
	{"joined", featureInPlace, "Add runs in the caller's transaction, several times, and goes with it", caseInPlaceJoined},
	{"lost-reply", featureInPlace, "a lost reply to Add is ErrAmbiguous, and Add is not sent again", caseInPlaceLost},
}

// inPlaceAccounts is a table of accounts, if the dialect changes rows in place.
func (p *probe) inPlaceAccounts() *scene {
	s := p.accounts()
	p.changesInPlace()
	return s
}

func (p *probe) changesInPlace() {
	if _, ok := p.h.Dialect.(dialects.InPlaceWriter); !ok {
		p.lacks("the dialect is no dialects.InPlaceWriter")
	}
	if _, err := p.addInPlace("accounts"); errors.Is(err, errors.ErrUnsupported) {
		p.lacks("%v", err)
	}
}

// addInPlace is the statement of an Add to an account's balance.
func (p *probe) addInPlace(table string) (dialects.Statement, error) {
	whole := reflect.TypeFor[int64]()
	return p.h.Dialect.(dialects.InPlaceWriter).InPlaceUpdate(&dialects.Table{Name: table, Columns: []dialects.Column{
		{Name: "id", Key: true, Type: whole},
		{Name: "owner", Type: reflect.TypeFor[string]()},
		{Name: "balance", Type: whole},
		{Name: "version", Version: dialects.Counter, Type: whole},
	}}, dialects.InPlace{Changes: []dialects.InPlaceChange{{Column: 2, Op: dialects.InPlaceAdd}}})
}

func (s *scene) changed(op string, got any, err error, want account) {
	if !s.p.ok(err, "%s", op) {
		return
	}
	s.p.equal("the version returned", got, any(want.Version))
	s.holds(want)
}

func caseAdd(p *probe) {
	s := p.inPlaceAccounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 7})
	s.seed(account{ID: 2, Owner: "Bob", Balance: 100, Version: 7})
	for _, delta := range []int64{-30, 0, 5, -100} {
		a.Balance += delta
		a.Version++
		v, err := s.Add(p.ctx, 1, "balance", delta)
		s.changed("add", v, err, a)
	}
	s.attempts(4)
	s.holds(account{ID: 2, Owner: "Bob", Balance: 100, Version: 7})
	for version := int64(-2); version < 2; version++ {
		b := s.seed(account{ID: 10 + version, Owner: "Eve", Version: version})
		b.Balance, b.Version = 1, version+1
		v, err := s.Add(p.ctx, b.ID, "balance", 1)
		s.changed("add from a small version", v, err, b)
	}
	v, err := s.Apply(p.ctx, 1, []occ.Change{occ.Add("balance", 1000), occ.Set("owner", "Grace")}, occ.Ge("balance", -25), occ.Eq("owner", "Ada"))
	s.changed("apply", v, err, account{ID: 1, Owner: "Grace", Balance: a.Balance + 1000, Version: a.Version + 1})
}

// caseAddHot runs at full size 64 writers of 20 Adds each.
func caseAddHot(p *probe) {
	writers, adds := 16, 10
	if p.full {
		writers, adds = 64, 20
	}
	p.changesInPlace()
	var stale atomic.Int64
	s := p.accountsWith(occ.Options{Retry: &retry.Policy{MaxElapsed: time.Minute}, Observer: observe.Func(func(_ context.Context, e observe.Event) {
		if e.Kind == observe.Conflict && e.Reason != "server" { // which are deadlocks and the like
			stale.Add(1)
		}
	})}, nil)
	s.seed(account{ID: 1, Owner: "hot", Balance: 0, Version: 1})
	var (
		all      sync.WaitGroup
		mu       sync.Mutex
		versions []int64
	)
	for range writers {
		all.Go(func() {
			for range adds {
				v, err := s.Add(p.ctx, 1, "balance", 3)
				if !p.ok(err, "add") {
					return
				}
				mu.Lock()
				versions = append(versions, v.(int64))
				mu.Unlock()
			}
		})
	}
	all.Wait()
	total := int64(writers * adds)
	s.holds(account{ID: 1, Owner: "hot", Balance: 3 * total, Version: 1 + total})
	slices.Sort(versions)
	for i, v := range versions {
		if v != int64(i+2) {
			p.failf("the versions returned are not %d to %d, each once: position %d has %d", 2, total+1, i, v)
			break
		}
	}
	p.equal("versions found stale", stale.Load(), int64(0))
}

func caseDrain(p *probe) {
	p.changesInPlace()
	s := p.accountsWith(occ.Options{Retry: &retry.Policy{MaxElapsed: time.Minute}}, nil)
	s.seed(account{ID: 1, Owner: "hot", Balance: 95, Version: 1})
	var all sync.WaitGroup
	var taken, refused atomic.Int64
	for range 8 {
		all.Go(func() {
			for range 5 {
				_, err := s.Add(p.ctx, 1, "balance", -10, occ.Ge("balance", 10))
				switch {
				case err == nil:
					taken.Add(1)
				case errors.Is(err, occ.ErrUnmet):
					refused.Add(1)
				default:
					p.failf("add: %v", err)
				}
			}
		})
	}
	all.Wait()
	p.equal("taken", taken.Load(), int64(9))
	p.equal("refused", refused.Load(), int64(31))
	s.holds(account{ID: 1, Owner: "hot", Balance: 5, Version: 10})
}

func caseMax(p *probe) {
	s := p.inPlaceAccounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 1})
	for _, high := range []int64{90, 100, 110, -5} {
		a.Balance, a.Version = max(a.Balance, high), a.Version+1
		v, err := s.Max(p.ctx, 1, "balance", high)
		s.changed("max", v, err, a)
	}
	a.Balance, a.Version = -7, a.Version+1
	v, err := s.Apply(p.ctx, 1, []occ.Change{occ.Min("balance", -7)})
	s.changed("min", v, err, a)
}

func caseSetIf(p *probe) {
	s := p.inPlaceAccounts()
	s.seed(account{ID: 1, Owner: "open", Balance: 3, Version: 1})
	v, err := s.SetIf(p.ctx, 1, map[string]any{"owner": "paid", "balance": 0}, occ.Eq("owner", "open"), occ.Gt("balance", 2))
	paid := account{ID: 1, Owner: "paid", Balance: 0, Version: 2}
	s.changed("set if", v, err, paid)
	_, err = s.SetIf(p.ctx, 1, map[string]any{"owner": "paid again"}, occ.Eq("owner", "open"))
	p.is(err, occ.ErrUnmet, "set if again")
	s.holds(paid)
}

func caseUnmet(p *probe) {
	s := p.inPlaceAccounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 1})
	for name, c := range map[string]occ.Condition{
		"=": occ.Eq("balance", 99), "<>": occ.Ne("balance", 100), "<": occ.Lt("balance", 100), "<=": occ.Le("balance", 99),
		">": occ.Gt("balance", 100), ">=": occ.Ge("balance", 101), "text": occ.Eq("owner", "Eve"), "null": occ.Ne("owner", "Ada"),
	} {
		_, err := s.Add(p.ctx, 1, "balance", 1, c, occ.Ne("owner", "nobody"))
		var unmet *occ.Unmet[account]
		if !errors.As(err, &unmet) || !errors.Is(err, occ.ErrUnmet) {
			p.failf("add on condition %s: want *occ.Unmet, got %q", name, text(err))
			continue
		}
		p.equal("the current row", *unmet.Current, a)
		s.holds(a)
	}
	for _, c := range []occ.Condition{
		occ.Eq("balance", 100), occ.Ne("balance", 99), occ.Lt("balance", 101), occ.Le("balance", 100),
		occ.Gt("balance", 99), occ.Ge("balance", 100), occ.Eq("owner", "Ada"), occ.Ge("owner", "Ada"),
	} {
		a.Version++
		v, err := s.Add(p.ctx, 1, "balance", 0, c)
		s.changed("add", v, err, a)
	}
}

func caseInPlaceNotFound(p *probe) {
	s := p.inPlaceAccounts()
	_, err := s.Add(p.ctx, 1, "balance", 1)
	p.is(err, occ.ErrNotFound, "add")
	_, err = s.SetIf(p.ctx, 1, map[string]any{"owner": "x"}, occ.Eq("owner", "y"))
	p.is(err, occ.ErrNotFound, "set if")
	if _, found := s.row(1); found {
		p.failf("there is a row now")
	}
}

func caseStaleAfterAdd(p *probe) {
	s := p.inPlaceAccounts()
	held := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 1})
	_, err := s.Add(p.ctx, 1, "balance", -10)
	p.must(err, "add")
	now := account{ID: 1, Owner: "Ada", Balance: 90, Version: 2}
	held.Balance = 5
	judgeConflict(p, s.Update(p.ctx, &held), 1, &now)
	s.holds(now)
}

func caseAddOverflow(p *probe) {
	s := p.inPlaceAccounts()
	top := s.seed(account{ID: 1, Owner: "Ada", Balance: math.MaxInt64 - 1, Version: 1})
	bottom := s.seed(account{ID: 2, Owner: "Bob", Balance: math.MinInt64 + 1, Version: 1})
	for range 2 {
		_, err := s.Add(p.ctx, 1, "balance", 2)
		p.is(err, occ.ErrOverflow, "add above MaxInt64")
		_, err = s.Add(p.ctx, 2, "balance", int64(math.MinInt64))
		p.is(err, occ.ErrOverflow, "add below MinInt64")
		s.holds(top)
		s.holds(bottom)
	}
	v, err := s.Add(p.ctx, 1, "balance", 1)
	s.changed("the last step", v, err, account{ID: 1, Owner: "Ada", Balance: math.MaxInt64, Version: 2})
}

func caseInPlaceJoined(p *probe) {
	s := p.inPlaceAccounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 1})
	tx := p.beginTx()
	r := s.In(tx)
	for n := range int64(3) {
		v, err := r.Add(p.ctx, 1, "balance", -10)
		p.must(err, "add")
		p.equal("the version returned", v, any(n+2))
	}
	_, err := r.Add(p.ctx, 1, "balance", -100, occ.Ge("balance", 100))
	var unmet *occ.Unmet[account]
	if !errors.As(err, &unmet) {
		p.failf("want *occ.Unmet, got %q", text(err))
	} else {
		p.equal("the current row", *unmet.Current, account{ID: 1, Owner: "Ada", Balance: 70, Version: 4})
	}
	_, err = r.Add(p.ctx, 9, "balance", 1)
	p.is(err, occ.ErrNotFound, "add to nothing")
	_, err = r.Add(p.ctx, 1, "balance", 1)
	p.must(err, "a condition that is not met does not end the transaction")
	tx.end()
	s.holds(a)
	tx = p.beginTx()
	_, err = s.In(tx).Add(p.ctx, 1, "balance", 1)
	p.must(err, "add")
	tx.mustCommit()
	s.holds(account{ID: 1, Owner: "Ada", Balance: 101, Version: 2})
}

func caseInPlaceLost(p *probe) {
	s := p.inPlaceAccounts()
	st, err := p.addInPlace(s.table)
	p.must(err, "compile")
	for n, loss := range losses {
		id := int64(n)
		s.seed(account{ID: id, Owner: "Ada", Balance: 100, Version: 1})
		l := &losing{DB: p.h.Transport, err: loss, texts: []string{st.Text}}
		l.left.Store(1)
		_, err := s.via(l, occ.Options{}, nil).Add(p.ctx, id, "balance", 1)
		p.is(err, occ.ErrAmbiguous, "add")
		p.not(err, "add", occ.ErrConflict, occ.ErrExhausted, occ.ErrUnavailable)
		p.equal("how often it was sent", l.sent.Load(), int64(1))
		s.holds(account{ID: id, Owner: "Ada", Balance: 101, Version: 2})
	}
}
