package dialecttest

import (
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/occkit/occkit/occ"
)

const (
	featureCounter   = "Version: integer counter"
	featureToken     = "Version: token (UUIDv7)"
	featureXmin      = "Version: xmin"
	featureTimestamp = "Version: timestamp"
	featureOverflow  = "Full version column is an error"
)

var versionCases = []testCase{
	{"zero", featureCounter, "a row at version 0 is updated by who holds 0", caseZero},
	{"stale-zero", featureCounter, "0 is a stale version like any other once the row has moved on", caseStaleZero},
	{"negative", featureCounter, "negative versions are versions like any other", caseNegative},
	{"overflow", featureOverflow, "an update at MaxInt64 is ErrOverflow and changes nothing, however often", caseOverflow},
	{"last-step", featureOverflow, "the step to MaxInt64 works, and the one from it does not", caseLastStep},
	{"field-overflow", featureOverflow, "a version that does not fit the struct's field is ErrOverflow", caseFieldOverflow},
	{"column-overflow", "Full version column narrower than 64 bits is an error", "a version that does not fit its column is ErrOverflow", caseColumnOverflow},
	{"unsigned", featureCounter, "a counter may be an unsigned integer", caseUnsigned},
	{"token-string", featureToken, "a token in a string is new with each write, and a stale one conflicts", caseTokenString},
	{"token-uuid", featureToken, "a token in a uuid.UUID is new with each write, and a stale one conflicts", caseTokenUUID},
	{"xmin", featureXmin, "xmin is new with each write, and a stale one conflicts", caseXmin},
	{"xmin-transaction", featureXmin, "the second update of one transaction is refused, since it does not change xmin", caseXminTransaction},
	{"timestamp", featureTimestamp, "a timestamp grows strictly even while the clock stands still, and a stale one conflicts", caseTimestamp},
}

func caseZero(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 0})
	a.Balance = 5
	p.must(s.Update(p.ctx, &a), "update at 0")
	p.equal("the version in the struct", a.Version, int64(1))
	s.holds(a)
	b := s.seed(account{ID: 2, Owner: "Bob", Balance: 1, Version: 0})
	p.must(s.Delete(p.ctx, &b), "delete at 0")
}

func caseStaleZero(p *probe) {
	s := p.accounts()
	current := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	a := account{ID: 1, Owner: "Eve", Balance: 1, Version: 0}
	judgeConflict(p, s.Update(p.ctx, &a), 0, &current)
	s.holds(current)
	judgeConflict(p, s.Delete(p.ctx, &a), 0, &current)
	s.holds(current)
}

func caseNegative(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: -2})
	for want := int64(-1); want <= 1; want++ {
		a.Balance++
		p.must(s.Update(p.ctx, &a), "update at %d", want-1)
		p.equal("the version in the struct", a.Version, want)
		s.holds(a)
	}
	b := account{ID: 1, Version: -1}
	judgeConflict(p, s.Update(p.ctx, &b), -1, &a)
	s.holds(a)
}

func caseOverflow(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: math.MaxInt64})
	for range 2 {
		b := a
		b.Balance = 1
		p.is(s.Update(p.ctx, &b), occ.ErrOverflow, "update at MaxInt64")
		p.equal("the version in the struct", b.Version, a.Version)
		s.holds(a)
		_, err := s.Mutate(p.ctx, 1, func(a *account) error { a.Balance = 1; return nil })
		p.is(err, occ.ErrOverflow, "mutate at MaxInt64")
		s.holds(a)
	}
	p.must(s.Delete(p.ctx, &a), "delete at MaxInt64")
}

func caseLastStep(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: math.MaxInt64 - 1})
	p.must(s.Update(p.ctx, &a), "update at MaxInt64 - 1")
	p.equal("the version in the struct", a.Version, int64(math.MaxInt64))
	s.holds(a)
	p.is(s.Touch(p.ctx, &a), occ.ErrOverflow, "touch at MaxInt64")
	s.holds(a)
}

// tiny has a version that ends soon.
type tiny struct {
	ID      int64 `occ:"id,key"`
	Version int8  `occ:"version,version"`
}

func caseFieldOverflow(p *probe) {
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, version {bigint} NOT NULL")
	r := repository[tiny, int64](p, p.open(&occ.Options{Retry: &few}), table, nil)
	p.exec(fmt.Sprintf("INSERT INTO %s (id, version) VALUES (1, 126)", p.h.DDL.quote(table)))
	row := tiny{ID: 1, Version: 126}
	p.must(r.Update(p.ctx, &row), "update at 126")
	p.is(r.Update(p.ctx, &row), occ.ErrOverflow, "update at 127")
	p.equal("the struct", row, tiny{1, 127})
	var version int64
	p.scan("SELECT version FROM "+p.h.DDL.quote(table), &version)
	p.equal("the version in the table", version, int64(127))
}

// counted is the least row with a counter.
type counted struct {
	ID      int64 `occ:"id,key"`
	Version int64 `occ:"version,version"`
}

func caseColumnOverflow(p *probe) {
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, version {smallint} NOT NULL")
	r := repository[counted, int64](p, p.open(&occ.Options{Retry: &few}), table, nil)
	p.exec(fmt.Sprintf("INSERT INTO %s (id, version) VALUES (1, 32766)", p.h.DDL.quote(table)))
	row := counted{ID: 1, Version: 32766}
	p.must(r.Update(p.ctx, &row), "update at 32766")
	for range 2 {
		p.is(r.Update(p.ctx, &row), occ.ErrOverflow, "update at 32767")
		p.equal("the struct", row, counted{1, 32767})
	}
	var version int64
	p.scan("SELECT version FROM "+p.h.DDL.quote(table), &version)
	p.equal("the version in the table", version, int64(32767))
}

