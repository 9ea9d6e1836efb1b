package migrations

import (
	"context"
	"fmt"
	"strconv"

	"github.com/occkit/occkit/dialects"
)

// RevertOptions are the choices of [Migrator.Revert].
type RevertOptions struct {
	// DropColumn drops the column as well. Defaults to false: the guard goes, the
	// versions stay.
	DropColumn bool
	// Force drops it even when rows have moved on from their first version.
	// Defaults to false.
	Force bool
}

// RevertPlan returns what Revert would do.
func (m *Migrator) RevertPlan(ctx context.Context, tables []Table, o RevertOptions) (*Plan, error) {
	plan := &Plan{Schema: 1, Dialect: m.dialect.Name(), Tables: []TablePlan{}}
	err := m.each(ctx, tables, func(conn dialects.Conn, v dialects.VersionTable) error {
		p, err := m.inspect(ctx, conn, v)
		if err != nil {
			return err
		}
		plan.Target = p.Target
		plan.Tables = append(plan.Tables, tablePlan(p, backwardSteps(&p, o)))
		return nil
	})
	if err != nil {
		return nil, err
	}
	plan.sign()
	return plan, nil
}

func backwardSteps(p *dialects.SchemaPlan, o RevertOptions) []dialects.SchemaStep {
	steps := append([]dialects.SchemaStep(nil), p.Unguard...)
	if o.DropColumn {
		steps = append(steps, p.DropColumn...)
	}
	return steps
}

// Revert removes the guard and, when told to, the column. The guard goes first:
// one that names a column which is gone fails every write. It can be cut off and
// repeated like Apply. The history keeps a number above all versions of a dropped
// column, and a later Apply starts there, so that no old version comes back.
//
// Errors: [ErrVersionsInUse], [*RefusedError], [*LockedError], ctx's, and the
// database's.
func (m *Migrator) Revert(ctx context.Context, tables []Table, o RevertOptions) error {
	specs, err := m.revertible(ctx, tables, o)
	if err != nil {
		return err
	}
	for _, v := range specs {
		err := m.with(ctx, func(conn dialects.Conn) error { return m.revert(ctx, conn, v, o) })
		if err != nil {
			return err
		}
		m.tell(Event{Table: v.Name, State: Ready})
	}
	return nil
}

func (m *Migrator) revertible(ctx context.Context, tables []Table, o RevertOptions) ([]dialects.VersionTable, error) {
	var specs []dialects.VersionTable
	err := m.each(ctx, tables, func(conn dialects.Conn, v dialects.VersionTable) error {
		v.Guard = dialects.GuardEnforce // what speaks against a guard does not against its end
		p, err := m.inspect(ctx, conn, v)
		if err != nil {
			return err
		}
		if !p.Exists {
			return refusals(&p)
		}
		if o.DropColumn && !o.Force && p.Used.Text != "" {
			used, err := readFacts(ctx, conn, []dialects.SchemaQuery{p.Used})
			if err != nil {
				return explain(err, v.Name, "drop-column")
			}
			if used.Name("used") == "some" {
				return fmt.Errorf("migrations: %s: %w: rows have moved on from version %d (greatest %s), and clients may hold such versions: force it if not",
					v.Name, ErrVersionsInUse, p.Initial, used.Value("used"))
			}
		}
		specs = append(specs, v)
		return nil
	})
	return specs, err
}

func (m *Migrator) revert(ctx context.Context, conn dialects.Conn, v dialects.VersionTable, o RevertOptions) error {
	ran := map[string]int{}
	for {
		p, err := m.inspect(ctx, conn, v)
		if err != nil {
			return err
		}
		step := firstMissing(backwardSteps(&p, o))
		if step == nil {
			return nil
		}
		if ran[step.ID]++; ran[step.ID] > stuckAfter {
			return fmt.Errorf("migrations: %s: %s ran %d times and the catalog does not show it (%s)", v.Name, step.ID, stuckAfter, step.Observe)
		}
		l := &locker{m: m, conn: conn, p: &p, step: step, backward: true}
		if step.ID == stepDropColumn {
			if l.fill, err = m.keepWater(ctx, conn, l); err != nil {
				return explain(err, v.Name, step.ID)
			}
		}
		var done Applied
		if err := m.runStep(ctx, l, &done); err != nil {
			return err
		}
	}
}

const stepDropColumn = "drop-column"

// What rows may move on by between the reading of the greatest version and the
// drop: reading it with the lock in hand would keep everybody out for as long as
// that takes. No database writes one row a hundred thousand times a second.
const (
	waterMargin    = 1000
	waterPerSecond = 100_000
)

// keepWater returns what notes a number above all versions of the column.
func (m *Migrator) keepWater(ctx context.Context, conn dialects.Conn, l *locker) (func(*Record), error) {
	read := m.o.Now()
	used, err := readFacts(ctx, conn, []dialects.SchemaQuery{l.p.Used})
	if err != nil {
		return nil, err
	}
	greatest, _ := strconv.ParseInt(used.Value("used"), 10, 64) // nothing for tokens
	return func(r *Record) {
		if l.p.Table.Kind == dialects.Counter {
			r.HighWater = max(greatest, l.p.Initial) + waterMargin + int64(m.o.Now().Sub(read).Seconds()*waterPerSecond)
		}
	}, nil
}
