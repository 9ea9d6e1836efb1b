package sqlite_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
	"github.com/occkit/occkit/dialects/sqlite"
)

var classes = map[dialects.Class][]int{
	dialects.Conflict:  {517, 516},
	dialects.Busy:      {5, 261, 773, 6, 262, 15},
	dialects.Replan:    {17},
	dialects.Duplicate: {2067, 1555, 2579},
	dialects.Rejected: {
		1, 3, 4, 18, 20, 22, 23, 25,
		19, 275, 531, 787, 1043, 1299, 1811, 2323, 2835, 3091, // CONSTRAINT_*
		8, 264, 1032, 11, 267, 13, 14, 526, 26,
	},
	dialects.Canceled: {9},
	dialects.Unknown:  {7, 10, 266, 778, 1034, 2, 21, 255, 0},
}

// codeError is the shape of modernc.org/sqlite's error.
type codeError int

func (e codeError) Error() string { return fmt.Sprint("sqlite: ", int(e)) }
func (e codeError) Code() int     { return int(e) }

func TestClassifyCodes(t *testing.T) {
	t.Parallel()
	for class, codes := range classes {
		for _, code := range codes {
			sqlgentest.Class(t, sqlite.New(), class, codeError(code))
		}
	}
}

func TestClassifyTransport(t *testing.T) {
	t.Parallel()
	sqlgentest.Class(t, sqlite.New(), dialects.Lost, driver.ErrBadConn, io.EOF, context.Canceled)
	sqlgentest.Class(t, sqlite.New(), dialects.Unknown, errors.New("database is locked (5)"), sql.ErrNoRows)
	require.Equal(t, dialects.Unknown, sqlite.New().Classify(nil))
}

// open returns a database in a file, for several connections.
func open(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "occ.db")+"?_pragma=journal_mode(wal)")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func exec(t *testing.T, db interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}, text string, args ...any,
) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), text, args...)
	require.NoError(t, err)
}

// The errors that the driver really returns.
func TestClassifyProvoked(t *testing.T) {
	t.Parallel()
	db := open(t)
	exec(t, db, "CREATE TABLE parent (id INTEGER PRIMARY KEY)")
	exec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY, u TEXT UNIQUE, n INT NOT NULL, c INT CHECK (c > 0))")
	exec(t, db, "CREATE TABLE s (id INTEGER PRIMARY KEY, v INTEGER NOT NULL) STRICT")
	exec(t, db, "INSERT INTO t VALUES (1, 'a', 1, 1)")
	exec(t, db, "INSERT INTO s VALUES (1, 9223372036854775807)")
	for text, want := range map[string]dialects.Class{
		"INSERT INTO t VALUES (1, 'b', 1, 1)":   dialects.Duplicate,
		"INSERT INTO t VALUES (2, 'a', 1, 1)":   dialects.Duplicate,
		"INSERT INTO t VALUES (2, 'b', NULL,1)": dialects.Rejected,
		"INSERT INTO t VALUES (2, 'b', 1, 0)":   dialects.Rejected,
		"INSERT INTO s VALUES (2, 'x')":         dialects.Rejected,
		"UPDATE s SET v = v + 1":                dialects.Rejected,
		"SELECT nothing FROM nowhere":           dialects.Rejected,
		"SELEKT":                                dialects.Rejected,
	} {
		_, err := db.ExecContext(t.Context(), text)
		require.Error(t, err, text)
		sqlgentest.Class(t, sqlite.New(), want, err)
	}
}

func TestClassifyBusy(t *testing.T) {
	t.Parallel()
	db := open(t)
	exec(t, db, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
	one, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer one.Close()
	two, err := db.Conn(t.Context())
	require.NoError(t, err)
	defer two.Close()

	exec(t, one, sqlite.New().Begin())
	_, err = two.ExecContext(t.Context(), sqlite.New().Begin())
	sqlgentest.Class(t, sqlite.New(), dialects.Busy, err)
	exec(t, one, "ROLLBACK")

	// What BEGIN IMMEDIATE is there to avoid.
	exec(t, one, "BEGIN")
	var n int
	require.NoError(t, one.QueryRowContext(t.Context(), "SELECT count(*) FROM t").Scan(&n))
	exec(t, two, "INSERT INTO t VALUES (1)")
	_, err = one.ExecContext(t.Context(), "INSERT INTO t VALUES (2)")
	sqlgentest.Class(t, sqlite.New(), dialects.Conflict, err)
	exec(t, one, "ROLLBACK")
}
