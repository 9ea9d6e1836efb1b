package dialecttest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest"
)

// defect is one thing that is wrong with a dialect or a transport, and the
// cases that find it.
type defect struct {
	name    string
	dialect dialects.Dialect             // nil: a sound one
	breaks  func(h *dialecttest.Harness) // nil: nothing
	must    string                       // cases that must fail
	may     string                       // cases, or topics with a slash, that may fail as well
}

var defects = []defect{
	{
		name: "version predicate missing", dialect: blindUpdate{newSound()},
		must: "outcomes/stale-update outcomes/stale-patch outcomes/stale-touch outcomes/future-version versions/stale-zero",
		may:  "in-place/ outcomes/mutate-again versions/ types/composite-key types/uuid-key types/key-types identifiers/table-names identifiers/column-names joined/conflict joined/own-writes concurrency/race concurrency/race-delete concurrency/hot-row suppression/bump suppression/bump-read-back",
	},
	{
		name: "delete without version predicate", dialect: blindDelete{newSound()},
		must: "outcomes/stale-delete outcomes/future-version versions/stale-zero",
		may:  "versions/ joined/conflict concurrency/race-delete",
	},
	{
		name: "version not bumped", dialect: step{newSound(), ""},
		must: "outcomes/update outcomes/same-values outcomes/patch outcomes/touch outcomes/mutate joined/commit concurrency/hot-row",
		may:  "outcomes/overwrite outcomes/mutate-again versions/ types/ identifiers/ joined/ concurrency/ ambiguity/ suppression/",
	},
	{
		name: "version bumped by two", dialect: step{newSound(), " + 2"},
		must: "outcomes/update outcomes/same-values outcomes/patch outcomes/touch outcomes/mutate joined/commit concurrency/hot-row",
		may:  "outcomes/overwrite outcomes/mutate-again versions/ types/ identifiers/ joined/ concurrency/ ambiguity/ suppression/",
	},
	{
		name: "version not moved in place", dialect: still{newSound()},
		must: "in-place/add in-place/add-hot in-place/max in-place/set-if in-place/stale-afterwards in-place/joined",
		may:  "in-place/",
	},
	{
		name: "conditions in place ignored", dialect: unconditional{newSound()},
		must: "in-place/unmet in-place/set-if in-place/drain",
		may:  "in-place/",
	},
	{
		name: "sum in place turns into a float", dialect: newWrapping(),
		must: "in-place/overflow",
	},
	{
		name: "token not renewed", dialect: sameToken{newSound()},
		must: "versions/token-string versions/token-uuid versions/timestamp",
		may:  "outcomes/mutate-again concurrency/hot-row", // combined writes bring their version along, as tokens do
	},
	{
		name: "rows affected ignored, with RETURNING", dialect: newReturning(),
		breaks: func(h *dialecttest.Harness) { h.Transport = alwaysOneRow(h.Transport) },
		must:   "outcomes/stale-delete outcomes/gone suppression/delete transport/rows-affected",
		may:    "outcomes/future-version versions/ joined/conflict joined/gone concurrency/race-delete classification/exec suppression/insert suppression/joined",
	},
	{
		name:   "rows affected ignored",
		breaks: func(h *dialecttest.Harness) { h.Transport = alwaysOneRow(h.Transport) },
		must:   "outcomes/stale-update outcomes/stale-delete outcomes/gone suppression/update transport/rows-affected",
		may:    "in-place/ outcomes/ versions/ types/composite-key types/uuid-key types/key-types identifiers/table-names identifiers/column-names joined/ concurrency/ classification/exec suppression/",
	},
	{
		name: "quoting off", dialect: requoted{newSound(), noQuotes},
		must: "identifiers/table-names identifiers/column-names",
	},
	{
		name: "quotes not doubled", dialect: requoted{newSound(), noDoubling},
		must: "identifiers/table-names identifiers/column-names",
	},
	{
		name: "retryable error called fatal", dialect: misjudge{newSound(), map[dialects.Class]dialects.Class{dialects.Busy: dialects.Rejected}},
		must: "concurrency/lock-wait concurrency/joined-lock-wait",
	},
	{
		name: "fatal error called retryable", dialect: misjudge{newSound(), map[dialects.Class]dialects.Class{dialects.Rejected: dialects.Busy}},
		must: "classification/not-null classification/missing-table classification/missing-column classification/syntax finding/bad-tail",
	},
	{
		name: "zero version drops the check", dialect: zeroUnchecked{newSound()},
		must: "versions/stale-zero",
	},
	{
		name: "stale re-read", breaks: func(h *dialecttest.Harness) { h.Transport = caching(h.Transport) },
		must: "concurrency/race joined/mutate-twice joined/snapshot-retry",
		may:  "in-place/ versions/ joined/own-writes ambiguity/ suppression/bump-read-back concurrency/hot-row units/stale",
	},
	{
		name: "duplicate called conflict", dialect: misjudge{newSound(), map[dialects.Class]dialects.Class{dialects.Duplicate: dialects.Conflict}},
		must: "outcomes/duplicate classification/unique classification/wrapped joined/poison",
		may:  "concurrency/insert-race",
	},
	{
		name: "lost reply called definite", dialect: misjudge{newSound(), map[dialects.Class]dialects.Class{dialects.Lost: dialects.Rejected}},
		must: "ambiguity/update ambiguity/delete ambiguity/insert ambiguity/mutate ambiguity/commit",
		may:  "in-place/lost-reply classification/unknown ambiguity/in-transaction ambiguity/read classification/canceled-waiting",
	},
	{
		name: "lost reply called retryable", dialect: misjudge{newSound(), map[dialects.Class]dialects.Class{dialects.Lost: dialects.Conflict}},
		must: "ambiguity/update ambiguity/delete ambiguity/insert ambiguity/mutate ambiguity/commit",
		may:  "in-place/lost-reply classification/unknown ambiguity/in-transaction ambiguity/read classification/canceled-waiting",
	},
	{
		name: "unknown error called retryable", dialect: misjudge{newSound(), map[dialects.Class]dialects.Class{dialects.Unknown: dialects.Conflict}},
		must: "classification/unknown",
	},
	{
		name: "RETURNING a wrong version", dialect: wrongReturning{newReturning()},
		must: "outcomes/update outcomes/patch outcomes/touch outcomes/mutate concurrency/hot-row",
		may:  "outcomes/same-values outcomes/overwrite outcomes/mutate-again versions/ types/ identifiers/ joined/ concurrency/ suppression/",
	},
	{
		name: "statement sent twice", breaks: func(h *dialecttest.Harness) { h.Transport = sendingTwice(h.Transport) },
		must: "outcomes/update outcomes/delete",
		may:  "in-place/ outcomes/ versions/ types/ identifiers/ joined/ finding/ concurrency/ classification/ ambiguity/ suppression/ transport/",
	},
	{
		name: "COMMIT that rolls back", breaks: func(h *dialecttest.Harness) { h.Transport = notCommitting(h.Transport) },
		must: "outcomes/overwrite transport/commit transport/failed-commit suppression/bump-read-back",
		may:  "types/ concurrency/ ambiguity/commit ambiguity/in-transaction suppression/ outcomes/mutate-again",
	},
	{
		name: "several keys, one forgotten", dialect: forgetful{newSound()},
		must: "finding/get-many types/composite-key",
		may:  "types/ identifiers/ joined/own-writes",
	},
}

