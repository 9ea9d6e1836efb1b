package report_test

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/bench/audit"
	"github.com/occkit/occkit/bench/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

// result is a small one with everything in it.
func result() bench.Result {
	low, high := 900.4, 1100.5
	return bench.Result{
		Schema: bench.Schema, Verdict: bench.OK,
		Environment: bench.Environment{
			Started: "2026-01-02T03:04:05Z", Go: "go1.26.8", OS: "linux", Arch: "amd64", CPU: "a processor", CPUs: 2,
			Database: "sqlite", Server: "3.54.1", Settings: map[string]string{"journal_mode": "wal"},
			Connections: 1, DurationS: 0.7, Seed: 1, Collision: 0.125,
		},
		Cells: []bench.Cell{
			{
				Workload: "counter", Strategy: "naive", Clients: 16, Keys: 8, Dist: "uniform",
				Reps: []bench.Rep{{
					Seconds: 0.7, Commits: 13676, Attempts: 13676, Lost: 4207, Duplicate: 4203, OutOfOrder: 12, Jain: 1, Collision: 0.1246,
					LatencyUS: bench.Latency{P50: 900, P90: 2000, P99: 5440, P999: 101_600, Max: 120_000},
				}},
				CommitsPerS: bench.Interval{Median: 19537.1}, Collision: bench.Collision{Predicted: 0.125, Measured: 0.1246},
			},
			{
				Workload: "counter", Strategy: "none", Clients: 16, Keys: 8, Dist: "uniform",
				Reps: []bench.Rep{{
					Seconds: 0.7, Commits: 700, Attempts: 1197, Conflicts: 497, GaveUp: 1, Errors: 1, Jain: 0.95, Collision: 0.1254,
					LatencyUS:  bench.Latency{P50: 1840, P90: 9000, P99: 14_100, P999: 140_000, Max: 150_000},
					FirstError: errors.New("the first\nerror"), Declined: 3, Unknown: 1,
				}},
				CommitsPerS: bench.Interval{Median: 1000, CILow: &low, CIHigh: &high},
				Collision:   bench.Collision{Predicted: 0.125, Measured: 0.1254}, ConflictsPerCommit: bench.Conflicts{Measured: 0.71},
			},
		},
	}
}

func TestJSON(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, report.JSON(&b, result()))
	golden(t, "result.json", b.Bytes())
}

func TestTableAndVerdict(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, report.Table(&b, result()))
	require.NoError(t, report.Verdict(&b, result()))
	golden(t, "result.txt", b.Bytes())
}

func TestViolation(t *testing.T) {
	t.Parallel()
	r := result()
	r.Cells[0].Reps[0].Lost = 0
	r.Cells[1].Reps[0].Lost, r.Cells[1].Reps[0].Broken = 2, 1
	r.Cells[1].Reps[0].Audit = audit.Report{Lost: 2, Broken: 1, Findings: []string{"row 3: 2 of 90 acknowledged effects are missing"}}
	r.Verdict = bench.Violated
	var b bytes.Buffer
	require.NoError(t, report.Table(&b, r))
	require.NoError(t, report.Verdict(&b, r))
	golden(t, "violated.txt", b.Bytes())
}

func TestRowsPerSecond(t *testing.T) {
	t.Parallel()
	r := result()
	for i := range r.Cells {
		r.Cells[i].Workload, r.Cells[i].Batch = "batch", 100
	}
	var b bytes.Buffer
	require.NoError(t, report.Table(&b, r))
	golden(t, "batch.txt", b.Bytes())
}

func TestProcessesAndDistance(t *testing.T) {
	t.Parallel()
	r := result()
	predicted := 0.0455
	r.Environment.DelayMS, r.Environment.CommitDelayMS = 1, 2.5
	for i := range r.Cells {
		r.Cells[i].Procs = 2
		r.Cells[i].Reps[0].Shares = []float64{0.556, 0.444}
	}
	r.Cells[1].ConflictsPerCommit.Predicted = &predicted
	r.Cells[1].Reps[0].Ways = map[string]int64{"alone": 3, "group": 690, "lock": 7}
	var b bytes.Buffer
	require.NoError(t, report.Table(&b, r))
	golden(t, "processes.txt", b.Bytes())
	b.Reset()
	require.NoError(t, report.JSON(&b, r))
	golden(t, "processes.json", b.Bytes())
}

func TestProgress(t *testing.T) {
	t.Parallel()
	steps := []bench.Progress{
		{Total: 4, Round: 1, Rounds: 2, Workload: "counter", Strategy: "none", Left: 90 * time.Second},
		{Done: 1, Total: 4, Round: 1, Rounds: 2, Workload: "counter", Strategy: "atomic", Left: 45 * time.Second, Commits: 1234},
		{Done: 2, Total: 4, Round: 2, Rounds: 2, Workload: "counter", Strategy: "none", Left: 30 * time.Second, Commits: 2345},
		{Done: 4, Total: 4, Round: 2, Rounds: 2, Commits: 5000},
	}
	show := func(width int) string {
		var b bytes.Buffer
		p := report.NewProgress(&b, width)
		for _, step := range steps {
			p.Show(step)
		}
		p.Clear()
		return b.String()
	}
	require.Equal(t, "round 1 of 2, about 1m30s left\nround 2 of 2, about 30 s left\ndone: 5,000 commits\n\n", show(0))
	require.Equal(t, "\r\x1b[K[           \r\x1b[K[=====      \r\x1b[K[==========\x20\r\x1b[K", show(13), "one line, cut to the terminal")
	require.Contains(t, show(200), "[=====               ] round 1 of 2: counter, atomic; 1,234 commits; about 45 s left")
}

func TestCount(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1204331: "1,204,331", -12345: "-12,345"} {
		require.Equal(t, want, report.Count(n))
	}
}
