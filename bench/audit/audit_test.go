package audit_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench/audit"
)

// history returns a true one: two rows that start at version 1, four commits
// on row 0, two on row 1, all one after the other.
func history() audit.History {
	h := audit.History{Initial: audit.State{Value: 10, Version: 1}}
	clock := int64(0)
	add := func(key, version, delta int64) {
		h.Acknowledged = append(h.Acknowledged, audit.Effect{
			Key: key, Version: version, Delta: delta, Start: clock, End: clock + 5,
		})
		clock += 10
	}
	add(0, 2, 1)
	add(0, 3, 1)
	add(0, 4, 1)
	add(0, 5, 1)
	add(1, 2, 1)
	add(1, 3, 1)
	h.Final = []*audit.State{{Value: 14, Version: 5}, {Value: 12, Version: 3}}
	return h
}

func TestTrueHistory(t *testing.T) {
	t.Parallel()
	report := audit.Check(history())
	require.True(t, report.Exact(), report.Findings)
	require.Empty(t, report.Findings)
}

func TestEveryLieIsFound(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tell func(h *audit.History)
		want audit.Report
	}{
		"lost update": { // the last commit's effect is gone
			func(h *audit.History) { h.Final[0] = &audit.State{Value: 13, Version: 4} },
			audit.Report{Lost: 1, Broken: 1},
		},
		"lost update with two winners": {
			func(h *audit.History) {
				h.Acknowledged[3].Version = 4
				h.Acknowledged[3].Start = 20
				h.Final[0] = &audit.State{Value: 13, Version: 4}
			},
			audit.Report{Lost: 1, Duplicate: 1, Broken: 1},
		},
		"lost update that kept the version": {
			func(h *audit.History) { h.Final[1].Value-- },
			audit.Report{Lost: 1, Broken: 1},
		},
		"duplicate acknowledgement": {
			func(h *audit.History) { h.Acknowledged[1].Version = 2 },
			audit.Report{Duplicate: 1, Broken: 1},
		},
		"gap: a version that nobody was told of": {
			func(h *audit.History) { h.Final[0] = &audit.State{Value: 14, Version: 6} },
			audit.Report{Broken: 1},
		},
		"applied twice": {
			func(h *audit.History) { h.Final[0] = &audit.State{Value: 15, Version: 6} },
			audit.Report{Broken: 2},
		},
		"reordered": {
			func(h *audit.History) {
				h.Acknowledged[0].Version, h.Acknowledged[1].Version = 3, 2
			},
			audit.Report{OutOfOrder: 1},
		},
		"version beyond the row": {
			func(h *audit.History) { h.Acknowledged[3].Version = 9 },
			audit.Report{Lost: 1, Broken: 1},
		},
		"negative": {
			func(h *audit.History) {
				h.Acknowledged[5].Delta = -12
				h.Final[1].Value = -1
			},
			audit.Report{Broken: 1},
		},
		"row deleted": {
			func(h *audit.History) { h.Final[1] = nil },
			audit.Report{Lost: 2, Broken: 1},
		},
		"effect on no row": {
			func(h *audit.History) { h.Acknowledged[5].Key, h.Final[1] = 7, &audit.State{Value: 11, Version: 2} },
			audit.Report{Broken: 1},
		},
		"a pair that no operation may leave behind": {
			func(h *audit.History) {
				h.Paired = true
				h.Acknowledged[3].Delta, h.Acknowledged[5].Delta = -13, -11
				h.Final[0].Value, h.Final[1].Value = 0, 0
			},
			audit.Report{Broken: 1},
		},
		"pairs that operations saw and should not have": {
			func(h *audit.History) { h.Paired, h.Forbidden = true, 2 },
			audit.Report{Broken: 2},
		},
		"sum changed": {
			func(h *audit.History) { h.Conserved = true },
			audit.Report{Broken: 1},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := history()
			test.tell(&h)
			got := audit.Check(h)
			require.NotEmpty(t, got.Findings)
			require.False(t, got.Exact())
			got.Findings = nil
			require.Equal(t, test.want, got)
		})
	}
}

func TestConcurrentOperationsMayCommitInAnyOrder(t *testing.T) {
	t.Parallel()
	h := history()
	h.Acknowledged[1].Start = 3 // now overlaps with the first
	h.Acknowledged[0].Version, h.Acknowledged[1].Version = 3, 2
	report := audit.Check(h)
	require.True(t, report.Exact(), report.Findings)
}

func TestOneOfAPairIsEnough(t *testing.T) {
	t.Parallel()
	h := history()
	h.Paired = true
	h.Acknowledged[3].Delta, h.Final[0].Value = -13, 0
	report := audit.Check(h)
	require.True(t, report.Exact(), report.Findings)
}

func TestUnknownOutcomesAreIntervals(t *testing.T) {
	t.Parallel()
	for name, final := range map[string]audit.State{
		"not applied": {Value: 14, Version: 5},
		"applied":     {Value: 15, Version: 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := history()
			h.Unknown = []audit.Effect{{Key: 0, Delta: 1}}
			h.Final[0] = &final
			report := audit.Check(h)
			require.True(t, report.Exact(), report.Findings)
		})
	}
	h := history()
	h.Unknown = []audit.Effect{{Key: 0, Delta: 1}}
	h.Final[0] = &audit.State{Value: 16, Version: 7}
	report := audit.Check(h)
	require.Positive(t, report.Broken, "twice is too often")
}

func TestFindingsAreBounded(t *testing.T) {
	t.Parallel()
	var h audit.History
	for key := range int64(100) {
		h.Final = append(h.Final, &audit.State{})
		h.Acknowledged = append(h.Acknowledged, audit.Effect{Key: key, Version: 1, Delta: 1})
	}
	report := audit.Check(h)
	require.EqualValues(t, 100, report.Lost)
	require.Len(t, report.Findings, 5)
}