func TestCheckRejectsBrokenDialects(t *testing.T) {
	t.Parallel()
	baseline := failures(dialecttest.Check(t.Context(), sqliteHarness(t)))
	for _, d := range defects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			requireRejected(t, sqliteHarness(t), d, baseline)
		})
	}
}

// requireRejected fails the test unless the cases that must fail do, and no
// case but these and those that may. The baseline is what fails without the
// defect: other tests are about that.
func requireRejected(t *testing.T, h dialecttest.Harness, d defect, baseline []string) {
	t.Helper()
	if d.dialect != nil {
		h.Dialect = d.dialect
	}
	if d.breaks != nil {
		d.breaks(&h)
	}
	failed := failures(dialecttest.Check(t.Context(), h))
	require.Subset(t, failed, strings.Fields(d.must), "Check accepts the defect: %s", d.name)
	// Units of work and bulk writes stand on everything else, and may fall with it.
	allowed := slices.Concat(strings.Fields(d.must), strings.Fields(d.may), []string{"units/", "bulk/"}, baseline)
	for _, name := range failed {
		topic, _, _ := strings.Cut(name, "/")
		require.True(t, slices.Contains(allowed, name) || slices.Contains(allowed, topic+"/"),
			"%s fails, which the defect does not explain; failed are %q", name, failed)
	}
}

// failures returns the names of the cases that failed.
func failures(err error) []string {
	var names []string
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		for _, one := range joined.Unwrap() {
			var failure *dialecttest.Failure
			if errors.As(one, &failure) {
				names = append(names, failure.Case)
			}
		}
	}
	return names
}

func TestCheckAcceptsSoundDialects(t *testing.T) {
	t.Parallel()
	h := sqliteHarness(t)
	none := newSound()
	none.Syntax.UpdateReturning = false
	for _, d := range []sound{newSound(), newReturning(), none} {
		h.Dialect = d
		require.NoError(t, dialecttest.Check(t.Context(), h))
	}
}

func TestHarnessIsValidated(t *testing.T) {
	t.Parallel()
	whole := sqliteHarness(t)
	for want, spoil := range map[string]func(h *dialecttest.Harness){
		"Name": func(h *dialecttest.Harness) { h.Name = "" }, "Dialect": func(h *dialecttest.Harness) { h.Dialect = nil },
		"Transport": func(h *dialecttest.Harness) { h.Transport = nil }, "Exec": func(h *dialecttest.Harness) { h.Exec = nil },
	} {
		h := whole
		spoil(&h)
		require.ErrorContains(t, dialecttest.Check(t.Context(), h), "Harness."+want)
	}
}
