package bench_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/bench/workload"
)

func TestVerdict(t *testing.T) {
	t.Parallel()
	cell := func(strategy string, reps ...bench.Rep) bench.Cell {
		return bench.Cell{Workload: "counter", Strategy: strategy, Reps: reps}
	}
	clean := bench.Rep{Commits: 100}
	tests := map[string]struct {
		cells []bench.Cell
		want  string
	}{
		"exact and caught":          {[]bench.Cell{cell("naive", bench.Rep{Lost: 3}), cell("none", clean)}, bench.OK},
		"caught in one repetition":  {[]bench.Cell{cell("naive", clean, bench.Rep{Lost: 1}), cell("none", clean)}, bench.OK},
		"no control":                {[]bench.Cell{cell("none", clean)}, bench.OK},
		"gave up is no violation":   {[]bench.Cell{cell("none", bench.Rep{Commits: 1, GaveUp: 9, Errors: 2})}, bench.OK},
		"control not caught":        {[]bench.Cell{cell("naive", clean), cell("none", clean)}, bench.Violated},
		"control duplicates only":   {[]bench.Cell{cell("naive", bench.Rep{Duplicate: 5})}, bench.Violated},
		"lost":                      {[]bench.Cell{cell("naive", bench.Rep{Lost: 3}), cell("none", bench.Rep{Lost: 1})}, bench.Violated},
		"duplicate":                 {[]bench.Cell{cell("atomic", clean, bench.Rep{Duplicate: 1})}, bench.Violated},
		"out of order":              {[]bench.Cell{cell("for-update", bench.Rep{OutOfOrder: 1})}, bench.Violated},
		"wrong in no counted way":   {[]bench.Cell{cell("none", bench.Rep{Broken: 1})}, bench.Violated},
		"caught on one of two only": {[]bench.Cell{cell("naive", bench.Rep{Lost: 3}), cell("naive", clean)}, bench.Violated},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := bench.Summarize(test.cells)
			require.Equal(t, test.want, s.Verdict(), s.Problems)
		})
	}
}

func TestSummaryLeavesTheControlOut(t *testing.T) {
	t.Parallel()
	s := bench.Summarize([]bench.Cell{
		{Strategy: "naive", Reps: []bench.Rep{{Commits: 50, Lost: 7, Duplicate: 7}}},
		{Strategy: "none", Reps: []bench.Rep{{Commits: 100, Unknown: 1}, {Commits: 10}}},
	})
	require.Equal(t, bench.Summary{Commits: 110, Unknown: 1, Control: "naive", ControlLost: 7}, s)
	require.True(t, s.Caught())
}

func TestSpecValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, bench.Spec{}.Validate())
	require.NoError(t, bench.Spec{Clients: 1}.Validate(), "the default leaves the control out")
	more := bench.Spec{Workloads: []string{"doctors", "batch"}}
	require.NoError(t, more.Validate())
	require.NoError(t, bench.Spec{Workloads: workload.Names()}.Validate())
	for _, spec := range []bench.Spec{{}, more, {Workloads: workload.Names()}} {
		require.InDelta(t, 46, spec.Total().Seconds(), 4, "a default run takes less than a minute")
	}
	for name, test := range map[string]struct {
		spec bench.Spec
		want string
	}{
		"clients":  {bench.Spec{Clients: 10_001}, "clients must be 1 to 10000, not 10001"},
		"procs":    {bench.Spec{Procs: 65}, "procs must be 1 to 64, not 65"},
		"crowd":    {bench.Spec{Procs: 17}, "procs must be at most the number of clients, which they share: 17 is more than 16"},
		"keys":     {bench.Spec{Keys: -1}, "keys must be 1 to 1000000, not -1"},
		"reps":     {bench.Spec{Reps: 1001}, "reps must be 1 to 1000, not 1001"},
		"duration": {bench.Spec{Duration: -1}, "duration must be positive, not -1ns"},
		"one key":  {bench.Spec{Keys: 1}, "workload transfer needs at least 2 keys, not 1: raise keys, or choose other workloads"},
		"twice":    {bench.Spec{Strategies: []string{"none", "none"}}, `strategy "none" is named twice`},
		"alone":    {bench.Spec{Clients: 1, Strategies: []string{"naive"}}, "strategy naive needs at least 2 clients: one alone cannot lose an update"},
		"unknown":  {bench.Spec{Strategies: []string{"hope"}}, `unknown strategy "hope": choose from naive, none, exponential, full-jitter, auto, gate, combine, group, lock, for-update, atomic, add, loop, relaxed`},
		"batch":    {bench.Spec{Batch: 10_001}, "batch must be 1 to 10000, not 10001"},
		"odd":      {bench.Spec{Keys: 7, Workloads: []string{"doctors"}}, "workload doctors needs an even number of keys, not 7: its rows are pairs"},
		"few":      {bench.Spec{Keys: 99, Workloads: []string{"batch"}}, "workload batch needs at least 100 keys, not 99: raise keys, or choose other workloads"},
		"unfit":    {bench.Spec{Strategies: []string{"none", "loop"}}, "strategy loop is for workload batch only: name it too"},
		"bare":     {bench.Spec{Workloads: []string{"doctors", "batch"}, Strategies: []string{"loop"}}, "workload doctors has no strategy: none of those that are named is for it"},
	} {
		require.EqualError(t, test.spec.Validate(), test.want, name)
	}
}
