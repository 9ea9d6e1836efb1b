package occ_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/mysql"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

// nowhere is a transport that must not be used: making a repository asks no
// database.
type nowhere struct{}

func (nowhere) Conn(context.Context) (dialects.Conn, error) {
	return nil, errors.New("the database was asked")
}

func offline() *occ.DB { return occ.New(nowhere{}, sqlite.New(), nil) }

type audit struct {
	CreatedBy string       `occ:"created_by"`
	DeletedAt sql.NullTime `occ:"deleted_at"`
}

type money int64

type rich struct {
	ID      uuid.UUID `occ:"id,key"`
	audit             // unexported, its fields are not
	Flag    bool      `occ:"flag"`
	Small   int8      `occ:"small"`
	Count   uint32    `occ:"count"`
	Ratio   float64   `occ:"ratio"`
	Price   money     `occ:"price"`
	Name    string    `occ:"name"`
	Note    string    `occ:"note,nullable"`
	Age     *int64    `occ:"age"`
	Blob    []byte    `occ:"blob"`
	At      time.Time `occ:"at"`
	Nick    sql.NullString
	Full    sql.NullString `occ:"full_name"`
	Tags    []string       `occ:"tags,json"`
	Prefs   *prefs         `occ:"prefs,json"`
	Skipped chan int       `occ:"-"`
	Version int64          `occ:"version,version"`
}

type prefs struct {
	Color string `json:"color"`
	Dark  bool   `json:"dark"`
}

const richTable = `CREATE TABLE rich (id BLOB PRIMARY KEY, created_by TEXT NOT NULL, deleted_at DATETIME, flag BOOLEAN NOT NULL,
	small INT NOT NULL, count INT NOT NULL, ratio REAL NOT NULL, price INT NOT NULL, name TEXT NOT NULL, note TEXT, age INT, blob BLOB,
	at DATETIME NOT NULL, full_name TEXT, tags TEXT NOT NULL, prefs TEXT, version INT NOT NULL)`

// Every supported type comes back as it went in, with and without NULL.
func TestTypesRoundTrip(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, richTable)
	repo := newRepo[rich, uuid.UUID](t, r.db, "rich", nil)
	age := int64(36)
	for name, row := range map[string]rich{
		"empty": {ID: uuid.New(), At: time.Unix(0, 0).UTC()},
		"full": {
			ID: uuid.New(), Flag: true, Small: -128, Count: 1<<32 - 1, Ratio: 0.1, Price: -5, Name: "a'b", Note: "n",
			audit: audit{CreatedBy: "me", DeletedAt: sql.NullTime{Time: time.Unix(9, 0).UTC(), Valid: true}},
			Age:   &age, Blob: []byte{0, 255}, At: time.Unix(1700000000, 123456000).UTC(),
			Full: sql.NullString{String: "x", Valid: true}, Tags: []string{"a", "b"}, Prefs: &prefs{"red", true},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, repo.Insert(t.Context(), &row))
			got, err := repo.Get(t.Context(), row.ID)
			require.NoError(t, err)
			require.Equal(t, row, got)
			row.Tags, row.Prefs, row.Age, row.Note = []string{"c"}, nil, nil, ""
			require.NoError(t, repo.Update(t.Context(), &row))
			got, err = repo.Get(t.Context(), row.ID)
			require.NoError(t, err)
			require.Equal(t, row, got)
			many, err := repo.GetMany(t.Context(), []uuid.UUID{row.ID, uuid.New(), row.ID})
			require.NoError(t, err)
			require.Equal(t, map[uuid.UUID]rich{row.ID: row}, many)
		})
	}
	var nulls int
	require.NoError(t, r.pool.QueryRow("SELECT count(*) FROM rich WHERE note IS NULL AND prefs IS NULL AND age IS NULL").Scan(&nulls))
	require.Equal(t, 2, nulls)
}

