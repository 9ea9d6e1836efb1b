package occ_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/retry"
)

var less100 = []occ.Change{occ.Add("balance", -100)}

// One statement, no read, the version comes back.
func TestApplyIsOneStatement(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	ctx := t.Context()
	r.plan()
	v, err := r.accounts.Apply(ctx, 42, less100, occ.Ge("balance", 100))
	require.NoError(t, err)
	require.Equal(t, int64(2), v)
	require.Equal(t, "conn update release", r.trace())
	require.Equal(t, Account{ID: 42, Owner: "Ada", Balance: 0, Version: 2}, r.stored(t, 42))

	r.plan()
	_, err = r.accounts.Apply(ctx, 42, less100, occ.Ge("balance", 100))
	require.EqualError(t, err, "occ: apply accounts[42]: condition not met (balance)")
	requireKind(t, err, nil)
	require.ErrorIs(t, err, occ.ErrUnmet)
	var unmet *occ.Unmet[Account]
	require.ErrorAs(t, err, &unmet)
	require.Equal(t, &Account{ID: 42, Owner: "Ada", Balance: 0, Version: 2}, unmet.Current)
	require.Equal(t, "conn update begin select rollback release", r.trace(), "the row is read only now")

	_, err = r.accounts.Add(ctx, 7, "balance", 1)
	requireKind(t, err, nil)
	require.ErrorIs(t, err, occ.ErrNotFound)
	require.EqualError(t, err, "occ: add accounts[7]: no such row")
}

// A row that meets the condition by the time that it is looked at is written then.
func TestApplyCatchesUp(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.plan(&mishap{at: "begin", hook: func(context.Context) { r.overtake(t, 42) }})
	v, err := r.accounts.Add(t.Context(), 42, "balance", -500, occ.Ge("balance", 500))
	require.NoError(t, err)
	require.Equal(t, int64(3), v)
	require.EqualValues(t, 600, r.stored(t, 42).Balance)
	require.Equal(t, "conn update begin select update commit release", r.trace())
}

func TestApplyFaults(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		mishap  *mishap
		kind    error
		balance int64
		trace   string
	}{
		"lost reply":    {&mishap{at: "update", after: errLost}, occ.ErrAmbiguous, 0, "conn update release"},
		"strange error": {&mishap{at: "update", after: errStrange}, occ.ErrAmbiguous, 0, "conn update release"},
		"broken off":    {&mishap{at: "update", inRows: errLost}, occ.ErrAmbiguous, 0, "conn update release"},
		"rejected":      {&mishap{at: "update", before: errRejected}, nil, 100, "conn update release"},
		"duplicate":     {&mishap{at: "update", before: errTwice}, occ.ErrDuplicate, 100, "conn update release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{})
			r.plan(tc.mishap)
			_, err := r.accounts.Apply(t.Context(), 42, less100)
			requireKind(t, err, tc.kind)
			require.Equal(t, tc.balance, r.stored(t, 42).Balance)
			require.Equal(t, tc.trace, r.trace())
		})
	}
}

// What proves that nothing was applied is tried again.
func TestApplyIsRetried(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]*mishap{
		"deadlock":  {at: "update", nth: 1, before: errSerial},
		"lock wait": {at: "update", nth: 1, before: errBusy},
		"down":      {at: "update", nth: 1, before: errDown},
		"not sent":  {at: "update", nth: 1, before: errNotSent},
		"no server": {at: "conn", nth: 1, before: errDown},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{})
			r.plan(m)
			v, err := r.accounts.Apply(t.Context(), 42, less100)
			require.NoError(t, err)
			require.Equal(t, int64(2), v)
			require.Zero(t, r.stored(t, 42).Balance)
		})
	}
	r := newRig(t, rigSetup{})
	r.plan(&mishap{at: "update", before: errSerial})
	_, err := r.accounts.Apply(t.Context(), 42, less100)
	require.ErrorIs(t, err, occ.ErrExhausted)
	require.ErrorIs(t, err, occ.ErrConflict)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.plan()
	_, err = r.accounts.Apply(ctx, 42, less100)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, "", r.trace())
}

func TestApplySuppressed(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TRIGGER no BEFORE UPDATE ON accounts BEGIN SELECT RAISE(IGNORE); END")
	_, err := r.accounts.Apply(t.Context(), 42, less100, occ.Ge("balance", 1))
	requireKind(t, err, occ.ErrSuppressed)
	_, err = r.accounts.Apply(t.Context(), 42, less100, occ.Ge("balance", 1000))
	require.ErrorIs(t, err, occ.ErrUnmet, "the condition is the reason")
}

// A trigger that moves the version itself is seen with ReadBack.
func TestApplyReadsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{repo: &occ.RepositoryOptions{ReadBack: true}})
	r.exec(t, `CREATE TRIGGER bump AFTER UPDATE OF balance ON accounts BEGIN
		UPDATE accounts SET version = version + 10 WHERE id = NEW.id; END`)
	v, err := r.accounts.Add(t.Context(), 42, "balance", 1)
	require.NoError(t, err)
	require.Equal(t, r.stored(t, 42).Version, v)
	require.Equal(t, int64(12), v)
}

