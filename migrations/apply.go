package migrations

import (
	"context"
	"fmt"
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
	return m.applyAll(ctx, tables, firstMissing)
}

// Backfill does what [Migrator.Apply] does, up to the end of the filling of rows
// that have no version. NOT NULL and the guard are left to a later Apply.
func (m *Migrator) Backfill(ctx context.Context, tables []Table) ([]Applied, error) {
	return m.applyAll(ctx, tables, untilFilled)
}

func (m *Migrator) applyAll(ctx context.Context, tables []Table, until func([]dialects.SchemaStep) *dialects.SchemaStep) ([]Applied, error) {
	specs, err := m.accepted(ctx, tables)
	if err != nil {
		return nil, err
	}
	var all []Applied
	for _, v := range specs {
		done := Applied{Table: v.Name}
		err := m.with(ctx, func(conn dialects.Conn) error { return m.apply(ctx, conn, v, until, &done) })
		all = append(all, done)
		if err != nil {
			return all, err
		}
		m.tell(Event{Table: v.Name, State: Ready, Waited: done.Waited, Rows: done.Rows})
	}
	return all, nil
}

// accepted looks at all tables before the first one is changed.
func (m *Migrator) accepted(ctx context.Context, tables []Table) ([]dialects.VersionTable, error) {
	var specs []dialects.VersionTable
	err := m.each(ctx, tables, func(conn dialects.Conn, v dialects.VersionTable) error {
		p, err := m.inspect(ctx, conn, v)
		if err == nil {
			err = refusals(&p)
		}
		specs = append(specs, v)
		return err
	})
	return specs, err
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

func (m *Migrator) apply(ctx context.Context, conn dialects.Conn, v dialects.VersionTable, until func([]dialects.SchemaStep) *dialects.SchemaStep, done *Applied) error {
	ran := map[string]int{}
	for {
		p, err := m.inspect(ctx, conn, v)
		if err != nil {
			return err
		}
		if err := refusals(&p); err != nil {
			return err
		}
		step := until(p.Steps)
		if step == nil {
			return nil
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
