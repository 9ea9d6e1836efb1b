package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/dialects/named/cmdline/cmdlinetest"
)

// invoke runs a command line in this process.
func invoke(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	return cmdlinetest.Execute(execute).Invoke(t, args...)
}

func TestBadUsage(t *testing.T) {
	t.Parallel()
	cmdlinetest.Execute(execute).Refuses(t, "occbench", exitUsage, map[string]string{
		"--bogus":                             "unknown flag: --bogus (see occbench --help)",
		"extra":                               `unexpected argument "extra"`,
		"--db oracle":                         `unknown database "oracle": choose from sqlite, postgres, mysql, mariadb`,
		"--strategies hope":                   `unknown strategy "hope": choose from naive, none`,
		"--strategies=":                       "strategies must name at least one of naive, none",
		"--workload tpcc":                     `unknown workload "tpcc": choose from counter, transfer`,
		"--clients 0":                         "must be at least 1",
		"--clients -1":                        "clients must be 1 to 10000",
		"--clients 10001":                     "clients must be 1 to 10000",
		"--clients many":                      "--clients",
		"--clients 1 --strategies naive,none": "needs at least 2 clients",
		"--procs 0":                           "must be at least 1",
		"--procs 65":                          "procs must be 1 to 64, not 65",
		"--procs 3 --clients 2":               "procs must be at most the number of clients",
		"--delay -1ms":                        "delay must be 0 to 10s, not -1ms",
		"--delay 1h":                          "delay must be 0 to 10s, not 1h0m0s",
		"--delay 1ms":                         "sqlite: there is no server, and no way to it that could be longer",
		"--commit-delay -1ms":                 "commit-delay must not be negative",
		"--commit-delay 1ms":                  "sqlite: it has no setting that delays commits",
		"--db postgres --commit-delay 1s":     "a commit delay is 1us to 100ms",
		"--keys 0":                            "must be at least 1",
		"--keys 1":                            "workload transfer needs at least 2 keys",
		"--dist zipf:-1":                      "THETA must be a number from 0 on",
		"--dist pareto":                       `unknown distribution "pareto"`,
		"--duration 0":                        "duration must be positive",
		"--duration 5":                        "missing unit in duration",
		"--reps 0":                            "must be at least 1",
		"--seed -1":                           "--seed",
		"--json /nope/x.json":                 "cannot write the JSON file",
		"--db postgres":                       "postgres: no DSN is given: write postgres://",
		"--db postgres --dsn postgres://u:canary@127.0.0.1:1/x": "postgres: cannot connect: ",
		"--db mariadb --dsn u:canary@tcp(127.0.0.1:1)/x":        "mariadb: cannot connect: ",
		"--dsn /nope/canary.db":                                 "sqlite: the database file of the DSN cannot be found",
	})
}

func TestHelpTeaches(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := invoke(t, "--help")
	require.Equal(t, exitOK, code)
	require.Empty(t, stderr)
	for _, part := range []string{"Examples:", "Exit codes:", "full-jitter", "transfer", "doctors", "batch ", "relaxed", "--batch", "OCCBENCH_DSN", "--json", "--procs", "--delay", "--commit-delay", "least share", "combine", "initdb"} {
		require.Contains(t, stdout, part)
	}
}

func TestShortRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "result.json")
	code, stdout, stderr := invoke(t, "--duration", "60ms", "--reps", "2", "--json", path)
	require.Equal(t, exitOK, code, stderr)
	require.Contains(t, stdout, "verified: ")
	require.Contains(t, stdout, " 0 lost, 0 duplicate, 0 out of order; control naive: ")
	require.Contains(t, stdout, "lost (caught)\n")
	require.Contains(t, stderr, "round 2 of 2")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	requireResult(t, text, 13)
}

func TestUnitsAndBulkWrites(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := invoke(t, "--workload", "doctors,batch", "--batch", "10", "--duration", "250ms", "--reps", "1")
	require.Equal(t, exitOK, code, stdout+stderr)
	require.Contains(t, stdout, "doctors: 16 clients on 8 keys")
	require.Contains(t, stdout, "batch of 10 rows: 16 clients on 1,000 keys")
	require.Contains(t, stdout, "rows/s")
}

func TestRelaxedIsSeenToViolate(t *testing.T) {
	t.Parallel()
	code, stdout, _ := invoke(t, "--workload", "doctors", "--strategies", "relaxed", "--duration", "400ms", "--reps", "1")
	require.Equal(t, exitViolated, code, stdout)
	require.Contains(t, stdout, "VIOLATED: ")
	require.Contains(t, stdout, "acknowledged operations saw both rows of a pair at zero: write skew")
}

func TestJSONOnStandardOutput(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := invoke(t, "--duration", "30ms", "--reps", "1", "--json", "-",
		"--strategies", "atomic", "--workload", "counter", "--clients", "2")
	require.Equal(t, exitOK, code, stderr)
	requireResult(t, []byte(stdout), 1)
	require.Contains(t, stderr, "no control was run", "the table is on standard error")
}

func requireResult(t *testing.T, text []byte, cells int) {
	t.Helper()
	var result bench.Result
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&result))
	require.Equal(t, bench.Schema, result.Schema)
	require.Equal(t, bench.OK, result.Verdict)
	require.Len(t, result.Cells, cells)
	require.Equal(t, "sqlite", result.Environment.Database)
	require.NotEmpty(t, result.Environment.Server)
}

// Without contention the control loses nothing: the run must fail.
func TestControlThatIsNotCaught(t *testing.T) {
	t.Parallel()
	code, stdout, _ := invoke(t, "--strategies", "naive", "--workload", "counter",
		"--clients", "2", "--keys", "20000", "--duration", "1ms", "--reps", "1")
	require.Equal(t, exitViolated, code)
	require.Contains(t, stdout, "VIOLATED: ")
	require.Contains(t, stdout, "the control naive lost nothing, so the check proves nothing")
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, err bytes.Buffer
	code := execute(ctx, []string{"--duration", "1h"}, &out, &err)
	require.Equal(t, exitInterrupted, code)
	require.Equal(t, 1, strings.Count(err.String(), "\n"), err.String())
	require.Contains(t, err.String(), "interrupted")
}