func TestApplyInUnitIsRefused(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	err := r.db.Transact(t.Context(), func(tx *occ.Tx) error {
		_, err := r.accounts.In(tx).Add(tx.Context(), 42, "balance", 1)
		return err
	})
	requireKind(t, err, occ.ErrUsage)
	require.ErrorContains(t, err, "Mutate")
	require.EqualValues(t, 1, r.stored(t, 42).Version)
}

// A joined transaction that met an error is over; one whose condition was not met
// is not.
func TestApplyJoined(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	tx := r.begin(t)
	joined := r.accounts.In(occ.Join(tx))
	_, err := joined.Add(t.Context(), 42, "balance", -1000, occ.Ge("balance", 1000))
	require.ErrorIs(t, err, occ.ErrUnmet)
	v, err := joined.Add(t.Context(), 42, "balance", 1)
	require.NoError(t, err)
	require.Equal(t, int64(2), v)
	r.plan(&mishap{at: "update", before: errSerial})
	_, err = joined.Add(t.Context(), 42, "balance", 1)
	requireKind(t, err, occ.ErrConflict)
	_, err = joined.Add(t.Context(), 42, "balance", 1)
	requireKind(t, err, occ.ErrPoisoned)
}

// many has a column of every sort.
type many struct {
	ID      int64     `occ:"id,key"`
	Whole   uint8     `occ:"whole"`
	Float   float32   `occ:"float"`
	Maybe   *int64    `occ:"maybe"`
	Name    string    `occ:"name,nullable"`
	Flag    bool      `occ:"flag"`
	At      time.Time `occ:"at"`
	Doc     []string  `occ:"doc,json"`
	Made    int64     `occ:"made,readonly"`
	Version int64     `occ:"version,version"`
}

func TestApplyUsage(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	repo := newRepo[many, int64](t, r.db, "many", nil)
	r.plan()
	ok := occ.Eq("flag", true)
	for name, tc := range map[string]struct {
		changes    []occ.Change
		conditions []occ.Condition
		text       string
	}{
		"nothing":          {nil, nil, "no changes"},
		"unknown column":   {[]occ.Change{occ.Add("wohle", 1)}, nil, `no column "wohle" can be changed in place; those that can are whole, float, maybe, name, flag, at`},
		"key":              {[]occ.Change{occ.Add("id", 1)}, nil, `no column "id"`},
		"version":          {[]occ.Change{occ.Add("version", 1)}, nil, `no column "version"`},
		"read-only":        {[]occ.Change{occ.Add("made", 1)}, nil, `no column "made"`},
		"json":             {[]occ.Change{occ.Set("doc", []string{})}, []occ.Condition{ok}, `no column "doc"`},
		"twice":            {[]occ.Change{occ.Add("whole", 1), occ.Max("whole", 1)}, nil, `"whole" is changed twice`},
		"no condition":     {[]occ.Change{occ.Set("name", "x")}, nil, `"name" is set without a condition`},
		"text is no sum":   {[]occ.Change{occ.Add("name", 1)}, nil, `"name" is a string in Go, not a number`},
		"time is no sum":   {[]occ.Change{occ.Max("at", time.Now())}, nil, `"at" is a time.Time in Go, not a number`},
		"flag is no sum":   {[]occ.Change{occ.Add("flag", true)}, nil, `"flag" is a bool`},
		"delta is text":    {[]occ.Change{occ.Add("whole", "1; DROP TABLE many")}, nil, `no number for it`},
		"delta is nil":     {[]occ.Change{occ.Add("maybe", nil)}, nil, `no number for it`},
		"float to integer": {[]occ.Change{occ.Add("whole", 1.5)}, nil, `no number for it`},
		"delta too large":  {[]occ.Change{occ.Add("whole", uint64(math.MaxUint64))}, nil, `no number for it`},
		"maximum too":      {[]occ.Change{occ.Max("whole", 256)}, nil, `no number for it`},
		"not a number":     {[]occ.Change{occ.Add("float", math.NaN())}, nil, `cannot be reckoned with NaN`},
		"infinite":         {[]occ.Change{occ.Add("float", math.Inf(1))}, nil, `cannot be reckoned with +Inf`},
		"wrong type":       {[]occ.Change{occ.Set("name", 5)}, []occ.Condition{ok}, `cannot be int(5)`},
		"nil for a bool":   {[]occ.Change{occ.Set("flag", nil)}, []occ.Condition{ok}, `cannot be <nil>`},
		"on unknown":       {[]occ.Change{occ.Add("whole", 1)}, []occ.Condition{occ.Eq("x", 1)}, `no column "x" can be compared in place; those that can are id, whole, float, maybe, name, flag, at, made`},
		"on version":       {[]occ.Change{occ.Add("whole", 1)}, []occ.Condition{occ.Eq("version", 1)}, `no column "version" can be compared`},
		"on json":          {[]occ.Change{occ.Add("whole", 1)}, []occ.Condition{occ.Eq("doc", nil)}, `no column "doc" can be compared`},
		"unordered":        {[]occ.Change{occ.Add("whole", 1)}, []occ.Condition{occ.Lt("flag", true)}, `"flag" is a bool in Go, which is not ordered`},
		"time as text":     {[]occ.Change{occ.Add("whole", 1)}, []occ.Condition{occ.Lt("at", time.Now())}, `"at" is a time.Time in Go, which is not ordered`},
		"less than nil":    {[]occ.Change{occ.Add("whole", 1)}, []occ.Condition{occ.Lt("name", nil)}, `"name" is compared with nil`},
	} {
		_, err := repo.Apply(t.Context(), 1, tc.changes, tc.conditions...)
		requireKind(t, err, occ.ErrUsage)
		require.ErrorContains(t, err, tc.text, name)
	}
	require.Empty(t, r.trace(), "nothing is sent")
}

