package dbtest_test

import (
	"io"
	"net"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
)

func TestDSN(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, dsn, addr, through string }{
		{
			"postgres url", "postgres://u:p%40@db.example:6000/d?sslmode=disable", "db.example:6000",
			"postgres://u:p%40@127.0.0.1:7/d?sslmode=disable",
		},
		{
			"postgres url with the host in the query", "postgres://u@/d?host=db.example&port=6000&sslmode=disable",
			"db.example:6000", "postgres://u@127.0.0.1:7/d?sslmode=disable",
		},
		{
			"postgres keywords", "host=db.example port=6000 user=u sslmode=disable", "db.example:6000",
			"host=db.example port=6000 user=u sslmode=disable host=127.0.0.1 port=7",
		},
		{"mysql", "u:p@tcp(db.example:6000)/d?parseTime=true", "db.example:6000", "u:p@tcp(127.0.0.1:7)/d?parseTime=true"},
		{"postgres socket", "postgres://u@/d?host=/run/x&port=6000", "", "postgres://u@127.0.0.1:7/d"},
		{"postgres socket in keywords", "host=/run/x user=u", "", "host=/run/x user=u host=127.0.0.1 port=7"},
		{"mysql socket", "u@unix(/run/x)/d", "", "u@tcp(127.0.0.1:7)/d"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			addr, err := dbtest.AddrOf(tt.dsn)
			require.Equal(t, tt.addr == "", err != nil)
			require.Equal(t, tt.addr, addr)
			through, err := dbtest.WithAddr(tt.dsn, "127.0.0.1:7")
			require.NoError(t, err)
			require.Equal(t, tt.through, through)
			addr, err = dbtest.AddrOf(through)
			require.NoError(t, err)
			require.Equal(t, "127.0.0.1:7", addr)
		})
	}
}

func TestDSNSearchPath(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{
		"postgres://u:p@h:1/d", "postgresql://u:p@h:1/d?sslmode=disable", "host=h user=u",
	} {
		config, err := pgx.ParseConfig(dbtest.WithSearchPath(dsn, "mine"))
		require.NoError(t, err)
		require.Equal(t, "mine", config.RuntimeParams["search_path"])
		require.Equal(t, "u", config.User)
	}
}

func TestDSNErrorsKeepSecrets(t *testing.T) {
	t.Parallel()
	for _, dsn := range []string{"postgres://u:sesame@h:port/d", "host=h password=sesame port=x", "u:sesame@oops"} {
		_, err := dbtest.AddrOf(dsn)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "sesame")
	}
}

// echo sends every connection's bytes back.
func echo(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}()
	}
}

func readAll(t *testing.T, r io.Reader) []byte {
	t.Helper()
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	return all
}
