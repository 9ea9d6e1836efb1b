package migrations

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/occkit/occkit/dialects"
)

// Applied is what [Migrator.Apply] did to one table.
type Applied struct {
	Table string `json:"table"`
	// Steps are those that this migrator did; others may have done more.
	Steps []string `json:"steps"`
	// Waited is how long it waited for locks.
	Waited time.Duration `json:"waited_ns"`
	// Rows were filled by a backfill.
	Rows int64 `json:"rows"`
}

// Apply brings every table to what it is to be, one after the other and one step
// per transaction. Nothing is changed when any of them is refused
// ([*RefusedError]). After an error, or the end of ctx, or of the process, all
// that was done stays, and the next call goes on from there; several at once
// share the work. It is over for a table when the catalog shows every step.
//
// Errors: [*RefusedError], [*LockedError], ctx's, and the database's.
func (m *Migrator) Apply(ctx context.Context, tables []Table) ([]Applied, error) {
	return m.applyAll(ctx, tables, &order{until: firstMissing})
}

// ApplyPlan is [Migrator.Apply] for a plan that somebody has looked at, named by
// its [Plan.Fingerprint]; an empty one stands for any. Nothing is changed when the
// plan is another one by now, unless there is nothing left to do; and it ends before
// a step that comes up and was not in it.
//
// Errors: [ErrPlanChanged], and those of Apply.
func (m *Migrator) ApplyPlan(ctx context.Context, tables []Table, fingerprint string) ([]Applied, error) {
	return m.applyAll(ctx, tables, &order{until: firstMissing, fingerprint: fingerprint})
}

// Backfill does what [Migrator.Apply] does, up to the end of the filling of rows
// that have no version. NOT NULL and the guard are left to a later Apply.
func (m *Migrator) Backfill(ctx context.Context, tables []Table) ([]Applied, error) {
	return m.applyAll(ctx, tables, &order{until: untilFilled})
}

// order is what an apply is to do.
type order struct {
	// until returns the next step, or nil at the end.
	until func([]dialects.SchemaStep) *dialects.SchemaStep
	// fingerprint is that of the plan that it must be; empty: any.
	fingerprint string
	approved    map[string]bool // the statements of that plan
}

// approve compares the plan with the one that was asked for.
func (o *order) approve(plan *Plan) error {
	if o.fingerprint == "" || plan.Verdict() == Nothing {
		return nil
	}
	if plan.sign(); plan.Fingerprint != o.fingerprint {
		return fmt.Errorf("migrations: %w: it was to be %s and is %s now, nothing was changed: look at it again", ErrPlanChanged, o.fingerprint, plan.Fingerprint)
	}
	o.approved = map[string]bool{}
	for _, t := range plan.Tables {
		for _, s := range t.Steps {
			o.approved[statements(s.SQL)] = true
		}
	}
	return nil
}

func statements(sql []string) string { return strings.Join(sql, ";\n") }

// allow tells whether a step was in the plan.
func (o *order) allow(table string, s *dialects.SchemaStep) error {
	if o.fingerprint == "" || o.approved[statements(s.SQL)] {
		return nil
	}
	return fmt.Errorf("migrations: %s: %w: step %s was not in it: look at it again", table, ErrPlanChanged, s.ID)
}

func (m *Migrator) applyAll(ctx context.Context, tables []Table, o *order) ([]Applied, error) {
	specs, plan, err := m.accepted(ctx, tables)
	if err == nil {
		err = o.approve(plan)
	}
	if err != nil {
		return nil, err
	}
	var all []Applied
	for _, v := range specs {
		done := Applied{Table: v.Name}
		err := m.with(ctx, func(conn dialects.Conn) error { return m.apply(ctx, conn, v, o, &done) })
		all = append(all, done)
		if err != nil {
			return all, err
		}
		m.tell(Event{Table: v.Name, State: Ready, Waited: done.Waited, Rows: done.Rows})
	}
	return all, nil
}

// accepted looks at all tables before the first one is changed.
func (m *Migrator) accepted(ctx context.Context, tables []Table) (specs []dialects.VersionTable, plan *Plan, err error) {
	plan = &Plan{}
	err = m.each(ctx, tables, func(conn dialects.Conn, v dialects.VersionTable) error {
		p, err := m.inspect(ctx, conn, v)
		if err == nil {
			err = refusals(&p)
		}
		if err == nil {
			err = m.boundable(ctx, conn, &p)
		}
		specs, plan.Tables = append(specs, v), append(plan.Tables, tablePlan(p, p.Steps))
		return err
	})
	return specs, plan, err
}

// each runs f for every table, on one connection.
func (m *Migrator) each(ctx context.Context, tables []Table, f func(dialects.Conn, dialects.VersionTable) error) error {
	return m.with(ctx, func(conn dialects.Conn) error {
		for _, t := range tables {
			v, err := m.spec(t)
			if err != nil {
				return err
			}
			if err := f(conn, v); err != nil {
				return err
			}
		}
		return nil
	})
}

// stuckAfter is how often a step may turn out not to be visible after it ran.
const stuckAfter = 3

func (m *Migrator) apply(ctx context.Context, conn dialects.Conn, v dialects.VersionTable, o *order, done *Applied) error {
	ran := map[string]int{}
	for {
		p, err := m.inspect(ctx, conn, v)
		if err != nil {
			return err
		}
		if err := refusals(&p); err != nil {
			return err
		}
		step := o.until(p.Steps)
		if step == nil {
			return nil
		}
		if err := o.allow(v.Name, step); err != nil {
			return err
		}
		if ran[step.ID]++; ran[step.ID] > stuckAfter {
			return fmt.Errorf("migrations: %s: %s ran %d times and the catalog does not show it (%s): does something take it back?",
				v.Name, step.ID, stuckAfter, step.Observe)
		}
		if step.Work == dialects.WorkChunks {
			err = m.backfill(ctx, conn, &p, step, done)
		} else {
			err = m.runStep(ctx, &locker{m: m, conn: conn, p: &p, step: step}, done)
		}
		if err != nil {
			return err
		}
	}
}

// runStep does one step under its lock, and tells.
func (m *Migrator) runStep(ctx context.Context, l *locker, done *Applied) error {
	state, err := l.run(ctx)
	done.Waited += l.waited() - l.took
	if err != nil {
		return explain(err, l.p.Table.Name, l.step.ID)
	}
	if state == Done {
		done.Steps = append(done.Steps, l.step.ID)
	}
	m.tell(Event{
		Table: l.p.Table.Name, Step: l.step.ID, State: state, Attempt: l.attempts, Waited: max(l.waited()-l.took, 0), Took: l.took,
	})
	return nil
}

// untilFilled leaves out what comes after the backfill.
func untilFilled(steps []dialects.SchemaStep) *dialects.SchemaStep {
	for i := len(steps) - 1; i >= 0; i-- {
		if steps[i].Work == dialects.WorkChunks {
			return firstMissing(steps[:i+1])
		}
	}
	return nil
}
