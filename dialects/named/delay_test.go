package named_test

import (
	"context"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/named"
)

func TestDial(t *testing.T) {
	t.Parallel()
	for name, dsn := range map[string]func(t testing.TB) string{"postgres": dbtest.Postgres, "mariadb": dbtest.MariaDB} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var dialled atomic.Int64
			db, err := named.Open(t.Context(), name, dsn(t), &named.Options{
				Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
					dialled.Add(1)
					return new(net.Dialer).DialContext(ctx, network, addr)
				},
			})
			require.NoError(t, err)
			requireWorks(t, db)
			require.Positive(t, dialled.Load())
			require.NoError(t, db.Close())
		})
	}
	_, err := named.Open(t.Context(), "sqlite", "", &named.Options{Dial: new(net.Dialer).DialContext})
	require.EqualError(t, err, "sqlite: there is no server, and no way to it that could be longer: choose another database")
}

// The DSN of an open database opens it once more, also that of a temporary one.
func TestDSNLeadsToTheSameDatabase(t *testing.T) {
	t.Parallel()
	db, err := named.Open(t.Context(), "sqlite", "", nil)
	require.NoError(t, err)
	require.NoError(t, db.Exec(t.Context(), "CREATE TABLE here (id INTEGER)"))
	again, err := named.Open(t.Context(), "sqlite", db.DSN, nil)
	require.NoError(t, err)
	require.NoError(t, again.Exec(t.Context(), "INSERT INTO here VALUES (1)"))
	require.Equal(t, db.Settings, again.Settings)
	require.NoError(t, again.Close())
	require.NoError(t, db.Close())
}

func TestCommitDelay(t *testing.T) {
	t.Parallel()
	delayed := func(dsn string, d time.Duration) (*named.Database, error) {
		return named.Open(t.Context(), "postgres", dsn, &named.Options{CommitDelay: d})
	}
	_, err := delayed(dbtest.Postgres(t), time.Millisecond)
	require.EqualError(t, err, "postgres: a commit delay has no effect with fsync=off: start the server with fsync=on")

	dsn := dbtest.StartPostgres(t, "-c", "fsync=on").DSN()
	db, err := delayed(dsn, 1500*time.Microsecond)
	require.NoError(t, err)
	requireWorks(t, db)
	require.Equal(t, "1500", db.Settings["commit_delay"])
	require.NoError(t, db.Exec(t.Context(), "CREATE ROLE plain LOGIN"))
	require.NoError(t, db.Close())

	_, err = delayed(strings.Replace(dsn, "occkit@", "plain@", 1), time.Millisecond)
	require.EqualError(t, err, "postgres: a commit delay needs a superuser: connect as one")
	for _, d := range []time.Duration{-1, time.Second, time.Nanosecond} {
		_, err = delayed(dsn, d)
		require.ErrorContains(t, err, "postgres: a commit delay is 1us to 100ms, in whole microseconds, not ")
	}
	db, err = delayed(dsn, 0)
	require.NoError(t, err)
	require.NotContains(t, db.Settings, "commit_delay")
	require.NoError(t, db.Close())
	for _, name := range []string{"sqlite", "mysql", "mariadb"} {
		_, err = named.Open(t.Context(), name, "", &named.Options{CommitDelay: time.Millisecond})
		require.EqualError(t, err, name+": it has no setting that delays commits: choose another database")
	}
}
