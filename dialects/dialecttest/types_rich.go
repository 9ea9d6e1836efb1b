package dialecttest

import (
	"database/sql"
	"database/sql/driver"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/occkit/occkit/occ"
)

func casePointers(p *probe) {
	type pointers struct {
		base
		I   *int64  `occ:"i"`
		I16 *int16  `occ:"i16"`
		U8  *uint8  `occ:"u8"`
		S   *string `occ:"s"`
		N   *cents  `occ:"n"`
	}
	var (
		i   int64 = -1
		i16 int16 = 7
		u8  uint8 = 255
		s         = "x"
		n   cents = 5
	)
	roundTrip(p, "i {bigint}, i16 {bigint}, u8 {bigint}, s {text}, n {bigint}",
		pointers{}, pointers{I: &i, I16: &i16, U8: &u8, S: &s, N: &n}, pointers{S: new(string), I: new(int64)})
}

func caseSQLNull(p *probe) {
	type nulls struct {
		base
		S sql.NullString   `occ:"s"`
		I sql.NullInt64    `occ:"i"`
		B sql.NullBool     `occ:"b"`
		F sql.NullFloat64  `occ:"f"`
		G sql.Null[string] `occ:"g"`
		H sql.Null[int64]  `occ:"h"`
		J sql.Null[cents]  `occ:"j"`
	}
	roundTrip(p, "s {text}, i {bigint}, b {bool}, f {double}, g {text}, h {bigint}, j {bigint}",
		nulls{},
		nulls{
			S: sql.NullString{String: "x", Valid: true}, I: sql.NullInt64{Int64: -5, Valid: true},
			B: sql.NullBool{Bool: true, Valid: true}, F: sql.NullFloat64{Float64: 0.5, Valid: true},
			G: sql.Null[string]{V: "y", Valid: true}, H: sql.Null[int64]{V: 9, Valid: true}, J: sql.Null[cents]{V: 3, Valid: true},
		},
		nulls{S: sql.NullString{Valid: true}, I: sql.NullInt64{Valid: true}, B: sql.NullBool{Valid: true}},
	)
	type moment struct {
		base
		T sql.NullTime `occ:"t"`
	}
	r := repository[moment, int64](p, p.open(nil), p.create(baseColumns+"t {time}"), nil)
	at := time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC)
	row := moment{base: base{ID: 1}, T: sql.NullTime{Time: at, Valid: true}}
	p.must(r.Insert(p.ctx, &row), "insert")
	got, err := r.Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the time", got.T.Valid && got.T.Time.Equal(at), true)
	row.T = sql.NullTime{}
	p.must(r.Update(p.ctx, &row), "update")
	got, err = r.Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the time", got.T, sql.NullTime{})
}

func caseUUID(p *probe) {
	type uuids struct {
		base
		U uuid.UUID  `occ:"u"`
		P *uuid.UUID `occ:"p"`
	}
	u := uuid.MustParse("018f3c5e-7b1a-7c3d-9e2f-00ff10a1b2c3")
	roundTrip(p, "u {uuid} NOT NULL, p {uuid}", uuids{}, uuids{U: u, P: &u}, uuids{P: &uuid.Max})
}

// point is kept as the text "x/y".
type point struct{ X, Y int }

// Value returns the text.
func (pt point) Value() (driver.Value, error) { return fmt.Sprintf("%d/%d", pt.X, pt.Y), nil }

// Scan reads the text.
func (pt *point) Scan(src any) error {
	s, ok := src.(string)
	if b, isBytes := src.([]byte); isBytes {
		s, ok = string(b), true
	}
	x, y, cut := strings.Cut(s, "/")
	if !ok || !cut {
		return fmt.Errorf("%T is no point", src)
	}
	var err error
	if pt.X, err = strconv.Atoi(x); err != nil {
		return err
	}
	pt.Y, err = strconv.Atoi(y)
	return err
}

func caseScannerValuer(p *probe) {
	type points struct {
		base
		V point  `occ:"v"`
		P *point `occ:"p"`
	}
	roundTrip(p, "v {text} NOT NULL, p {text}", points{}, points{V: point{1, -2}, P: &point{3, 4}})
}

func caseNullable(p *probe) {
	type nullables struct {
		base
		S string    `occ:"s,nullable"`
		I int64     `occ:"i,nullable"`
		B bool      `occ:"b,nullable"`
		F float64   `occ:"f,nullable"`
		T time.Time `occ:"t,nullable"`
		U uuid.UUID `occ:"u,nullable"`
	}
	at := time.Date(2024, 2, 29, 1, 2, 3, 0, time.UTC)
	roundTrip(p, "s {text}, i {bigint}, b {bool}, f {double}, t {time}, u {uuid}",
		nullables{}, nullables{S: "x", I: -3, B: true, F: 0.5, T: at, U: uuid.Max})
	table := p.create(baseColumns + "s {text}, i {bigint}, b {bool}, f {double}, t {time}, u {uuid}")
	r := repository[nullables, int64](p, p.open(nil), table, nil)
	p.must(r.Insert(p.ctx, &nullables{base: base{ID: 1}}), "insert")
	var n int64
	p.scan("SELECT count(*) FROM "+p.h.DDL.quote(table)+" WHERE s IS NULL AND i IS NULL AND b IS NULL AND f IS NULL AND t IS NULL AND u IS NULL", &n)
	p.equal("the number of rows that are all NULL", n, int64(1))
}

