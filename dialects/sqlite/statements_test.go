package sqlite_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlite"
)

func counter(name string) *dialects.Table {
	return &dialects.Table{Name: name, Columns: []dialects.Column{
		{Name: "id", Key: true}, {Name: "note"}, {Name: "version", Version: dialects.Counter},
	}}
}

// Hostile names are names of real tables, and of nothing else.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	db := open(t)
	for i, name := range []string{`acc"ounts; --`, "acc`ounts", "a'b", "`", "[x]", "? ?? $1", "日本 🐘", "main.t"} {
		quoted, err := sqlite.New().Syntax.Quote(name)
		require.NoError(t, err)
		exec(t, db, "CREATE TABLE "+quoted+" (id INTEGER PRIMARY KEY, note TEXT, version INTEGER NOT NULL)")
		insert, err := sqlite.New().Insert(counter(name))
		require.NoError(t, err)
		exec(t, db, insert.Text, 1, "x", 1)

		var created string
		require.NoError(t, db.QueryRow("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY rowid DESC").Scan(&created))
		require.Equal(t, name, created)
		var tables int
		require.NoError(t, db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables))
		require.Equal(t, i+1, tables)
	}
}

// A column that does not exist is an error. In double quotes it would be a
// string, here equal to the expected version of every stale writer.
func TestUnknownColumnIsAnError(t *testing.T) {
	t.Parallel()
	db := open(t)
	exec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT)")
	exec(t, db, "INSERT INTO t VALUES (1, '')")
	var literal string
	require.NoError(t, db.QueryRow(`SELECT "version" FROM t`).Scan(&literal))
	require.Equal(t, "version", literal, "this is the quirk that the quoting avoids")

	s, err := sqlite.New().Select(counter("t"))
	require.NoError(t, err)
	_, err = db.Query(s.Text, 1)
	require.ErrorContains(t, err, "no such column")
}

// One more than the greatest integer is a REAL that does not move any more.
func TestCounterDoesNotOverflow(t *testing.T) {
	t.Parallel()
	db := open(t)
	exec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT, version INTEGER NOT NULL)")
	exec(t, db, "INSERT INTO t VALUES (1, 'x', ?)", math.MaxInt64-1)
	update, err := sqlite.New().Update(counter("t"))
	require.NoError(t, err)

	exec(t, db, update.Text, "y", 1, math.MaxInt64-1)
	exec(t, db, update.Text, "z", 1, int64(math.MaxInt64)) // matches nothing

	var kind, note string
	var version int64
	require.NoError(t, db.QueryRow("SELECT typeof(version), version, note FROM t").Scan(&kind, &version, &note))
	require.Equal(t, "integer", kind)
	require.Equal(t, int64(math.MaxInt64), version)
	require.Equal(t, "y", note)
}

// Row values are looked up in the index, and compare like single columns.
func TestSelectMany(t *testing.T) {
	t.Parallel()
	db := open(t)
	exec(t, db, "CREATE TABLE l (doc INTEGER, line TEXT, version INTEGER, PRIMARY KEY (doc, line)) WITHOUT ROWID")
	exec(t, db, "INSERT INTO l VALUES (1, 'a', 1), (1, 'b', 1), (2, 'a', 1)")
	s, err := sqlite.New().SelectMany(&dialects.Table{Name: "l", Columns: []dialects.Column{
		{Name: "doc", Key: true}, {Name: "line", Key: true}, {Name: "version", Version: dialects.Counter},
	}}, 3)
	require.NoError(t, err)
	keys := []any{1, "b", "2", "a", 9, "z"}

	rows, err := db.Query(s.Text, keys...)
	require.NoError(t, err)
	found := 0
	for rows.Next() {
		found++
	}
	require.NoError(t, rows.Close())
	require.Equal(t, 2, found)

	var id, parent, unused int
	var plan string
	require.NoError(t, db.QueryRow("EXPLAIN QUERY PLAN "+s.Text, keys...).Scan(&id, &parent, &unused, &plan))
	require.Contains(t, plan, "SEARCH l USING PRIMARY KEY")
}
