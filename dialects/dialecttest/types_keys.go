package dialecttest

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/occkit/occkit/occ"
)

func caseKeyTypes(p *probe) {
	type named string
	keysOf(p, "{bigint}", int32(-7), int32(8))
	keysOf(p, "{bigint}", uint16(7), uint16(8))
	keysOf(p, "{bigint}", cents(-7), cents(8))
	keysOf(p, "{key}", "it's", `"k" ; --`)
	keysOf(p, "{key}", named("a b"), named("日本"))
}

// keysOf runs every operation on a table with keys of type K.
func keysOf[K comparable](p *probe, column string, one, two K) {
	type keyed struct {
		Key     K     `occ:"k,key"`
		N       int64 `occ:"n"`
		Version int64 `occ:"version,version"`
	}
	table := p.create("k " + column + " NOT NULL PRIMARY KEY, n {bigint} NOT NULL, version {bigint} NOT NULL")
	r := repository[keyed, K](p, p.open(&occ.Options{Retry: &few}), table, nil)
	what := fmt.Sprintf("key %v of type %T", one, one)
	a, b := keyed{Key: one, N: 1}, keyed{Key: two, N: 2}
	p.must(r.Insert(p.ctx, &a), "insert %s", what)
	p.must(r.Insert(p.ctx, &b), "insert %s", what)
	stale := a
	a.N = 5
	p.must(r.Update(p.ctx, &a), "update %s", what)
	p.is(r.Update(p.ctx, &stale), occ.ErrConflict, "stale update of "+what)
	got, err := r.GetMany(p.ctx, []K{one, two, one})
	p.must(err, "get many %s", what)
	p.equal("the rows of "+what, got, map[K]keyed{one: a, two: b})
	a, err = r.Mutate(p.ctx, one, func(k *keyed) error { k.N++; return nil })
	p.must(err, "mutate %s", what)
	p.equal("the row of "+what, a, keyed{Key: one, N: 6, Version: 3})
	p.must(r.Delete(p.ctx, &a), "delete %s", what)
	got, err = r.GetMany(p.ctx, []K{one, two})
	p.must(err, "get many %s", what)
	p.equal("the rows of "+what, got, map[K]keyed{two: b})
}

// lineKey is a composite key.
type lineKey struct {
	Order string `occ:"order_no"`
	Line  int64  `occ:"line"`
}

type line struct {
	Line    int64  `occ:"line,key"`
	Amount  int64  `occ:"amount"`
	Order   string `occ:"order_no,key"`
	Version int64  `occ:"version,version"`
}

func caseCompositeKey(p *probe) {
	table := p.create("order_no {key} NOT NULL, line {bigint} NOT NULL, amount {bigint} NOT NULL, version {bigint} NOT NULL, PRIMARY KEY (order_no, line)")
	r := repository[line, lineKey](p, p.open(&occ.Options{Retry: &few}), table, nil)
	rows := map[lineKey]line{}
	for _, key := range []lineKey{{"A", 1}, {"A", 2}, {"B", 1}, {"B", 2}} {
		row := line{Order: key.Order, Line: key.Line, Amount: 10}
		p.must(r.Insert(p.ctx, &row), "insert")
		rows[key] = row
	}
	row := rows[lineKey{"A", 2}]
	stale := row
	row.Amount = 99
	p.must(r.Update(p.ctx, &row), "update")
	p.is(r.Update(p.ctx, &stale), occ.ErrConflict, "stale update")
	rows[lineKey{"A", 2}] = row
	got, err := r.GetMany(p.ctx, []lineKey{{"A", 1}, {"A", 2}, {"B", 1}, {"B", 2}, {"C", 1}})
	p.must(err, "get many")
	p.equal("the rows", got, rows)
	row, err = r.Mutate(p.ctx, lineKey{"B", 1}, func(l *line) error { l.Amount++; return nil })
	p.must(err, "mutate")
	p.equal("the row", row, line{Order: "B", Line: 1, Amount: 11, Version: 2})
	p.must(r.Delete(p.ctx, &row), "delete")
	delete(rows, lineKey{"B", 1})
	got, err = r.GetMany(p.ctx, []lineKey{{"A", 1}, {"B", 1}, {"A", 2}, {"B", 2}})
	p.must(err, "get many")
	p.equal("the rows", got, rows)
}

func caseUUIDKey(p *probe) {
	keysOf(p, "{uuid}", uuid.MustParse("018f3c5e-7b1a-7c3d-9e2f-00ff10a1b2c3"), uuid.Max)
}
