package main

import (
	"net/url"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
)

// The whole work on real servers, over TCP and with a password: the target is
// named, the password never shown.
func TestServers(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, driver, target string
		dsn                  func(testing.TB) string
		password             func(dsn string) string
	}{
		{"postgres", "pgx", "target: PostgreSQL ", dbtest.PostgresTCP, func(dsn string) string {
			u, err := url.Parse(dsn)
			require.NoError(t, err)
			password, _ := u.User.Password()
			return password
		}},
		{"mariadb", "mysql", "target: MariaDB ", dbtest.MariaDBTCP, func(dsn string) string {
			config, err := mysql.ParseDSN(dsn)
			require.NoError(t, err)
			return config.Passwd
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			dsn := test.dsn(t)
			db := dbtest.Open(t, test.driver, dsn)
			for _, s := range []string{
				"CREATE TABLE accounts (id BIGINT NOT NULL PRIMARY KEY, lock_version INT)", "INSERT INTO accounts VALUES (1, NULL), (2, 7)",
			} {
				_, err := db.ExecContext(t.Context(), s)
				require.NoError(t, err)
			}
			for _, step := range []struct {
				args []string
				code int
			}{
				{[]string{"plan"}, exitChanges},
				{[]string{"preview"}, exitOK},
				{[]string{"apply"}, exitOK},
				{[]string{"plan"}, exitOK},
				{[]string{"status"}, exitOK},
				{[]string{"verify"}, exitOK},
				{[]string{"emit", "--dir", "-"}, exitOK},
				{[]string{"revert", "--yes"}, exitOK},
				{[]string{"revert", "--drop-column", "--yes"}, exitFailed},
				{[]string{"verify"}, exitFindings},
			} {
				args := append(step.args, "accounts", "--column", "lock_version", "--db", test.name, "--dsn", dsn)
				code, stdout, stderr := invoke(t, args...)
				require.Equal(t, step.code, code, "%v: %s%s", step.args, stdout, stderr)
				if password := test.password(dsn); password != "" {
					require.NotContains(t, stdout+stderr, password)
				}
				if step.args[0] == "status" {
					require.Contains(t, stdout, test.target)
				}
			}
		})
	}
}
