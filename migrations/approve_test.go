package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/migrations"
)

func (r *rig) fingerprint(tables ...migrations.Table) string {
	r.Helper()
	plan, err := r.migrator(nil).Plan(r.Context(), tables)
	require.NoError(r, err)
	return plan.Fingerprint
}

// A plan that was looked at is done, and no other.
func TestApplyPlan(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(2)
		m, tables := r.migrator(nil), []migrations.Table{freshTable}
		old := r.fingerprint(freshTable)
		r.exec("ALTER TABLE accounts ADD COLUMN version INT")
		changed := r.fingerprint(freshTable)
		require.NotEqual(r, old, changed)
		done, err := m.ApplyPlan(r.Context(), tables, old)
		require.ErrorIs(r, err, migrations.ErrPlanChanged)
		require.ErrorContains(r, err, changed)
		require.Empty(r, done)
		require.Equal(r, changed, r.fingerprint(freshTable), "nothing was changed")
		_, err = m.ApplyPlan(r.Context(), tables, changed)
		require.NoError(r, err)
		r.verified(freshTable)
		done, err = m.ApplyPlan(r.Context(), tables, changed)
		require.NoError(r, err, "nothing is left to do")
		require.Empty(r, done[0].Steps)
	})
}

// Nor is a step that comes up later: here because somebody adds the column
// meanwhile, in another way.
func TestApplyPlanEndsBeforeAnotherStep(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(2)
		m := r.migrator(&migrations.Options{Progress: func(e migrations.Event) {
			if e.Step == "history" {
				r.exec("ALTER TABLE accounts ADD COLUMN version INT")
			}
		}})
		done, err := m.ApplyPlan(r.Context(), []migrations.Table{freshTable}, r.fingerprint(freshTable))
		require.ErrorIs(r, err, migrations.ErrPlanChanged)
		require.ErrorContains(r, err, "was not in it")
		require.Equal(r, []string{"history"}, done[0].Steps)
		r.apply(freshTable)
		r.verified(freshTable)
	})
}
