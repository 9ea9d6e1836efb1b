//go:build mattn

package sqlite_test

import (
	"database/sql"
	"path/filepath"
	"testing"

	_ "github.com/mattn/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
	"github.com/occkit/occkit/dialects/sqlite"
)

// The errors of mattn/go-sqlite3 are known by the name of their type, which
// only the driver itself can make: go test -tags mattn, with cgo.
func TestClassifyMattn(t *testing.T) {
	t.Parallel()
	db, err := sql.Open("sqlite3", filepath.Join(t.TempDir(), "occ.db")+"?_busy_timeout=1&_journal_mode=WAL")
	require.NoError(t, err)
	defer db.Close()
	exec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT NOT NULL)")
	exec(t, db, "INSERT INTO t VALUES (1, 1)")
	for text, want := range map[string]dialects.Class{
		"INSERT INTO t VALUES (1, 1)":    dialects.Duplicate,
		"INSERT INTO t VALUES (2, NULL)": dialects.Rejected,
		"SELEKT":                         dialects.Rejected,
	} {
		_, err := db.ExecContext(t.Context(), text)
		sqlgentest.Class(t, sqlite.New(), want, err)
	}

	one, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer one.Close()
	two, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer two.Close()
	exec(t, one, "BEGIN")
	var n int
	require.NoError(t, one.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n))
	exec(t, two, sqlite.New().Begin())
	_, err = one.ExecContext(t.Context(), "INSERT INTO t VALUES (2, 1)")
	sqlgentest.Class(t, sqlite.New(), dialects.Busy, err)
	exec(t, two, "INSERT INTO t VALUES (3, 1)")
	exec(t, two, "COMMIT")
	_, err = one.ExecContext(t.Context(), "INSERT INTO t VALUES (2, 1)")
	sqlgentest.Class(t, sqlite.New(), dialects.Conflict, err)
	exec(t, one, "ROLLBACK")
}
