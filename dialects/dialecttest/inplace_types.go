package dialecttest

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/occkit/occkit/occ"
)

// narrow has numbers that end soon: in the table, and in the struct.
type narrow struct {
	ID      int64 `occ:"id,key"`
	Small   int64 `occ:"small"`
	Field   int8  `occ:"field"`
	Whole   uint8 `occ:"whole"`
	Version int64 `occ:"version,version"`
}

func caseAddNarrow(p *probe) {
	p.changesInPlace()
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, small {smallint} NOT NULL, field {bigint} NOT NULL, whole {bigint} NOT NULL, version {bigint} NOT NULL")
	r := repository[narrow, int64](p, p.open(&occ.Options{Retry: &few}), table, nil)
	row := narrow{ID: 1, Small: 32000, Field: 100, Whole: 5}
	p.must(r.Insert(p.ctx, &row), "insert")
	narrowed := false
	for _, step := range []struct {
		column string
		delta  int64
	}{{"small", 1000}, {"small", 1e6}, {"field", 28}, {"field", -229}, {"whole", -6}, {"whole", 251}} {
		_, err := r.Add(p.ctx, 1, step.column, step.delta)
		if step.column == "small" && err == nil { // the database has no narrow columns
			narrowed = true
			break
		}
		p.is(err, occ.ErrOverflow, fmt.Sprintf("add %d to %s", step.delta, step.column))
	}
	got, err := r.Get(p.ctx, 1)
	p.must(err, "get")
	if !narrowed {
		p.equal("the row", got, row)
	}
	_, err = r.Apply(p.ctx, 1, []occ.Change{occ.Add("field", 27), occ.Add("whole", -5)})
	p.must(err, "add up to the limits")
}

func caseInPlaceVersionFull(p *probe) {
	s := p.inPlaceAccounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 1, Version: math.MaxInt64})
	for range 2 {
		_, err := s.Add(p.ctx, 1, "balance", 1)
		p.is(err, occ.ErrOverflow, "add at MaxInt64")
		s.holds(a)
	}
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, balance {bigint} NOT NULL, version {bigint} NOT NULL")
	r := repository[tinyBalance, int64](p, p.open(&occ.Options{Retry: &few}), table, nil)
	p.exec(fmt.Sprintf("INSERT INTO %s (id, balance, version) VALUES (1, 0, 126)", p.h.DDL.quote(table)))
	v, err := r.Add(p.ctx, 1, "balance", 1)
	p.must(err, "the last step")
	p.equal("the version", v, any(int8(127)))
	_, err = r.Add(p.ctx, 1, "balance", 1)
	p.is(err, occ.ErrOverflow, "add at 127")
	got, err := r.Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the row", got, tinyBalance{1, 1, 127})
}

type tinyBalance struct {
	ID      int64 `occ:"id,key"`
	Balance int64 `occ:"balance"`
	Version int8  `occ:"version,version"`
}

type nullRow struct {
	ID      int64    `occ:"id,key"`
	Maybe   *int64   `occ:"maybe"`
	Zero    int64    `occ:"zero,nullable"`
	Rate    *float64 `occ:"rate"`
	Version int64    `occ:"version,version"`
}

func caseInPlaceNull(p *probe) {
	p.changesInPlace()
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, maybe {bigint}, zero {bigint}, rate {double}, version {bigint} NOT NULL")
	r := repository[nullRow, int64](p, p.open(&occ.Options{Retry: &few}), table, nil)
	row := nullRow{ID: 1}
	p.must(r.Insert(p.ctx, &row), "insert")
	var unmet *occ.Unmet[nullRow]
	_, err := r.Add(p.ctx, 1, "maybe", 1)
	if !errors.As(err, &unmet) || unmet.Err == nil {
		p.failf("adding to NULL: want *occ.Unmet with a reason, got %q", text(err))
	}
	_, err = r.Add(p.ctx, 1, "maybe", 1, occ.Eq("maybe", 0))
	p.is(err, occ.ErrUnmet, "NULL equals nothing")
	five, half := int64(5), 0.5
	for _, changes := range [][]occ.Change{
		{occ.Max("maybe", 4)}, {occ.Add("maybe", 1)}, {occ.Add("zero", -2)}, {occ.Max("zero", -3)}, {occ.Max("zero", 0)}, {occ.Min("rate", 0.5)},
	} {
		_, err := r.Apply(p.ctx, 1, changes)
		p.must(err, "apply %v", changes)
	}
	got, err := r.Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the row", got, nullRow{1, &five, 0, &half, 7})
	_, err = r.SetIf(p.ctx, 1, map[string]any{"maybe": nil}, occ.Ne("maybe", nil))
	p.must(err, "set to NULL")
	_, err = r.SetIf(p.ctx, 1, map[string]any{"maybe": 9}, occ.Eq("maybe", nil))
	p.must(err, "set from NULL")
}