// Values are bound as an update would bind the field.
func TestApplyTypes(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, `CREATE TABLE many (id INTEGER PRIMARY KEY, whole INTEGER NOT NULL, float REAL NOT NULL, maybe INTEGER,
		name TEXT, flag INTEGER NOT NULL, at DATETIME NOT NULL, doc TEXT, made INTEGER NOT NULL DEFAULT 7, version INTEGER NOT NULL)`)
	repo := newRepo[many, int64](t, r.db, "many", nil)
	row := many{ID: 1, Whole: 250, Float: 1.5, Flag: true, At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	require.NoError(t, repo.Insert(t.Context(), &row))
	type label string
	five := int64(5)
	v, err := repo.Apply(
		t.Context(), 1,
		[]occ.Change{
			occ.Add("whole", int16(5)), occ.Add("float", 2), occ.Set("maybe", 5), occ.Set("name", label("x")),
			occ.Set("flag", false), occ.Set("at", row.At.Add(time.Hour)),
		},
		occ.Eq("maybe", nil), occ.Eq("name", ""), occ.Eq("flag", true), occ.Eq("at", row.At), occ.Eq("made", uint(7)),
		occ.Lt("float", 1.75), occ.Ge("whole", uint8(250)), occ.Eq("id", 1),
	)
	require.NoError(t, err)
	require.Equal(t, int64(2), v)
	got, err := repo.Get(t.Context(), 1)
	require.NoError(t, err)
	require.True(t, got.At.Equal(row.At.Add(time.Hour)))
	got.At = time.Time{}
	require.Equal(t, many{ID: 1, Whole: 255, Float: 3.5, Maybe: &five, Name: "x", Made: 7, Version: 2}, got)
	_, err = repo.Add(t.Context(), 1, "whole", 1)
	requireKind(t, err, occ.ErrOverflow)
}

// plain hides every ability of a dialect.
type plain struct{ dialects.Dialect }

func TestApplyNeedsTheAbility(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{dialect: plain{wordy()}})
	_, err := r.accounts.Add(t.Context(), 42, "balance", 1)
	requireKind(t, err, occ.ErrUsage)
	require.ErrorContains(t, err, "dialect sqlite changes no rows in place")
}

// A driver that counts no rows leaves the outcome open.
func TestApplyUncounted(t *testing.T) {
	t.Parallel()
	d := wordy()
	d.Syntax.Identity = false // a token is known without being told
	r := newRig(t, rigSetup{dialect: d})
	r.exec(t, "CREATE TABLE documents (id INTEGER PRIMARY KEY, hits INTEGER NOT NULL, version TEXT NOT NULL)")
	r.exec(t, "INSERT INTO documents VALUES (1, 0, 'first')")
	type document struct {
		ID      int64  `occ:"id,key"`
		Hits    int64  `occ:"hits"`
		Version string `occ:"version,version"`
	}
	docs := newRepo[document, int64](t, r.db, "documents", nil)
	v, err := docs.Add(t.Context(), 1, "hits", 1)
	require.NoError(t, err)
	got, err := docs.Get(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, document{1, 1, v.(string)}, got)
	r.plan(&mishap{at: "update", uncounted: true})
	_, err = docs.Add(t.Context(), 1, "hits", 1)
	requireKind(t, err, occ.ErrAmbiguous)
}

// While the breaker is open nothing is sent here either.
func TestApplyRespectsTheBreaker(t *testing.T) {
	t.Parallel()
	r, _ := breakerRig(t, time.Hour)
	r.plan(&mishap{at: "conn", before: errDown})
	for range 2 {
		_, err := r.accounts.Add(t.Context(), 42, "balance", 1)
		require.ErrorIs(t, err, errDown)
	}
	r.plan()
	_, err := r.accounts.Add(t.Context(), 42, "balance", 1)
	require.True(t, errors.Is(err, occ.ErrUnavailable) && errors.Is(err, retry.ErrOpen))
	require.Empty(t, r.trace())
}
