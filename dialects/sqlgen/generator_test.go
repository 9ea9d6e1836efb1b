package sqlgen_test

import (
	"errors"
	"reflect"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

var (
	key     = dialects.Column{Name: "id", Key: true}
	owner   = dialects.Column{Name: "owner"}
	version = dialects.Column{Name: "version", Version: dialects.Counter}
)

func generator(change func(*sqlgen.Syntax)) sqlgen.Generator {
	s := sqlgen.Syntax{Name: "test", QuoteChar: '"', Limits: dialects.Limits{Params: 6, Identifier: 20}, Columns: 5}
	if change != nil {
		change(&s)
	}
	return sqlgen.Generator{Syntax: s}
}

func table(columns ...dialects.Column) *dialects.Table {
	return &dialects.Table{Name: "t", Columns: columns}
}

// statements runs every method, so that no check can be forgotten in one.
func statements(g sqlgen.Generator, t *dialects.Table) map[string]error {
	_, one := g.Select(t)
	_, lock := g.SelectForUpdate(t)
	_, insert := g.Insert(t)
	_, update := g.Update(t)
	_, remove := g.Delete(t)
	_, many := g.SelectMany(t, 1)
	_, find := g.Find(t, "")
	return map[string]error{
		"select": one, "lock": lock, "insert": insert, "update": update,
		"delete": remove, "many": many, "find": find,
	}
}

func TestTableIsChecked(t *testing.T) {
	t.Parallel()
	second := dialects.Column{Name: "rev", Version: dialects.Token}
	for _, c := range []struct {
		table *dialects.Table
		want  string
	}{
		{table(owner, version), `test: table "t": no key column`},
		{table(key, owner), `test: table "t": 0 version columns, want exactly one`},
		{table(key, version, second), "2 version columns"},
		{table(key, key, version), `two columns are named "id"`},
		{table(dialects.Column{Name: "id", Key: true, Version: dialects.Counter}), `column "id": a column cannot be both key and version`},
		{table(key, dialects.Column{Name: "a\x00"}, version), `column "a\x00": the name holds a NUL`},
		{table(key, dialects.Column{Name: "v", Version: 99}), "version kind 99"},
		{table(key, owner, dialects.Column{Name: "b"}, dialects.Column{Name: "c"}, dialects.Column{Name: "d"}, version), "6 columns, the limit is 5"},
		{&dialects.Table{Name: "", Columns: []dialects.Column{key, version}}, "the name is empty"},
		{&dialects.Table{Name: "t", Schema: "a table name that is long", Columns: []dialects.Column{key, version}}, "the limit is 20"},
	} {
		for name, err := range statements(generator(nil), c.table) {
			require.ErrorContains(t, err, c.want, name)
		}
	}
}

func TestParametersAreLimited(t *testing.T) {
	t.Parallel()
	g := generator(func(s *sqlgen.Syntax) { s.Columns = 0 })
	wide := table(key, owner, dialects.Column{Name: "b"}, dialects.Column{Name: "c"}, dialects.Column{Name: "d"}, version)
	for name, err := range statements(g, wide) {
		require.ErrorContains(t, err, "6 columns need more than the 6 parameters of a statement", name)
	}
	composite := table(key, dialects.Column{Name: "line", Key: true}, version)
	_, err := g.SelectMany(composite, 3)
	require.NoError(t, err)
	_, err = g.SelectMany(composite, 4)
	require.ErrorContains(t, err, "4 keys of 2 columns each need more than the 6 parameters")
	_, err = g.SelectMany(composite, 0)
	require.ErrorContains(t, err, "at least one key")
}

func TestXminIsUnsupported(t *testing.T) {
	t.Parallel()
	xmin := dialects.Column{Name: "xmin", Version: dialects.Xmin}
	for name, err := range statements(generator(nil), table(key, xmin)) {
		require.ErrorIs(t, err, errors.ErrUnsupported, name)
		require.ErrorContains(t, err, "test does not version rows by xmin")
	}
	g := generator(func(s *sqlgen.Syntax) { s.Xmin = sqlgen.Xmin{Read: "xmin", Match: "xmin = %s"} })
	for name, err := range statements(g, table(key, xmin)) {
		require.NoError(t, err, name)
	}
	xmin.Name = "version"
	for name, err := range statements(g, table(key, xmin)) {
		require.ErrorContains(t, err, `must be named "xmin"`, name)
	}
}

func TestSelectManyForms(t *testing.T) {
	t.Parallel()
	composite := table(key, dialects.Column{Name: "line", Key: true}, version)
	for form, want := range map[sqlgen.RowComparison]string{
		sqlgen.AnyOf:    `("id" = ? AND "line" = ?) OR ("id" = ? AND "line" = ?)`,
		sqlgen.InList:   `("id", "line") IN ((?, ?), (?, ?))`,
		sqlgen.InValues: `("id", "line") IN (VALUES (?, ?), (?, ?))`,
	} {
		g := generator(func(s *sqlgen.Syntax) { s.Rows = form })
		st, err := g.SelectMany(composite, 2)
		require.NoError(t, err)
		require.Equal(t, `SELECT "id", "line", "version" FROM "t" WHERE `+want, st.Text)
		require.Equal(t, []dialects.Arg{{Column: 0}, {Column: 1}, {Column: 0}, {Column: 1}}, st.Args)
	}
}

func TestFindWithoutTail(t *testing.T) {
	t.Parallel()
	for _, tail := range []string{"", " \n"} {
		st, err := generator(nil).Find(table(key, version), tail)
		require.NoError(t, err)
		require.Equal(t, `SELECT "id", "version" FROM "t"`, st.Text)
		require.Empty(t, st.Args)
	}
}

// Without RETURNING, an insert reports one integer.
func TestInsertIdentity(t *testing.T) {
	t.Parallel()
	provided := func(name string, typ reflect.Type) dialects.Column {
		return dialects.Column{Name: name, Key: true, Generated: true, Type: typ}
	}
	g := generator(nil)
	for _, c := range []struct {
		keys []dialects.Column
		want string
	}{
		{[]dialects.Column{key}, ""},
		{[]dialects.Column{provided("id", reflect.TypeFor[int64]())}, "id"},
		{[]dialects.Column{provided("id", reflect.TypeFor[*uint32]())}, "id"},
		{[]dialects.Column{provided("id", nil)}, "id"},
		{[]dialects.Column{key, provided("line", reflect.TypeFor[int]())}, "line"},
	} {
		st, err := g.Insert(table(append(c.keys, dialects.Column{Name: "at", ReadOnly: true}, version)...))
		require.NoError(t, err)
		require.Equal(t, c.want, st.Identity)
		require.Empty(t, st.Returns)
	}
	_, err := g.Insert(table(provided("id", reflect.TypeFor[string]()), version))
	require.ErrorContains(t, err, `key column "id" is provided by the server and is a string`)
	_, err = g.Insert(table(provided("id", nil), provided("line", nil), version))
	require.ErrorContains(t, err, `key columns "id" and "line" are both provided by the server`)

	returning := generator(func(s *sqlgen.Syntax) { s.InsertReturning = true })
	st, err := returning.Insert(table(provided("id", reflect.TypeFor[string]()), provided("line", nil), version))
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, st.Returns)
	require.Empty(t, st.Identity)
}

// The version is bound by an insert whatever its column's flags say.
func TestInsertBindsTheVersion(t *testing.T) {
	t.Parallel()
	st, err := generator(nil).Insert(table(key, dialects.Column{Name: "v", Version: dialects.Token, Generated: true, ReadOnly: true}))
	require.NoError(t, err)
	require.Equal(t, `INSERT INTO "t" ("id", "v") VALUES (?, ?)`, st.Text)
	require.Equal(t, []dialects.Arg{{Source: dialects.Field}, {Source: dialects.Next, Column: 1}}, st.Args)
}