// The kinds of versions, through a life of insert, update, conflict, delete.
func lifecycle[T any](t *testing.T, columnType string, version func(T) any) {
	t.Run(columnType, func(t *testing.T) {
		t.Parallel()
		r := newRig(t, rigSetup{})
		r.exec(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, version "+columnType+" NOT NULL)")
		repo := newRepo[T, int64](t, r.db, "t", nil)
		var row T
		require.NoError(t, repo.Insert(t.Context(), &row))
		stale, err := repo.Get(t.Context(), 0)
		require.NoError(t, err)
		require.Equal(t, version(row), version(stale))
		require.NoError(t, repo.Update(t.Context(), &row))
		require.NotEqual(t, version(stale), version(row))
		requireKind(t, repo.Update(t.Context(), &stale), occ.ErrConflict)
		requireKind(t, repo.Delete(t.Context(), &stale), occ.ErrConflict)
		fresh, err := repo.Mutate(t.Context(), 0, func(*T) error { return nil })
		require.NoError(t, err)
		require.NoError(t, repo.Touch(t.Context(), &fresh))
		require.NoError(t, repo.Delete(t.Context(), &fresh))
	})
}

func TestVersionKinds(t *testing.T) {
	t.Parallel()
	type Counter struct {
		ID int64 `occ:"id,key"`
		V  int64 `occ:"version,version"`
	}
	type Unsigned struct {
		ID int64  `occ:"id,key"`
		V  uint32 `occ:"version,version=counter"`
	}
	type Text struct {
		ID int64  `occ:"id,key"`
		V  string `occ:"version,version"`
	}
	type UUID struct {
		ID int64     `occ:"id,key"`
		V  uuid.UUID `occ:"version,version=token"`
	}
	type Stamp struct {
		ID int64     `occ:"id,key"`
		V  time.Time `occ:"version,version=timestamp"`
	}
	lifecycle(t, "INTEGER", func(c Counter) any { return c.V })
	lifecycle(t, "INT", func(c Unsigned) any { return c.V })
	lifecycle(t, "TEXT", func(c Text) any { return c.V })
	lifecycle(t, "BLOB", func(c UUID) any { return c.V })
	lifecycle(t, "DATETIME", func(c Stamp) any { return c.V.UnixNano() })
}

func TestVersionOverflow(t *testing.T) {
	t.Parallel()
	type Tiny struct {
		ID int64 `occ:"id,key"`
		V  int8  `occ:"version,version"`
	}
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TABLE tiny (id INTEGER PRIMARY KEY, version INT NOT NULL)")
	r.exec(t, "INSERT INTO tiny VALUES (1, 126)")
	repo := newRepo[Tiny, int64](t, r.db, "tiny", nil)
	row := Tiny{ID: 1, V: 126}
	require.NoError(t, repo.Update(t.Context(), &row))
	require.EqualValues(t, 127, row.V)
	r.plan()
	err := repo.Update(t.Context(), &row)
	requireKind(t, err, occ.ErrOverflow)
	require.EqualError(t, err, "occ: update tiny[1]: number out of range: version 127 is the last that a int8 holds")
	require.Empty(t, r.trace(), "nothing was sent")
	require.NoError(t, repo.Delete(t.Context(), &row), "the last version can still be deleted")
}

func TestTableNames(t *testing.T) {
	t.Parallel()
	const dotted = `; for names with dots set RepositoryOptions.Schema`
	for name, want := range map[string]string{
		"":                      "the table has no name",
		"a.":                    "the table has no name",
		".x":                    `table name ".x": want "table" or "schema.table"` + dotted,
		"a.b.c":                 `table name "a.b.c": want "table" or "schema.table"` + dotted,
		"nul\x00":               `identifier "nul\x00": the name holds a NUL character`,
		"bad\xff":               `identifier "bad\xff": the name is not valid UTF-8`,
		strings.Repeat("é", 32): `the name has 64 bytes, the limit is 63`,
	} {
		_, err := occ.NewRepository[Account, int64](occ.New(nowhere{}, postgres.New(), nil), name, nil)
		requireKind(t, err, occ.ErrMapping)
		require.ErrorContains(t, err, want)
	}
	repo := newRepo[Account, int64](t, offline(), "x.y", &occ.RepositoryOptions{Schema: "main"})
	require.Contains(t, repo.Statements()[0].Text, "FROM `main`.`x.y` WHERE")
}

