package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/named/cmdline/cmdlinetest"
	"github.com/occkit/occkit/migrations"
)

// invoke runs a command line in this process.
func invoke(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return cmdlinetest.Execute(execute).Invoke(t, args...)
}

// database makes a file with a table that has no version, and one with a legacy
// column, and returns the flags that open it.
func database(t *testing.T) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "shop.db")
	db := dbtest.Open(t, "sqlite", "file:"+path)
	for _, s := range []string{
		"CREATE TABLE accounts (id INTEGER PRIMARY KEY, n INTEGER)", "INSERT INTO accounts VALUES (1, 0), (2, 0)",
		"CREATE TABLE orders (id INTEGER PRIMARY KEY, lock_version INTEGER)", "INSERT INTO orders VALUES (1, NULL), (2, 7)",
		"CREATE TABLE odd (id INTEGER)",
	} {
		_, err := db.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
	return []string{"--db", "sqlite", "--dsn", path}
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	cmdlinetest.Execute(execute).Refuses(t, "occmigrate", exitFailed, map[string]string{
		"--bogus":                          "unknown flag: --bogus (see occmigrate --help)",
		"frobnicate":                       "unknown command",
		"plan":                             "name at least one table",
		"plan t":                           "name the database with --db",
		"plan t --db oracle":               `unknown database "oracle": choose from sqlite, postgres, mysql, mariadb`,
		"plan t --db postgres":             "postgres: no DSN is given: set OCCMIGRATE_DSN to postgres://",
		"plan t --db sqlite --guard maybe": `unknown guard "maybe": choose from enforce, strict, none`,
		"plan t --db sqlite --kind clock":  `unknown kind "clock": choose from counter, token`,
		"plan t --db sqlite --initial 0":   "initial must be at least 1",
		"plan s. --db sqlite":              "is empty",
		"apply t --db sqlite --dsn x --max-lag -1s":                    "max-lag must not be negative, not -1s",
		"plan t --db postgres --dsn postgres://u:canary@127.0.0.1:1/x": "postgres: cannot connect: ",
		"plan t --db mariadb --dsn u:canary@tcp(127.0.0.1:1)/x":        "mariadb: cannot connect: ",
		"plan t --db sqlite --dsn /nope/canary.db":                     "sqlite: the database file of the DSN cannot be found",
	})
}

func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := invoke(t, "--help")
	require.Equal(t, exitOK, code)
	require.Empty(t, stderr)
	for _, part := range []string{"enforce", "strict", "A day's work", "Examples:", "Exit codes:", "OCCMIGRATE_DSN", "revert", "emit", "not run"} {
		require.Contains(t, stdout, part)
	}
	for _, command := range []string{"plan", "preview", "apply", "backfill", "status", "verify", "revert", "emit"} {
		code, stdout, _ = invoke(t, command, "--help")
		require.Equal(t, exitOK, code)
		require.Greater(t, len(stdout), 200, command)
	}
}

