package occ_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

// triggered is SQLite as if its updates returned what a trigger made of the version.
type triggered struct {
	sqlite.Dialect
	check string // the text of its check; empty: there is none
}

func (d triggered) Update(t *dialects.Table) (dialects.Statement, error) {
	d.Syntax.ReturnsStored = true
	st, err := d.Dialect.Update(t)
	if st.Plain != "" {
		st.Plain = "/*plain*/ " + st.Plain
	}
	return st, err
}

func (d triggered) TriggerCheck(*dialects.Table) (string, []any, error) {
	if d.check == "" {
		return "", nil, errors.ErrUnsupported
	}
	return d.check, nil, nil
}

// Whether updates have to return the version is asked once, before the first one.
func TestTriggersAreAskedAboutOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ check, first, then string }{
		"none":    {"SELECT false", "conn select /*plain*/ release", "conn /*plain*/ release"},
		"some":    {"SELECT true", "conn select update release", "conn update release"},
		"unknown": {"", "conn update release", "conn update release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{dialect: triggered{sqlite.New(), c.check}})
			a := Account{ID: 42, Owner: "Ada", Balance: 7, Version: 1}
			for version, trace := range []string{c.first, c.then} {
				r.plan()
				require.NoError(t, r.accounts.Update(t.Context(), &a))
				require.Equal(t, trace, r.trace())
				require.EqualValues(t, version+2, a.Version)
				require.Equal(t, a, r.stored(t, 42))
			}
			r.plan()
			got, err := r.accounts.Mutate(t.Context(), 42, func(a *Account) error { a.Balance++; return nil })
			require.NoError(t, err)
			require.Equal(t, "conn select release "+c.then, r.trace())
			require.Equal(t, got, r.stored(t, 42))
			stale := Account{ID: 42, Version: 3}
			require.ErrorIs(t, r.accounts.Touch(t.Context(), &stale), occ.ErrConflict)
		})
	}
}

// Versions that the database may store in another way than they were bound are
// returned by every update.
func TestTriggersAreAskedAboutForCounters(t *testing.T) {
	t.Parallel()
	type Doc struct {
		ID      int64  `occ:"id,key"`
		Version string `occ:"version,version"`
	}
	r := newRig(t, rigSetup{dialect: triggered{sqlite.New(), "SELECT false"}})
	r.exec(t, "CREATE TABLE docs (id INTEGER PRIMARY KEY, version TEXT NOT NULL)")
	docs := newRepo[Doc, int64](t, r.db, "docs", nil)
	doc := Doc{ID: 1}
	require.NoError(t, docs.Insert(t.Context(), &doc))
	r.plan()
	require.NoError(t, docs.Touch(t.Context(), &doc))
	require.Equal(t, "conn update release", r.trace())
}

// While the question is under way nothing is written: what goes wrong then is
// certain, and is asked again.
func TestTriggerCheckFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mishap *mishap
		kind   error
		trace  string
	}{
		"lost":     {&mishap{at: "select", nth: 1, after: errLost}, nil, "conn select release conn ping select /*plain*/ release"},
		"unread":   {&mishap{at: "select", nth: 1, inRows: errLost}, nil, "conn select release conn ping select /*plain*/ release"},
		"rejected": {&mishap{at: "select", nth: 1, before: errRejected}, errRejected, "conn select release"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{dialect: triggered{sqlite.New(), "SELECT false"}})
			a := Account{ID: 42, Owner: "Ada", Balance: 7, Version: 1}
			r.plan(c.mishap)
			err := r.accounts.Update(t.Context(), &a)
			require.Equal(t, c.trace, r.trace())
			if c.kind == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.kind)
			require.NotErrorIs(t, err, occ.ErrAmbiguous)
			require.NoError(t, r.accounts.Update(t.Context(), &a), "it is asked again")
		})
	}
}
