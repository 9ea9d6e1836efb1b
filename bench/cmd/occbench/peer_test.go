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
	"github.com/occkit/occkit/dialects/dbtest"
)

// TestMain lets the test's program be what occbench starts: itself once more.
func TestMain(m *testing.M) {
	if os.Getenv(peerVariable) != "" {
		os.Exit(servePeer(context.Background(), os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

func TestProcesses(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "result.json")
	code, stdout, stderr := invoke(t, "--procs", "2", "--clients", "6", "--keys", "2", "--duration", "150ms", "--reps", "2",
		"--workload", "counter", "--strategies", "naive,none,auto,combine,atomic", "--json", path)
	require.Equal(t, exitOK, code, stdout+stderr)
	require.Contains(t, stdout, "counter: 6 clients in 2 processes on 2 keys")
	require.Contains(t, stdout, "least share")
	require.Contains(t, stdout, "over 2 connections", "SQLite has one for each process")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	requireResult(t, text, 5)
	var result bench.Result
	require.NoError(t, json.Unmarshal(text, &result))
	for _, cell := range result.Cells {
		require.Equal(t, 2, cell.Procs)
		require.Len(t, cell.Reps[0].Shares, 2)
	}
}

func TestProcessesOnAServerFarAway(t *testing.T) {
	t.Parallel()
	for db, dsn := range map[string]func(t testing.TB) string{"postgres": dbtest.PostgresTCP, "mariadb": dbtest.MariaDBTCP} {
		t.Run(db, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := invoke(t, "--db", db, "--dsn", dsn(t), "--delay", "1ms", "--procs", "2", "--clients", "6",
				"--dist", "single", "--duration", "250ms", "--reps", "1", "--workload", "counter", "--strategies", "naive,auto,lock")
			require.Equal(t, exitOK, code, stdout+stderr)
			require.Contains(t, stdout, ", 1 ms away, ")
		})
	}
}

// peerOf starts a process that works for this test.
func peerOf(t *testing.T, ctx context.Context, at place) *process { //nolint:revive // the test comes first
	t.Helper()
	program, err := os.Executable()
	require.NoError(t, err)
	p, err := startPeer(ctx, program, at)
	require.NoError(t, err)
	return p.(*process)
}

func TestProcessEndsWithItsInput(t *testing.T) {
	t.Parallel()
	p := peerOf(t, t.Context(), place{DB: "sqlite", Connections: 1})
	require.NoError(t, p.Close())
	require.NoError(t, p.Close(), "again")
	require.True(t, p.cmd.ProcessState.Success())
}

func TestProcessEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	p := peerOf(t, ctx, place{DB: "sqlite", Connections: 1})
	cancel()
	_, err := p.Read(make([]byte, 1))
	require.Error(t, err)
	require.NoError(t, p.Close())
}

func TestProcessThatIsKilledIsAnError(t *testing.T) {
	t.Parallel()
	p := peerOf(t, t.Context(), place{DB: "sqlite", Connections: 1})
	require.NoError(t, p.cmd.Process.Kill())
	_, err := p.Read(make([]byte, 1))
	require.Error(t, err)
	require.EqualError(t, p.Close(), "signal: killed")
}

// Where the database is goes through the pipe, and no complaint shows the password.
func TestProcessKeepsThePassword(t *testing.T) {
	t.Parallel()
	p := peerOf(t, t.Context(), place{DB: "postgres", DSN: "postgres://u:canary@127.0.0.1:1/x", Connections: 1})
	require.Len(t, p.cmd.Args, 1)
	require.NotContains(t, strings.Join(p.cmd.Env, " "), "canary")
	_, err := p.Read(make([]byte, 1))
	require.Error(t, err)
	require.ErrorContains(t, p.Close(), "postgres: cannot connect: ")
	require.NotContains(t, p.Close().Error(), "canary")
}

func TestPeerThatIsToldNothing(t *testing.T) {
	t.Parallel()
	var out, err bytes.Buffer
	require.Equal(t, exitUsage, servePeer(t.Context(), strings.NewReader("nonsense"), &out, &err))
	require.Contains(t, err.String(), "not told which database to use")
}

func TestCannotStart(t *testing.T) {
	t.Parallel()
	_, err := startPeer(t.Context(), "/nope", place{})
	require.Error(t, err)
}