func caseJSON(p *probe) {
	type doc struct {
		Name string           `json:"name"`
		Tags []string         `json:"tags,omitempty"`
		Deep map[string][]int `json:"deep,omitempty"`
	}
	type documents struct {
		base
		S doc            `occ:"s,json"`
		M map[string]any `occ:"m,json"`
		L []int          `occ:"l,json"`
		P *doc           `occ:"p,json"`
	}
	full := doc{Name: `it's "q" \ 日本 🎉 <&>`, Tags: []string{"a", ""}, Deep: map[string][]int{"x": {1, 2}, "": nil}}
	roundTrip(p, "s {json}, m {json}, l {json}, p {json}",
		documents{},
		documents{S: full, M: map[string]any{"k": "v", "n": 1.5, "z": nil}, L: []int{3, 1, 2}, P: &full},
		documents{S: doc{Name: "shorter"}, M: map[string]any{}, L: []int{}, P: &doc{}},
	)
}

// audit is embedded two levels deep.
type audit struct {
	stamp
	By string `occ:"by_whom"`
}

type stamp struct {
	At int64 `occ:"at_when"`
}

func caseEmbedded(p *probe) {
	type deep struct {
		base
		audit
		Name    string `occ:"name"`
		Ignored string
		Left    string `occ:"-"`
	}
	roundTrip(p, "by_whom {text} NOT NULL, at_when {bigint} NOT NULL, name {text} NOT NULL",
		deep{Name: "a"}, deep{Name: "b", audit: audit{stamp{5}, "Ada"}})
}

func caseIdentity(p *probe) {
	type generated struct {
		ID      int64  `occ:"id,key,generated"`
		Name    string `occ:"name"`
		Version int64  `occ:"version,version"`
	}
	table := p.create("id {identity} PRIMARY KEY, name {text} NOT NULL, version {bigint} NOT NULL")
	r := repository[generated, int64](p, p.open(&occ.Options{Retry: &few}), table, nil)
	seen := map[int64]bool{}
	for range 3 {
		row := generated{Name: "x"}
		p.must(r.Insert(p.ctx, &row), "insert")
		if row.ID == 0 || seen[row.ID] || row.Version != 1 {
			p.failf("insert made %+v", row)
		}
		seen[row.ID] = true
		p.must(r.Update(p.ctx, &row), "update by the generated key")
	}
	row, err := r.Create(p.ctx, generated{ID: 1000, Name: "given"})
	p.must(err, "create with a key")
	got, err := r.Get(p.ctx, 1000)
	p.must(err, "get")
	p.equal("the row", got, row)
	joinedIdentity(p, r, generated{Name: "joined"})
}

// joinedIdentity generates a key inside of the caller's transaction.
func joinedIdentity[T any](p *probe, r *occ.Repository[T, int64], row T) {
	if p.h.BeginTx == nil {
		return
	}
	tx := p.beginTx()
	p.is(r.In(tx).Insert(p.ctx, &row), occ.ErrUsage, "joined insert of a generated key")
	created, err := r.In(tx).Create(p.ctx, row)
	p.must(err, "joined create")
	tx.mustCommit()
	n := 0
	for found, err := range r.Find(p.ctx, "WHERE name = ?", "joined") {
		p.must(err, "find")
		p.equal("the row", found, created)
		n++
	}
	p.equal("the number of rows", n, 1)
}

func caseComputed(p *probe) {
	type computed struct {
		base
		N      int64 `occ:"n"`
		Double int64 `occ:"twice,readonly"`
	}
	if p.h.DDL.Computed == "-" {
		p.lacks("the database has no computed columns")
	}
	table := p.create(baseColumns + "n {bigint} NOT NULL, twice " + fmt.Sprintf(p.h.DDL.Computed, "n * 2"))
	r := repository[computed, int64](p, p.open(nil), table, nil)
	row := computed{base: base{ID: 1}, N: 21, Double: 7}
	p.must(r.Insert(p.ctx, &row), "insert")
	p.equal("the struct", row, computed{base{1, 1}, 21, 42})
	row.N, row.Double = 5, 1
	p.must(r.Update(p.ctx, &row), "update")
	got, err := r.Mutate(p.ctx, 1, func(*computed) error { return nil })
	p.must(err, "mutate")
	p.equal("the row", got, computed{base{1, 3}, 5, 10})
	p.is(r.Patch(p.ctx, &got, "twice"), occ.ErrUsage, "patch of a readonly column")
}

func caseDefaults(p *probe) {
	type defaulted struct {
		base
		A int64  `occ:"a,generated"`
		B string `occ:"b,generated"`
	}
	table := p.create(baseColumns + "a {bigint} NOT NULL DEFAULT 7, b {key} NOT NULL DEFAULT 'none'")
	r := repository[defaulted, int64](p, p.open(nil), table, nil)
	for i, want := range []defaulted{{A: 7, B: "none"}, {A: 1, B: "none"}, {A: 7, B: "x"}, {A: 1, B: "x"}} {
		row := want
		row.ID, want.ID, want.Version = int64(i+1), int64(i+1), 1
		if row.A == 7 {
			row.A = 0
		}
		if row.B == "none" {
			row.B = ""
		}
		p.must(r.Insert(p.ctx, &row), "insert")
		p.equal("the struct", row, want)
		got, err := r.Get(p.ctx, row.ID)
		p.must(err, "get")
		p.equal("the row", got, want)
	}
}
