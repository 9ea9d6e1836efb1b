package named_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/named"
)

const canary = "c4n4ry"

// Whatever is wrong with a DSN, the password in it is not shown.
func TestErrorsShowNoPassword(t *testing.T) {
	t.Parallel()
	for name, dsns := range map[string][]string{
		"postgres": {
			"postgres://u:c4n4ry@127.0.0.1:1/db",
			"postgres://u:c4n4ry@127.0.0.1:1/db?sslmode=disable&connect_timeout=1",
			"postgres://u:c4n4ry@127.0.0.1:port/db",
			"postgres://u:c4n4ry@[::1/db",
			"postgres://u:%zzc4n4ry@127.0.0.1/db",
			"postgres://u:12/c4n4ry@127.0.0.1:1/db",
			"postgres://u:12?c4n4ry@127.0.0.1:1/db",
			"postgres://u:12#c4n4ry@127.0.0.1:1/db",
			"postgres://u:c4n4ry@127.0.0.1:1/db?sslmode=maybe",
			"postgres://127.0.0.1:1/db?password=c4n4ry&sslmode=disable",
			"postgres://u:c4n4ry@no-such-host.invalid/db",
			"host=127.0.0.1 port=1 user=u password=c4n4ry",
			"host=127.0.0.1 port=1 user=u password='c4n4ry",
			"host=127.0.0.1 port=1 user=u password=x c4n4ry",
			"host=/nope/dir user=u password=c4n4ry",
			"u:c4n4ry@tcp(127.0.0.1:1)/db",
			"c4n4ry",
		},
		"mysql": {
			"u:c4n4ry@tcp(127.0.0.1:1)/db",
			"u:c4n4ry@tcp(127.0.0.1:1)/db?tls=c4n4ry",
			"u:c4n4ry@tcp(127.0.0.1:1/db",
			"u:c4n4ry@127.0.0.1/db",
			"u:c4n4ry@tcp(127.0.0.1:1)",
			"u:c4n4ry@tcp(127.0.0.1:1)/db?parseTime=c4n4ry",
			"u:c4/n4ry/c4n4ry@tcp(127.0.0.1:1)/db",
			"u:c4n4ry@unix(/nope/sock)/db",
			"u:c4n4ry@tcp(no-such-host.invalid)/db",
			"mysql://u:c4n4ry@127.0.0.1/db",
			"postgres://u:c4n4ry@127.0.0.1/db",
			"host=127.0.0.1 password=c4n4ry",
		},
		"sqlite": {
			"/nope/c4n4ry.db",
			"file:/nope/x.db?_pragma=key('c4n4ry')",
			"file:%zzc4n4ry",
			"postgres://u:c4n4ry@127.0.0.1/db",
		},
	} {
		for _, dsn := range dsns {
			t.Run(name+" "+dsn, func(t *testing.T) {
				t.Parallel()
				db, err := named.Open(t.Context(), name, dsn, &named.Options{ConnectTimeout: 2 * time.Second})
				require.Nil(t, db)
				require.Error(t, err)
				require.NotContains(t, err.Error(), canary)
				require.NotContains(t, err.Error(), dsn)
				require.NotContains(t, err.Error(), "\n")
				require.True(t, strings.HasPrefix(err.Error(), name+": "), err.Error())
			})
		}
	}
}

func TestUnknownName(t *testing.T) {
	t.Parallel()
	_, err := named.Open(t.Context(), "oracle", canary, nil)
	require.EqualError(t, err, `unknown database "oracle": choose from sqlite, postgres, mysql, mariadb`)
	for _, name := range named.Names() {
		require.NotEmpty(t, named.Usage(name))
	}
	require.Empty(t, named.Usage("oracle"))
}

func TestTemporarySQLite(t *testing.T) {
	t.Parallel()
	db, err := named.Open(t.Context(), "sqlite", "", nil)
	require.NoError(t, err)
	requireWorks(t, db)
	require.Equal(t, "wal", db.Settings["journal_mode"])
	require.Equal(t, "1", db.Settings["synchronous"], "NORMAL")
	var file string
	err = db.Query(t.Context(), "SELECT file FROM pragma_database_list", nil, func(row dialects.Rows) error { return row.Scan(&file) })
	require.NoError(t, err)
	require.FileExists(t, file)
	require.NoError(t, db.Close())
	require.NoDirExists(t, filepath.Dir(file))
}

// A caller's file keeps its settings, and is not made when it is missing.
func TestExistingSQLite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "it's 100% mine.db")
	_, err := named.Open(t.Context(), "sqlite", path, nil)
	require.ErrorContains(t, err, "create it first")
	require.NoFileExists(t, path)
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	db, err := named.Open(t.Context(), "sqlite", path, nil)
	require.NoError(t, err)
	requireWorks(t, db)
	require.Equal(t, "delete", db.Settings["journal_mode"])
	require.Equal(t, "10000", db.Settings["busy_timeout"])
	require.NoError(t, db.Close())
	require.FileExists(t, path)
	_, err = named.Open(t.Context(), "sqlite", filepath.Dir(path), nil)
	require.ErrorContains(t, err, "names a directory")
}

func TestServers(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(t testing.TB) string{"postgres": dbtest.Postgres, "mariadb": dbtest.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			db, err := named.Open(t.Context(), name, dsn(t), &named.Options{Connections: 100_000})
			require.NoError(t, err)
			requireWorks(t, db)
			require.Less(t, db.Connections, 1000, "the server allows fewer, and others need some")
			require.Contains(t, db.Settings, "max_connections")
			require.NoError(t, db.Close())
		})
	}
}

// MariaDB answers to the driver of MySQL, and is another database.
func TestMariaDBIsNotMySQL(t *testing.T) {
	t.Parallel()
	_, err := named.Open(t.Context(), "mysql", dbtest.MariaDB(t), nil)
	require.ErrorContains(t, err, "mysql: the server says that it is mariadb")
}

// requireWorks runs a statement of each kind.
func requireWorks(t *testing.T, db *named.Database) {
	t.Helper()
	require.NotEmpty(t, db.Version)
	require.NotEmpty(t, db.Settings)
	require.Positive(t, db.Connections)
	ctx := t.Context()
	require.NoError(t, db.Exec(ctx, "CREATE TABLE named_works (id INTEGER NOT NULL PRIMARY KEY)"))
	require.NoError(t, db.Exec(ctx, "INSERT INTO named_works VALUES ("+db.Placeholder(1)+")", int64(7)))
	var got int64
	err := db.Query(ctx, "SELECT id FROM named_works", nil, func(row dialects.Rows) error { return row.Scan(&got) })
	require.NoError(t, err)
	require.EqualValues(t, 7, got)
	require.NoError(t, db.Exec(ctx, "DROP TABLE named_works"))
}