// uniqueInPlace adds a few times: each must give the row a version that it never
// had, and return it.
func uniqueInPlace[T any, V comparable, P interface {
	*T
	versioned[V]
}](p *probe, body string, row T, version func(any) V) []V {
	p.changesInPlace()
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, balance {bigint} NOT NULL" + body)
	frozen := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := repository[T, int64](p, p.open(&occ.Options{Retry: &few, Now: func() time.Time { return frozen }}), table, nil)
	p.must(r.Insert(p.ctx, &row), "insert")
	versions := []V{P(&row).get()}
	for range 4 {
		old, err := r.Get(p.ctx, 1)
		p.must(err, "get")
		returned, err := r.Add(p.ctx, 1, "balance", 1)
		if errors.Is(err, errors.ErrUnsupported) {
			p.lacks("%v", err)
		}
		p.must(err, "add")
		v := version(returned)
		if slices.Contains(versions, v) {
			p.failf("the add gave the row version %v a second time", v)
		}
		versions = append(versions, v)
		got, err := r.Get(p.ctx, 1)
		p.must(err, "get")
		p.equal("the version in the table", P(&got).get(), v)
		p.is(r.Update(p.ctx, &old), occ.ErrConflict, "stale update")
	}
	return versions
}

func caseInPlaceTokenString(p *probe) {
	uniqueInPlace[tokenRow](p, ", version {key} NOT NULL", tokenRow{ID: 1}, func(v any) string { return v.(string) })
}

func caseInPlaceTokenUUID(p *probe) {
	uniqueInPlace[uuidRow](p, ", version {uuid} NOT NULL", uuidRow{ID: 1}, func(v any) uuid.UUID { return v.(uuid.UUID) })
}

func caseInPlaceXmin(p *probe) {
	uniqueInPlace[xminRow](p, "", xminRow{ID: 1}, func(v any) uint32 { return v.(uint32) })
}

func caseInPlaceTimestamp(p *probe) {
	versions := uniqueInPlace[timeRow](p, ", version {time} NOT NULL", timeRow{ID: 1}, func(v any) int64 { return v.(time.Time).UnixNano() })
	if !slices.IsSorted(versions) {
		p.failf("the versions %v do not grow", versions)
	}
}

type inPlaceLine struct {
	inPlaceLineKey
	Amount  int64 `occ:"amount"`
	Version int64 `occ:"version,version"`
}

type inPlaceLineKey struct {
	Order int64  `occ:"order_id,key"`
	Line  string `occ:"line,key"`
}

func caseInPlaceComposite(p *probe) {
	p.changesInPlace()
	table := p.create("order_id {bigint} NOT NULL, line {key} NOT NULL, amount {bigint} NOT NULL, version {bigint} NOT NULL, PRIMARY KEY (order_id, line)")
	r := repository[inPlaceLine, inPlaceLineKey](p, p.open(&occ.Options{Retry: &few}), table, nil)
	keys := []inPlaceLineKey{{1, "a"}, {1, "b"}, {2, "a"}}
	for _, key := range keys {
		p.must(r.Insert(p.ctx, &inPlaceLine{inPlaceLineKey: key}), "insert")
	}
	_, err := r.Add(p.ctx, keys[1], "amount", 5, occ.Eq("line", "b"))
	p.must(err, "add")
	for i, key := range keys {
		got, err := r.Get(p.ctx, key)
		p.must(err, "get")
		p.equal("the amount", got.Amount, map[int]int64{1: 5}[i])
	}
}