// unsigned has an unsigned counter.
type unsigned struct {
	ID      int64  `occ:"id,key"`
	Version uint32 `occ:"version,version"`
}

func caseUnsigned(p *probe) {
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, version {bigint} NOT NULL")
	r := repository[unsigned, int64](p, p.open(nil), table, nil)
	row := unsigned{ID: 1}
	p.must(r.Insert(p.ctx, &row), "insert")
	stale := row
	p.must(r.Update(p.ctx, &row), "update")
	p.equal("the struct", row, unsigned{1, 2})
	p.is(r.Update(p.ctx, &stale), occ.ErrConflict, "stale update")
	p.must(r.Delete(p.ctx, &row), "delete")
}

// versioned is a row whose version is a V: all that uniqueVersions looks at.
type versioned[V comparable] interface {
	get() V
	setBalance(n int64)
}

type tokenRow struct {
	ID      int64  `occ:"id,key"`
	Balance int64  `occ:"balance"`
	Version string `occ:"version,version"`
}

type uuidRow struct {
	ID      int64     `occ:"id,key"`
	Balance int64     `occ:"balance"`
	Version uuid.UUID `occ:"version,version"`
}

type xminRow struct {
	ID      int64  `occ:"id,key"`
	Balance int64  `occ:"balance"`
	Version uint32 `occ:"xmin,version=xmin"`
}

type timeRow struct {
	ID      int64     `occ:"id,key"`
	Balance int64     `occ:"balance"`
	Version time.Time `occ:"version,version=timestamp"`
}

func (r *tokenRow) get() string        { return r.Version }
func (r *tokenRow) setBalance(n int64) { r.Balance = n }
func (r *uuidRow) get() uuid.UUID      { return r.Version }
func (r *uuidRow) setBalance(n int64)  { r.Balance = n }
func (r *xminRow) get() uint32         { return r.Version }
func (r *xminRow) setBalance(n int64)  { r.Balance = n }
func (r *timeRow) get() int64          { return r.Version.UnixNano() }
func (r *timeRow) setBalance(n int64)  { r.Balance = n }

// uniqueVersions writes a row a few times: every write must give it a version
// that it never had, the struct must know it, and an old one must conflict.
func uniqueVersions[T any, V comparable, P interface {
	*T
	versioned[V]
}](p *probe, body string, row T) []V {
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, balance {bigint} NOT NULL" + body)
	frozen := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	r := repository[T, int64](p, p.open(&occ.Options{Retry: &few, Now: func() time.Time { return frozen }}), table, nil)
	p.must(r.Insert(p.ctx, &row), "insert")
	versions := []V{P(&row).get()}
	seen := map[V]bool{versions[0]: true}
	for n := range int64(4) {
		old := row
		P(&row).setBalance(n)
		p.must(r.Update(p.ctx, &row), "update")
		v := P(&row).get()
		if seen[v] {
			p.failf("the update gave the row version %v a second time", v)
		}
		seen[v], versions = true, append(versions, v)
		got, err := r.Get(p.ctx, 1)
		p.must(err, "get")
		p.equal("the version in the table", P(&got).get(), v)
		p.is(r.Update(p.ctx, &old), occ.ErrConflict, "stale update")
		p.is(r.Delete(p.ctx, &old), occ.ErrConflict, "stale delete")
	}
	got, err := r.Mutate(p.ctx, 1, func(*T) error { return nil })
	p.must(err, "mutate")
	if seen[P(&got).get()] {
		p.failf("mutate gave the row version %v a second time", P(&got).get())
	}
	p.must(r.Touch(p.ctx, &got), "touch")
	p.must(r.Delete(p.ctx, &got), "delete")
	return versions
}

func caseTokenString(p *probe) {
	uniqueVersions[tokenRow, string](p, ", version {key} NOT NULL", tokenRow{ID: 1})
}

func caseTokenUUID(p *probe) {
	uniqueVersions[uuidRow, uuid.UUID](p, ", version {uuid} NOT NULL", uuidRow{ID: 1})
}

func caseXmin(p *probe) { uniqueVersions[xminRow, uint32](p, "", xminRow{ID: 1}) }

func caseXminTransaction(p *probe) {
	table := p.create("id {bigint} NOT NULL PRIMARY KEY, balance {bigint} NOT NULL")
	r := repository[xminRow, int64](p, p.open(nil), table, nil)
	row := xminRow{ID: 1}
	p.must(r.Insert(p.ctx, &row), "insert")
	tx := p.beginTx()
	first, err := r.In(tx).Mutate(p.ctx, 1, func(r *xminRow) error { r.Balance = 1; return nil })
	p.must(err, "the first update")
	first.Balance = 2
	if err := r.In(tx).Update(p.ctx, &first); err == nil {
		p.failf("the second update of the transaction was not refused")
	}
	tx.end()
	got, err := r.Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the row after rollback", got, row)
}

func caseTimestamp(p *probe) {
	step := max(p.h.Dialect.Limits().TimePrecision, 1)
	versions := uniqueVersions[timeRow, int64](p, ", version {time} NOT NULL", timeRow{ID: 1})
	for i, v := range versions[1:] {
		if v < versions[i]+int64(step) {
			p.failf("version %d is %s after the one before, want at least %s", i+2, time.Duration(v-versions[i]), step)
		}
	}
}
