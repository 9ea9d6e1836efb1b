package dialecttest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

const (
	featureFind    = "Find with the caller's own condition"
	featureGetMany = "GetMany in few statements"
)

var findingCases = []testCase{
	{"get", featureOutcomes, "Get returns the row of the key, and ErrNotFound without one", caseGet},
	{"placeholders", featureFind, "each ? of the tail is bound in order, LIMIT included", casePlaceholders},
	{"quoted-marks", featureFind, "question marks in strings, names and comments are left alone", caseQuotedMarks},
	{"literal-mark", "Find with operators such as ?, written ??", "?? is a question mark, for operators that have one", caseLiteralMark},
	{"everything", featureFind, "an empty tail finds every row, and a condition that is never true none", caseEverything},
	{"break", featureFind, "the loop may stop early, and its body may use the database", caseBreak},
	{"bad-tail", featureFind, "an error of the database is yielded once, as the last element", caseBadTail},
	{"get-many", featureGetMany, "GetMany takes no, one, three and 500 keys, repeated and missing ones", caseGetMany},
	{"too-many", featureGetMany, "a statement for more keys than parameters is refused, not written", caseTooMany},
}

// people seeds rows with the keys and balances 1 to n, all at version 1.
func (s *scene) people(n int64) map[int64]account {
	rows := map[int64]account{}
	var values []string
	for id := int64(1); id <= n; id++ {
		a := account{ID: id, Owner: fmt.Sprintf("p%d", id%3), Balance: id, Version: 1}
		values = append(values, fmt.Sprintf("(%d, '%s', %d, %d)", a.ID, a.Owner, a.Balance, a.Version))
		rows[id] = a
	}
	s.p.exec("INSERT INTO " + s.p.h.DDL.quote(s.table) + " (id, owner, balance, version) VALUES " + strings.Join(values, ", "))
	return rows
}

// finds notes a fault unless Find yields the rows of ids, in order.
func (s *scene) finds(ids []int64, tail string, args ...any) {
	var got []int64
	for a, err := range s.Find(s.p.ctx, tail, args...) {
		if !s.p.ok(err, "find %s", tail) {
			return
		}
		got = append(got, a.ID)
	}
	s.p.equal("the rows found by "+tail, got, ids)
}

func caseGet(p *probe) {
	s := p.accounts()
	want := s.seed(account{ID: -1, Owner: "Ada", Balance: 100, Version: 3})
	got, err := s.Get(p.ctx, -1)
	p.must(err, "get")
	p.equal("the row", got, want)
	_, err = s.Get(p.ctx, 1)
	p.is(err, occ.ErrNotFound, "get of a key without a row")
	p.not(err, "get of a key without a row", occ.ErrGone, occ.ErrConflict)
}

func casePlaceholders(p *probe) {
	s := p.accounts()
	s.people(9)
	s.finds([]int64{8, 5}, "WHERE owner = ? AND balance >= ? ORDER BY id DESC", "p2", 5)
	s.finds([]int64{1, 4}, "WHERE owner=? ORDER BY id LIMIT ?", "p1", 2)
	s.finds([]int64{3}, "WHERE(balance=?)AND(owner=?)", 3, "p0")
	s.finds([]int64{2, 7}, "WHERE id IN (?,?) ORDER BY id", 7, 2)
}

func caseQuotedMarks(p *probe) {
	s := p.accounts()
	a := account{ID: 1, Owner: "what?", Balance: 1}
	p.must(s.Insert(p.ctx, &a), "insert")
	s.finds([]int64{1}, "WHERE owner = 'what?' AND balance = ?", 1)
	s.finds([]int64{1}, "WHERE owner <> 'it''s ? here' AND balance = ?", 1)
	s.finds([]int64{1}, "WHERE owner = ? -- why?\n AND balance = ?", "what?", 1)
	s.finds([]int64{1}, "WHERE owner = ? /* why? */ AND balance = ?", "what?", 1)
	s.finds([]int64{1}, "AS "+p.h.DDL.quote("a?b")+" WHERE "+p.h.DDL.quote("a?b")+".balance = ?", 1)
}

func caseLiteralMark(p *probe) {
	if p.h.QuestionMark == "" {
		p.lacks("the database has no operator with a question mark")
	}
	s := p.accounts()
	s.people(2)
	s.finds([]int64{2}, "WHERE "+p.h.QuestionMark+" AND balance = ?", 2)
	s.finds([]int64{1, 2}, "WHERE "+p.h.QuestionMark+" ORDER BY id")
}

func caseEverything(p *probe) {
	s := p.accounts()
	rows := s.people(5)
	found := map[int64]account{}
	for a, err := range s.Find(p.ctx, "") {
		p.must(err, "find")
		found[a.ID] = a
	}
	p.equal("the rows", found, rows)
	s.finds(nil, "WHERE 1 = 0")
}

func caseBreak(p *probe) {
	s := p.accounts()
	s.people(5)
	n := 0
	for a, err := range s.Find(p.ctx, "ORDER BY id") {
		p.must(err, "find")
		a.Balance *= 10
		p.must(s.Update(p.ctx, &a), "update of a row found")
		if n++; n == 2 {
			break
		}
	}
	s.finds([]int64{1, 2}, "WHERE balance >= 10 ORDER BY id")
}

func caseBadTail(p *probe) {
	s := p.accounts()
	s.people(2)
	for _, tail := range []string{"WHERE nonsense = ?", "WHERE WHERE balance = ?"} {
		n, failures := 0, 0
		for _, err := range s.Find(p.ctx, tail, 1) {
			if n++; err != nil {
				failures++
				p.not(err, "find", occ.ErrAmbiguous, occ.ErrExhausted, occ.ErrConflict, occ.ErrUnavailable)
				p.equal("the class of "+err.Error(), s.db.Classify(err), dialects.Rejected)
			}
		}
		p.equal("elements and errors of "+tail, []int{n, failures}, []int{1, 1})
	}
}

func caseGetMany(p *probe) {
	s := p.accounts()
	rows := s.people(300)
	all := make([]int64, 500)
	for i := range all {
		all[i] = int64(len(all) - i)
	}
	for _, keys := range [][]int64{
		nil, {7}, {1, 2, 3}, {5, 5, 5}, {-1}, {300, 301, 1, 301, 1}, all, slices.Concat(all, all),
	} {
		want := map[int64]account{}
		for _, key := range keys {
			if row, ok := rows[key]; ok {
				want[key] = row
			}
		}
		got, err := s.GetMany(p.ctx, keys)
		p.must(err, "get many of %d keys", len(keys))
		p.equal(fmt.Sprintf("the number of rows of %d keys", len(keys)), len(got), len(want))
		for key, row := range want {
			p.equal("a row", got[key], row)
		}
	}
}

func caseTooMany(p *probe) {
	multi, ok := p.h.Dialect.(dialects.MultiReader)
	limit := p.h.Dialect.Limits().Params
	if !ok || limit == 0 {
		p.lacks("the dialect reads no several rows, or has no limit")
	}
	table := dialects.Table{Name: "t", Columns: []dialects.Column{
		{Name: "a", Key: true}, {Name: "b", Key: true}, {Name: "version", Version: dialects.Counter},
	}}
	_, err := multi.SelectMany(&table, limit/2)
	if errors.Is(err, errors.ErrUnsupported) {
		p.lacks("%v", err)
	}
	p.ok(err, "a statement with as many parameters as the limit")
	if _, err := multi.SelectMany(&table, limit/2+1); err == nil {
		p.failf("a statement with more parameters than the limit of %d was written", limit)
	}
}
