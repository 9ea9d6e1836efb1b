package dialecttest

import (
	"math"
	"strings"
	"time"

	"github.com/occkit/occkit/occ"
)

func caseIntegers(p *probe) {
	type integers struct {
		base
		I   int    `occ:"i"`
		I8  int8   `occ:"i8"`
		I16 int16  `occ:"i16"`
		I32 int32  `occ:"i32"`
		I64 int64  `occ:"i64"`
		U   uint   `occ:"u"`
		U8  uint8  `occ:"u8"`
		U16 uint16 `occ:"u16"`
		U32 uint32 `occ:"u32"`
		U64 uint64 `occ:"u64"`
	}
	var columns []string
	for _, c := range strings.Fields("i i8 i16 i32 i64 u u8 u16 u32 u64") {
		columns = append(columns, c+" {bigint} NOT NULL")
	}
	roundTrip(p, strings.Join(columns, ", "),
		integers{},
		integers{
			I: math.MinInt64, I8: math.MinInt8, I16: math.MinInt16, I32: math.MinInt32, I64: math.MinInt64,
		},
		integers{
			I: math.MaxInt64, I8: math.MaxInt8, I16: math.MaxInt16, I32: math.MaxInt32, I64: math.MaxInt64,
			U: math.MaxInt64, U8: math.MaxUint8, U16: math.MaxUint16, U32: math.MaxUint32, U64: math.MaxInt64,
		},
	)
}

type (
	cents int64
	flag  bool
	label string
	ratio float64
	raw   []byte
)

func caseNamed(p *probe) {
	type named struct {
		base
		I cents  `occ:"i"`
		B flag   `occ:"b"`
		S label  `occ:"s"`
		F ratio  `occ:"f"`
		R raw    `occ:"r"`
		P *label `occ:"p"`
	}
	l := label("x")
	roundTrip(p, "i {bigint} NOT NULL, b {bool} NOT NULL, s {text} NOT NULL, f {double} NOT NULL, r {bytes}, p {text}",
		named{}, named{I: -1 << 60, B: true, S: "é", F: 0.1, R: raw{0, 0xff}, P: &l})
}

func caseBigUnsigned(p *probe) {
	type big struct {
		base
		U uint64 `occ:"u"`
	}
	r := repository[big, int64](p, p.open(&occ.Options{Retry: &few}), p.create(baseColumns+"u {bigint} NOT NULL"), nil)
	row := big{base: base{ID: 1}, U: math.MaxUint64}
	insert := r.Insert(p.ctx, &row)
	got, get := r.Get(p.ctx, 1)
	if insert != nil {
		p.is(get, occ.ErrNotFound, "get after the insert was refused")
		return
	}
	p.must(get, "get")
	p.equal("the number", got.U, uint64(math.MaxUint64))
}

func caseFloats(p *probe) {
	type floats struct {
		base
		F64 float64  `occ:"f64"`
		F32 float32  `occ:"f32"`
		P   *float64 `occ:"p"`
	}
	third := 1.0 / 3
	roundTrip(p, "f64 {double} NOT NULL, f32 {double} NOT NULL, p {double}",
		floats{},
		floats{F64: 0.1, F32: 0.1, P: &third},
		floats{F64: -1e-300, F32: math.MaxFloat32},
		floats{F64: math.MaxFloat64, F32: -1.5},
		floats{F64: 3, F32: 3},
		floats{F64: math.Pi, F32: math.Pi},
	)
}

func caseBools(p *probe) {
	type bools struct {
		base
		B bool  `occ:"b"`
		P *bool `occ:"p"`
	}
	yes, no := true, false
	roundTrip(p, "b {bool} NOT NULL, p {bool}", bools{}, bools{B: true, P: &yes}, bools{P: &no})
}

func caseStrings(p *probe) {
	type strs struct {
		base
		S string  `occ:"s"`
		P *string `occ:"p"`
	}
	var values []strs
	for _, s := range []string{
		"", "plain", `it's "quoted" and 'more'`, "`back` \\ slash \\' \\0", "%_ ? ?? $1 :name @x", "-- no comment /* */ ;",
		" both sides ", "line\nbreak\ttab\r\x01\x7f", "日本語 🎉 é e\u0301 \u200b \ufeff", strings.Repeat("long €", 2000),
	} {
		values = append(values, strs{S: s, P: &s})
	}
	roundTrip(p, "s {text} NOT NULL, p {text}", append(values, strs{})...)
}

// blob is a row of bytes.
type blob struct {
	base
	B []byte `occ:"b"`
}

func caseBytes(p *probe) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	roundTrip(p, "b {bytes}", blob{}, blob{B: []byte{0}}, blob{B: []byte{0xff, 0xfe}}, blob{B: all}, blob{B: []byte(`\x00'"`)})
}

func caseEmptyBytes(p *probe) {
	table := p.create(baseColumns + "b {bytes}")
	r := repository[blob, int64](p, p.open(nil), table, nil)
	p.must(r.Insert(p.ctx, &blob{base: base{ID: 1}, B: []byte{}}), "insert")
	var nulls int64
	p.scan("SELECT count(*) FROM "+p.h.DDL.quote(table)+" WHERE b IS NULL", &nulls)
	p.equal("the number of rows that are NULL", nulls, int64(0))
	got, err := r.Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the length", len(got.B), 0)
	if got.B == nil && nulls == 0 {
		p.lacks("the driver reads an empty byte string as nil")
	}
}

func caseTimes(p *probe) {
	type times struct {
		base
		T time.Time  `occ:"t"`
		P *time.Time `occ:"p"`
	}
	precision := max(p.h.Dialect.Limits().TimePrecision, 1)
	var values []times
	for _, t := range []time.Time{
		time.Date(2024, 2, 29, 23, 59, 59, 999999999, time.UTC),
		time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC),
		time.Date(1969, 7, 20, 20, 17, 40, 123456789, time.UTC),
		time.Date(2099, 12, 31, 23, 59, 59, 1000, time.UTC),
		time.Date(2024, 6, 1, 1, 30, 0, 5000, time.FixedZone("", 5*3600+1800)),
		time.Date(2024, 6, 1, 1, 30, 0, 0, time.FixedZone("ABC", -9*3600)),
		time.Now(), // has a monotonic reading
	} {
		// Truncate would strip the monotonic reading: that is for occ to do.
		t = t.Add(-time.Duration(t.Nanosecond()) % precision)
		values = append(values, times{T: t, P: &t})
	}
	values = append(values, times{T: values[0].T})
	roundTrip(p, "t {time} NOT NULL, p {time}", values...)
}

// instant returns the time that v is or points to.
func instant(v any) (time.Time, bool) {
	switch v := v.(type) {
	case time.Time:
		return v, true
	case *time.Time:
		if v != nil {
			return *v, true
		}
	}
	return time.Time{}, false
}
