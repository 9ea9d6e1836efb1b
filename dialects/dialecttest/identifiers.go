package dialecttest

import (
	"strings"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

const featureIdentifiers = "Hostile identifiers are quoted or refused"

var identifierCases = []testCase{
	{"table-names", featureIdentifiers, "a table may have any name, and no name reaches another table", caseTableNames},
	{"column-names", featureIdentifiers, "columns may be named by reserved words, quotes and Unicode", caseColumnNames},
	{"refused", featureIdentifiers, "names that the database cannot hold exactly are refused when the repository is made", caseRefusedNames},
	{"case", featureIdentifiers, "names keep their case", caseNameCase},
}

func caseTableNames(p *probe) {
	bystander := p.accounts()
	safe := bystander.seed(account{ID: 1, Owner: "safe", Balance: 1, Version: 1})
	for _, pattern := range []string{
		`acc"ounts; --`, "acc`ounts; --", `it's Größe 表`,
		`x"; DROP TABLE ` + bystander.table + `; --`, "x`; DROP TABLE " + bystander.table + "; --",
		`"" "`, "`` `", "a b ? $1 %s", "back\\slash and\ttab",
	} {
		// The random part comes first: some databases trim names.
		table := p.name() + pattern
		p.createAs(table, accountColumns)
		s := &scene{p: p, table: table}
		s.open(p.h.Transport, occ.Options{Retry: &few}, nil)
		everyOperation(s)
	}
	bystander.holds(safe)
}

// everyOperation runs each statement of a repository once.
func everyOperation(s *scene) {
	p, ok := s.p, true
	do := func(err error, what string) { ok = p.ok(err, "%s in table %q", what, s.table) && ok }
	a, b := account{ID: 1, Owner: "Ada", Balance: 1}, account{ID: 2, Owner: "Bob", Balance: 2}
	do(s.Insert(p.ctx, &a), "insert")
	do(s.Insert(p.ctx, &b), "insert")
	stale := a
	do(s.Update(p.ctx, &a), "update")
	do(s.Patch(p.ctx, &a, "owner"), "patch")
	do(s.Touch(p.ctx, &a), "touch")
	do(s.Delete(p.ctx, &b), "delete")
	if !ok {
		return
	}
	p.is(s.Update(p.ctx, &stale), occ.ErrConflict, "stale update")
	got, err := s.GetMany(p.ctx, []int64{1, 2, 3})
	do(err, "get many")
	p.equal("the rows", got, map[int64]account{1: a})
	for found, err := range s.Find(p.ctx, "WHERE owner = ?", "Ada") {
		do(err, "find")
		p.equal("the row found", found, a)
	}
	_, err = s.Mutate(p.ctx, 1, func(*account) error { return nil })
	do(err, "mutate")
}

// hostile has columns that need quoting. One name needs both kinds of quotes.
type hostile struct {
	ID      int64  "occ:\"ord`er,key\""
	Select  string `occ:"select"`
	Order   string `occ:"order"`
	Quote   string `occ:"na\"me; --"`
	Unicode string `occ:"größe 表"`
	Mark    string `occ:"what? $1 %s"`
	Version int64  `occ:"group,version"`
}

func caseColumnNames(p *probe) {
	q := p.h.DDL.quote
	table := p.create(q("ord`er") + " {bigint} NOT NULL PRIMARY KEY, " + q("select") + " {text} NOT NULL, " + q("order") + " {text} NOT NULL, " +
		q(`na"me; --`) + " {text} NOT NULL, " + q("größe 表") + " {text} NOT NULL, " + q("what? $1 %s") + " {text} NOT NULL, " + q("group") + " {bigint} NOT NULL")
	r := repository[hostile, int64](p, p.open(&occ.Options{Retry: &few}), table, nil)
	row := hostile{ID: 1, Select: "a", Order: "b", Quote: "c", Unicode: "d", Mark: "e"}
	p.must(r.Insert(p.ctx, &row), "insert")
	stale := row
	row.Select, row.Quote, row.Mark = "A", "C", "E"
	p.must(r.Update(p.ctx, &row), "update")
	p.is(r.Update(p.ctx, &stale), occ.ErrConflict, "stale update")
	row.Quote = "cc"
	p.must(r.Patch(p.ctx, &row, `na"me; --`), "patch")
	got, err := r.Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the row", got, row)
	for found, err := range r.Find(p.ctx, "WHERE "+q(`na"me; --`)+" = ?", "cc") {
		p.must(err, "find")
		p.equal("the row found", found, row)
	}
	p.must(r.Delete(p.ctx, &row), "delete")
}

func caseRefusedNames(p *probe) {
	db := p.open(nil)
	names := map[string]string{"with a NUL": "a\x00b", "that is not UTF-8": "a\xffb"}
	if limit := p.h.Dialect.Limits().Identifier; limit > 0 {
		names["that is too long"] = strings.Repeat("x", limit+1)
	}
	for what, name := range names {
		if _, err := occ.NewRepository[account, int64](db, name, nil); err == nil {
			p.failf("a table with a name %s was not refused", what)
		}
		table := dialects.Table{Name: "t", Columns: []dialects.Column{
			{Name: name, Key: true}, {Name: "version", Version: dialects.Counter},
		}}
		if _, err := p.h.Dialect.Update(&table); err == nil {
			p.failf("a column with a name %s was not refused", what)
		}
	}
	if limit := p.h.Dialect.Limits().Identifier; limit > 0 {
		longest := p.name()
		longest += strings.Repeat("x", limit-len(longest))
		p.createAs(longest, accountColumns)
		s := &scene{p: p, table: longest}
		s.open(p.h.Transport, occ.Options{}, nil)
		everyOperation(s)
	}
}

func caseNameCase(p *probe) {
	type mixed struct {
		ID      int64 `occ:"Id,key"`
		Value   int64 `occ:"camelCase"`
		Version int64 `occ:"VERSION,version"`
	}
	q := p.h.DDL.quote
	table := p.name() + "Mixed"
	p.createAs(table, q("Id")+" {bigint} NOT NULL PRIMARY KEY, "+q("camelCase")+" {bigint} NOT NULL, "+q("VERSION")+" {bigint} NOT NULL")
	r := repository[mixed, int64](p, p.open(nil), table, nil)
	row := mixed{ID: 1, Value: 2}
	p.must(r.Insert(p.ctx, &row), "insert")
	p.must(r.Update(p.ctx, &row), "update")
	p.must(r.Delete(p.ctx, &row), "delete")
}
