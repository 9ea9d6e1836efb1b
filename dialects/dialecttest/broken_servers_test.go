package dialecttest_test

import (
	"strings"
	"testing"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/postgres"
)

// Defects that show on a server alone.

// plainReread finds out what a write met by a plain read, which under
// REPEATABLE READ shows the snapshot.
type plainReread struct{ mariadb.Dialect }

func (d plainReread) SelectForUpdate(t *dialects.Table) (dialects.Statement, error) {
	return d.Select(t)
}

// unguardedRead lets a unit pass whose read row has another version.
type unguardedRead struct{ mariadb.Dialect }

func (d unguardedRead) GuardRead(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.Dialect.GuardRead(t)
	st.Text = strings.Replace(st.Text, "occkit_n <> 1", "occkit_n > 1", 1)
	return st, err
}

// unguardedWrite lets a unit pass whose write matches no row.
type unguardedWrite struct{ mariadb.Dialect }

func (d unguardedWrite) GuardWrite(_ *dialects.Table, st dialects.Statement) (dialects.Statement, error) {
	st.Returns = nil
	return st, nil
}

var mariadbDefects = []defect{
	{name: "unit with unguarded reads", dialect: unguardedRead{mariadb.New()}, must: "units/write-skew units/gone"},
	{name: "unit with unguarded writes", dialect: unguardedWrite{mariadb.New()}, must: "units/stale units/blind"},
	{
		name: "stale re-read", dialect: plainReread{mariadb.New()},
		must: "joined/snapshot-update joined/snapshot-delete joined/snapshot-retry",
		may:  "joined/snapshot-gone concurrency/deadlock concurrency/hot-row",
	},
	{
		name:   "rows affected ignored",
		breaks: func(h *dialecttest.Harness) { h.Transport = alwaysOneRow(h.Transport) },
		must:   "outcomes/stale-update outcomes/stale-delete outcomes/gone transport/rows-affected",
		may:    "in-place/ outcomes/ versions/ types/ identifiers/ joined/ concurrency/ classification/exec",
	},
}

func TestCheckRejectsBrokenMariaDB(t *testing.T) {
	t.Parallel()
	h := mariadbHarness(t)
	baseline := failures(dialecttest.Check(t.Context(), h))
	for _, d := range mariadbDefects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			requireRejected(t, h, d, baseline)
		})
	}
}

// bareXmin lets a transaction update a row twice at one xmin.
type bareXmin struct{ postgres.Dialect }

func (d bareXmin) Update(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.Dialect.Update(t)
	st.Text, _, _ = strings.Cut(st.Text, ` AND "xmin" IS DISTINCT FROM`)
	if t.Columns[t.VersionColumn()].Version == dialects.Xmin {
		st.Text += ` RETURNING "xmin"::text::bigint`
	}
	return st, err
}

// blind overlooks triggers.
type blind struct{ postgres.Dialect }

func (blind) TriggerCheck(*dialects.Table) (string, []any, error) { return "SELECT false", nil, nil }

// misjudgePostgres classifies some errors as another class.
type misjudgePostgres struct {
	postgres.Dialect
	classes map[dialects.Class]dialects.Class
}

func (d misjudgePostgres) Classify(err error) dialects.Class {
	return misjudging{d.Dialect, d.classes}.Classify(err)
}

var postgresDefects = []defect{
	{
		name: "xmin without a guard", dialect: bareXmin{postgres.New()},
		must: "versions/xmin-transaction",
	},
	{
		name: "triggers overlooked", dialect: blind{postgres.New()},
		must: "suppression/bump suppression/bump-many",
	},
	{
		name: "retryable error called fatal", dialect: misjudgePostgres{postgres.New(), map[dialects.Class]dialects.Class{dialects.Conflict: dialects.Rejected}},
		must: "concurrency/deadlock joined/snapshot-update joined/snapshot-retry classification/transient classification/joined-transient",
		may:  "joined/snapshot-delete joined/snapshot-gone classification/unknown",
	},
	{
		name: "overflow called fatal", dialect: misjudgePostgres{postgres.New(), map[dialects.Class]dialects.Class{dialects.Overflow: dialects.Rejected}},
		must: "versions/column-overflow",
		may:  "in-place/overflow in-place/narrow in-place/version-full",
	},
}

func TestCheckRejectsBrokenPostgres(t *testing.T) {
	t.Parallel()
	h := pgxHarness(t, dbtest.Postgres(t))
	baseline := failures(dialecttest.Check(t.Context(), h))
	for _, d := range postgresDefects {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			requireRejected(t, h, d, baseline)
		})
	}
}