func TestDaysWork(t *testing.T) {
	t.Parallel()
	db := database(t)
	run := func(want int, args ...string) (stdout, stderr string) {
		t.Helper()
		code, stdout, stderr := invoke(t, append(args, db...)...)
		require.Equal(t, want, code, stdout+stderr)
		return stdout, stderr
	}
	out, _ := run(exitChanges, "plan", "accounts")
	require.Contains(t, out, "target: SQLite 3.")
	require.Contains(t, out, "+ add-column ")
	out, _ = run(exitOK, "preview", "accounts")
	require.Contains(t, out, "ALTER TABLE `accounts` ADD COLUMN `version` INTEGER NOT NULL DEFAULT 1;\n")
	fingerprint := regexp.MustCompile(`-- plan ([0-9a-f]{16});`).FindStringSubmatch(out)
	out, _ = run(exitFindings, "verify", "accounts")
	require.Contains(t, out, "step add-column is not done")
	_, errOut := run(exitRefused, "apply", "accounts", "--fingerprint", "0123456789abcdef")
	require.Contains(t, errOut, "the plan has changed: it was to be 0123456789abcdef and is "+fingerprint[1]+" now, nothing was changed")
	_, errOut = run(exitFailed, "apply", "accounts", "--fingerprint", "")
	require.Contains(t, errOut, "the fingerprint is empty")
	run(exitChanges, "plan", "accounts")
	out, errOut = run(exitOK, "apply", "accounts", "--fingerprint", fingerprint[1])
	require.Contains(t, out, "accounts: ready: history, add-column, trigger-guard, trigger-bump")
	require.Contains(t, errOut, "target: SQLite 3.")
	out, _ = run(exitOK, "plan", "accounts")
	require.Contains(t, out, "nothing to do")
	out, _ = run(exitOK, "status", "accounts")
	require.Contains(t, out, "guard    ok (enforce)")
	out, _ = run(exitOK, "verify", "accounts")
	require.Equal(t, "accounts: ok; the guard was tried on a row and works\n", out)
	out, _ = run(exitOK, "revert", "accounts")
	require.Contains(t, out, "nothing was done: add --yes to do it")
	out, _ = run(exitOK, "verify", "accounts")
	require.Contains(t, out, "accounts: ok")
	run(exitOK, "revert", "accounts", "--yes")
	run(exitFindings, "verify", "accounts")

	out, _ = run(exitOK, "status", "orders", "--column", "lock_version")
	require.Contains(t, out, "backfill 50.0 %: 1 of 2 rows left")
	_, errOut = run(exitFailed, "backfill", "orders", "--column", "lock_version", "--max-lag", "5s")
	require.Contains(t, errOut, "sqlite: a server of this kind does not know how far its replicas are behind")
	out, _ = run(exitOK, "backfill", "orders", "--column", "lock_version")
	require.Contains(t, out, "1 rows filled")
	run(exitChanges, "plan", "orders", "--column", "lock_version")
	run(exitOK, "apply", "orders", "--column", "lock_version")

	out, _ = run(exitRefused, "plan", "odd", "accounts")
	require.Contains(t, out, "refused: odd has no primary key")
	_, errOut = run(exitRefused, "apply", "odd", "accounts")
	require.Contains(t, errOut, "refused, nothing was changed")
}

func TestOutputForPrograms(t *testing.T) {
	t.Parallel()
	db := database(t)
	_, stdout, _ := invoke(t, append([]string{"plan", "accounts", "--json"}, db...)...)
	var plan migrations.Plan
	require.NoError(t, json.Unmarshal([]byte(stdout), &plan))
	require.Equal(t, "accounts", plan.Tables[0].Table)
	require.NotEmpty(t, plan.Tables[0].Steps)
	require.NotContains(t, stdout, `\u003c`)

	code, stdout, stderr := invoke(t, append([]string{"apply", "orders", "--column", "lock_version", "--jsonl"}, db...)...)
	require.Equal(t, exitOK, code, stderr)
	var states []migrations.EventState
	for lines := bufio.NewScanner(strings.NewReader(stdout)); lines.Scan(); {
		var e migrations.Event
		require.NoError(t, json.Unmarshal(lines.Bytes(), &e), lines.Text())
		require.Equal(t, "orders", e.Table)
		states = append(states, e.State)
	}
	require.Contains(t, states, migrations.Done)
	require.Equal(t, migrations.Ready, states[len(states)-1])

	for _, command := range []string{"status", "verify"} {
		_, stdout, _ = invoke(t, append([]string{command, "accounts", "--json"}, db...)...)
		require.True(t, json.Valid([]byte(stdout)), stdout)
	}
}

func TestEmitWritesFiles(t *testing.T) {
	t.Parallel()
	db, dir := database(t), t.TempDir()
	code, stdout, stderr := invoke(t, append([]string{"emit", "accounts", "--format", "goose", "--dir", dir, "--version", "007"}, db...)...)
	require.Equal(t, exitOK, code, stderr)
	name := filepath.Join(dir, "007_occkit_accounts_version.sql")
	require.Equal(t, name+"\n", stdout)
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Contains(t, string(text), "-- +goose StatementBegin")
	code, _, stderr = invoke(t, append([]string{"emit", "accounts", "--format", "rails"}, db...)...)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stderr, "choose from flyway, golang-migrate, goose, liquibase, sql")
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, err bytes.Buffer
	code := execute(ctx, append([]string{"apply", "accounts"}, database(t)...), &out, &err)
	require.Equal(t, exitInterrupted, code)
	require.Contains(t, err.String(), "run the same command again to go on")
}