// A hostile name is the name of a table, and nothing else.
func TestHostileNames(t *testing.T) {
	t.Parallel()
	const hostile = "acc\"ou`nts'; DROP TABLE accounts; --"
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TABLE \""+strings.ReplaceAll(hostile, `"`, `""`)+"\" (id INTEGER PRIMARY KEY, owner TEXT, balance INT, version INT)")
	repo := newRepo[Account, int64](t, r.db, hostile, nil)
	row := Account{ID: 1, Owner: "'; DROP TABLE accounts; --"}
	require.NoError(t, repo.Insert(t.Context(), &row))
	got, err := repo.Mutate(t.Context(), 1, func(a *Account) error { a.Balance = 9; return nil })
	require.NoError(t, err)
	require.Equal(t, Account{ID: 1, Owner: row.Owner, Balance: 9, Version: 2}, got)
	require.EqualValues(t, 100, r.stored(t, 42).Balance)

	for _, d := range []dialects.Dialect{postgres.New(), mysql.New(), sqlite.New()} {
		for _, s := range newRepo[Account, int64](t, occ.New(nowhere{}, d, nil), hostile, nil).Statements() {
			require.NotContains(t, s.Text, hostile, "%s: the name's own quotes are doubled", d.Name())
		}
	}
	_, err = repo.Get(t.Context(), 7)
	require.EqualError(t, err, "occ: get "+hostile+"[7]: no such row")
}

// A version kind that the dialect lacks is refused when the repository is made.
func TestXminNeedsPostgres(t *testing.T) {
	t.Parallel()
	type Xmin struct {
		ID int64  `occ:"id,key"`
		V  uint32 `occ:"xmin,version=xmin"`
	}
	err := build[Xmin, int64](offline())
	requireKind(t, err, occ.ErrMapping)
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.NoError(t, build[Xmin, int64](occ.New(nowhere{}, postgres.New(), nil)))
}

func TestStatements(t *testing.T) {
	t.Parallel()
	repo := newRepo[Account, int64](t, offline(), "main.accounts", nil)
	require.Equal(t, []occ.NamedStatement{
		{Name: "select", Text: "SELECT `id`, `owner`, `balance`, `version` FROM `main`.`accounts` WHERE `id` = ?"},
		{Name: "select for update", Text: "SELECT `id`, `owner`, `balance`, `version` FROM `main`.`accounts` WHERE `id` = ?"},
		{Name: "insert", Text: "INSERT INTO `main`.`accounts` (`id`, `owner`, `balance`, `version`) VALUES (?, ?, ?, ?)"},
		{Name: "update", Text: "UPDATE `main`.`accounts` SET `owner` = ?, `balance` = ?, `version` = `version` + 1 WHERE `id` = ? AND `version` = ? AND `version` < 9223372036854775807"},
		{Name: "touch", Text: "UPDATE `main`.`accounts` SET `version` = `version` + 1 WHERE `id` = ? AND `version` = ? AND `version` < 9223372036854775807"},
		{Name: "delete", Text: "DELETE FROM `main`.`accounts` WHERE `id` = ? AND `version` = ?"},
	}, repo.Statements())
	pg := newRepo[Account, int64](t, occ.New(nowhere{}, postgres.New(), nil), "accounts", nil).Statements()
	require.Equal(t, pg[0].Text+" FOR NO KEY UPDATE", pg[1].Text)
	require.Equal(t, occ.NamedStatement{Name: "update, no triggers", Text: strings.TrimSuffix(pg[3].Text, ` RETURNING "version"`)}, pg[4])
}

// A value that cannot be bound is refused before anything is sent.
func TestUnbindableValue(t *testing.T) {
	t.Parallel()
	type Doc struct {
		Row
		Body any `occ:"body,json"`
	}
	r := newRig(t, rigSetup{})
	repo := newRepo[Doc, int64](t, r.db, "docs", nil)
	for _, err := range []error{
		repo.Insert(t.Context(), &Doc{Row: Row{ID: 1}, Body: make(chan int)}),
		repo.Update(t.Context(), &Doc{Row: Row{ID: 1}, Body: make(chan int)}),
	} {
		requireKind(t, err, occ.ErrUsage)
		var unsupported *json.UnsupportedTypeError
		require.ErrorAs(t, err, &unsupported)
		require.ErrorContains(t, err, "docs[1]: wrong use: column body: json: unsupported type: chan int")
	}
	require.Equal(t, "conn release conn release", r.trace())
}
