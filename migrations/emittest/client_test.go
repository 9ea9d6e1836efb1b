package emittest

import (
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/migrations"
)

// client returns the command of the database's own client, which reads SQL from
// standard input and stops at the first error.
func (s *scene) client() *exec.Cmd {
	switch s.name {
	case "postgres":
		var schema string
		require.NoError(s, s.db.QueryRowContext(s.Context(), "SELECT current_schema()").Scan(&schema))
		u, err := url.Parse(s.url)
		require.NoError(s, err)
		values := u.Query()
		values.Del("search_path") // pgx knows it, libpq does not
		u.RawQuery = values.Encode()
		cmd := exec.CommandContext(s.Context(), "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", u.String())
		cmd.Env = append(os.Environ(), "PGOPTIONS=-csearch_path="+schema)
		return cmd
	case "mariadb":
		config, err := mysql.ParseDSN(s.url)
		require.NoError(s, err)
		if config.Net != "unix" {
			s.Skip("the server is not on a socket")
		}
		cmd := exec.CommandContext(s.Context(), "mariadb", "--no-defaults", "--socket="+config.Addr, "--user="+config.User, config.DBName)
		cmd.Env = append(os.Environ(), "MYSQL_PWD="+config.Passwd)
		return cmd
	default:
		s.Skip("no client")
		return nil
	}
}

// The plain files, through psql and the client of MariaDB, twice up and down.
func TestClients(t *testing.T) {
	t.Parallel()
	for _, e := range engines() {
		for _, legacy := range []bool{false, true} {
			t.Run(e.name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, e, migrations.SQL, legacy, dialects.Counter)
				if _, err := exec.LookPath(s.client().Path); err != nil {
					t.Skip(err)
				}
				run := func(suffix string) {
					t.Helper()
					names, err := filepath.Glob(filepath.Join(s.dir, "*."+suffix+".sql"))
					require.NoError(t, err)
					for _, name := range names {
						file, err := os.Open(name)
						require.NoError(t, err)
						cmd := s.client()
						cmd.Stdin = file
						out, err := cmd.CombinedOutput()
						require.NoError(t, err, "%s: %s", name, out)
						require.NoError(t, file.Close())
					}
				}
				run("up")
				s.up()
				run("up")
				s.up()
				run("down")
				s.down()
			})
		}
	}
}
