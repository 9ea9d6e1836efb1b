package dialecttest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"
)

// outVariable names the directory that reports are written to.
const outVariable = "OCCKIT_CONFORMANCE_OUT"

// caseTimeout bounds one case.
const caseTimeout = 2 * time.Minute

// Run runs every case as a subtest, named by topic and case, such as
// "outcomes/stale-update". Unless testing.Short, the hot row is written at full
// size. When OCCKIT_CONFORMANCE_OUT names a directory, the [Report] is written
// there.
func Run(t *testing.T, h Harness) {
	t.Helper()
	if err := h.validate(); err != nil {
		t.Fatal(err)
	}
	report := newReport(h)
	for _, topic := range topics {
		t.Run(topic.name, func(t *testing.T) {
			for _, c := range topic.cases {
				t.Run(c.name, func(t *testing.T) {
					result := runCase(t.Context(), h, topic, c, !testing.Short())
					report.Results = append(report.Results, result)
					tell(t, result)
				})
			}
		})
	}
	if dir := os.Getenv(outVariable); dir != "" {
		if err := report.Write(dir); err != nil {
			t.Error(err)
		}
	}
}

func tell(t *testing.T, r Result) {
	t.Helper()
	switch r.Status {
	case Fail:
		t.Errorf("%s\n\tcase: %s", r.Detail, r.Explanation)
	case Unsupported, Untested:
		t.Skipf("%s: %s", r.Status, r.Detail)
	}
}

// Check runs every case and returns a [*Failure] for each that failed, joined.
// It runs the cases of [Run], one after the other.
func Check(ctx context.Context, h Harness) error {
	report, err := Examine(ctx, h)
	if err != nil {
		return err
	}
	return report.Err()
}

// Examine runs every case and reports how each ended. Its error is about the
// harness, never about a case.
func Examine(ctx context.Context, h Harness) (Report, error) {
	if err := h.validate(); err != nil {
		return Report{}, err
	}
	report := newReport(h)
	for _, topic := range topics {
		for _, c := range topic.cases {
			report.Results = append(report.Results, runCase(ctx, h, topic, c, false))
		}
	}
	return report, nil
}

// topic is a group of cases: one file of this package.
type topic struct {
	name  string
	cases []testCase
}

// testCase is one thing that a repository needs of the pair.
type testCase struct {
	name        string
	feature     string // the row of the feature table; several cases may share one
	explanation string // printed on failure
	run         func(p *probe)
}

var topics = []topic{
	{"outcomes", outcomeCases},
	{"versions", versionCases},
	{"types", typeCases},
	{"identifiers", identifierCases},
	{"joined", joinedCases},
	{"finding", findingCases},
	{"units", unitCases},
	{"bulk", bulkCases},
	{"concurrency", concurrencyCases},
	{"in-place", inPlaceCases},
	{"classification", classificationCases},
	{"ambiguity", ambiguityCases},
	{"suppression", suppressionCases},
	{"transport", transportCases},
}

// runCase runs one case and drops what it made.
func runCase(ctx context.Context, h Harness, group topic, c testCase, full bool) Result {
	result := Result{Case: group.name + "/" + c.name, Feature: c.feature, Explanation: c.explanation, Status: Pass}
	ctx, cancel := context.WithTimeout(ctx, caseTimeout)
	defer cancel()
	h.DDL = h.DDL.withDefaults()
	p := &probe{ctx: ctx, h: h, full: full}
	start := time.Now()
	ending := p.finish(func(p *probe) { //nolint:contextcheck // the probe holds the context of its case
		if slices.Contains(h.Foreign, group.name) || slices.Contains(h.Foreign, result.Case) {
			p.untested("%s has another grammar than the dialect", h.Server)
		}
		c.run(p)
	})
	switch {
	case len(p.faults) > 0:
		result.Status, result.Detail = Fail, errors.Join(p.faults...).Error()
	case ending != nil:
		result.Status, result.Detail = ending.status, ending.reason
	}
	result.Seconds = time.Since(start).Seconds()
	return result
}

// finish runs the case until it ends or stops itself, then cleans up.
func (p *probe) finish(run func(*probe)) (ending *stop) {
	defer p.cleanUp()
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *stop:
			ending = r
		default:
			p.failf("panic: %v", r)
		}
	}()
	run(p)
	return nil
}

// stop ends a case early. It is panicked with and recovered in finish.
type stop struct {
	status Status
	reason string
}

// Failure is one failed case, as [Check] returns it.
type Failure struct {
	// Case is the case's name with its topic: "outcomes/stale-update".
	Case string
	// Explanation says what the case is about.
	Explanation string
	// Detail says what was found instead.
	Detail string
}

// Error returns the case's name, what was found and what was expected.
func (f *Failure) Error() string {
	return fmt.Sprintf("dialecttest: %s: %s (%s)", f.Case, f.Detail, f.Explanation)
}
