package migrations

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/occkit/occkit/dialects"
)

// Report is what [Migrator.Verify] found.
type Report struct {
	Table string `json:"table"`
	// Findings are what is wrong. Empty: the table is what it is to be.
	Findings []dialects.SchemaFinding `json:"findings"`
	// Probed says that the guard was tried on a row; Why says why not.
	Probed bool   `json:"probed"`
	Why    string `json:"why,omitempty"`
}

// VerifyOptions are the choices of [Migrator.Verify]. The zero value works.
type VerifyOptions struct {
	// NoProbe leaves out the writes that try the guard, for users who may only
	// read. Defaults to false.
	NoProbe bool
}

// Verify checks that tables are what they are to be: that every step of the plan
// is done, that nothing spoils it, and, by writing to one row in a transaction
// that is rolled back, that the guard works. The probe locks that row for a
// moment, and fires the table's other triggers.
func (m *Migrator) Verify(ctx context.Context, tables []Table, o VerifyOptions) ([]Report, error) {
	var reports []Report
	err := m.each(ctx, tables, func(conn dialects.Conn, v dialects.VersionTable) error {
		p, err := m.inspect(ctx, conn, v)
		if err != nil {
			return err
		}
		r := Report{Table: v.Name, Findings: []dialects.SchemaFinding{}}
		for _, f := range p.Findings {
			if f.Refuse && !f.Applying || f.Drift {
				r.Findings = append(r.Findings, f)
			}
		}
		for _, s := range p.Steps {
			if !s.Done && s.ID != stepHistory {
				r.Findings = append(r.Findings, dialects.SchemaFinding{
					Drift: true, Code: "missing-" + s.ID, Text: fmt.Sprintf("step %s is not done: it should be that %s%s", s.ID, s.Observe, guardText(&p, s.ID)),
					Remedy: "occmigrate apply",
				})
			}
		}
		if r.Why = "it was not asked for"; !o.NoProbe {
			r.Why = ""
			err = m.probe(ctx, conn, &p, &r)
		}
		reports = append(reports, r)
		return err
	})
	return reports, err
}

func guardText(p *dialects.SchemaPlan, id string) string {
	if p.Guard == dialects.GuardMissing || p.Guard == dialects.GuardOK || (id != "trigger" && id != "function") {
		return ""
	}
	return "; the one that is there is " + string(p.Guard)
}

// unfinished tells whether a step is missing that the table itself needs.
func unfinished(p *dialects.SchemaPlan) bool {
	return slices.ContainsFunc(p.Steps, func(s dialects.SchemaStep) bool { return !s.Done && s.ID != stepHistory })
}

// probe tries the guard out on one row.
func (m *Migrator) probe(ctx context.Context, conn dialects.Conn, p *dialects.SchemaPlan, r *Report) error {
	switch {
	case p.Column == nil || p.Column.Nullable && unfinished(p) || len(p.Key) == 0:
		r.Why = "the column is not ready"
		return nil
	case p.Table.Guard == dialects.GuardNone:
		r.Why = "there is to be no guard"
		return nil
	}
	sql, err := m.changer.SchemaProbe(p)
	if err != nil {
		return err
	}
	pr := probe{m: m, conn: conn, p: p, r: r, sql: sql}
	if err := pr.run(ctx); err != nil {
		return fmt.Errorf("migrations: %s: cannot try the guard: %w", p.Table.Name, err)
	}
	return nil
}

type probe struct {
	m    *Migrator
	conn dialects.Conn
	p    *dialects.SchemaPlan
	r    *Report
	sql  dialects.SchemaProbe
	key  []any
}

func (pr *probe) run(ctx context.Context) (err error) {
	if err := pr.pick(ctx); err != nil {
		return err
	}
	if pr.key == nil {
		pr.r.Why = "the table has no rows"
		return nil
	}
	// Each in a transaction of its own: an error ends one on PostgreSQL.
	if err := pr.try(ctx, pr.sql.Touch, pr.touched); err != nil {
		return err
	}
	if err := pr.try(ctx, pr.sql.Jump, jumped); err != nil {
		return err
	}
	if pr.sql.Regress != "" {
		if err := pr.try(ctx, pr.sql.Regress, regressed); err != nil {
			return err
		}
	}
	pr.r.Probed = true
	return nil
}

// touched, jumped and regressed judge a write; no text means that all is right.
func (pr *probe) touched(before, after string, refused error) string {
	enforce := pr.p.Table.Guard == dialects.GuardEnforce
	switch {
	case enforce && refused != nil:
		return "a write that leaves the version alone was refused: " + refused.Error()
	case enforce && !moved(before, after, 1):
		return fmt.Sprintf("a write that left the version alone moved it from %s to %s", before, after)
	case !enforce && refused == nil:
		return "a write that leaves the version alone was not refused"
	}
	return ""
}

func jumped(before, after string, refused error) string {
	switch {
	case refused != nil:
		return "a write that moves the version up was refused: " + refused.Error()
	case !moved(before, after, 7):
		return fmt.Sprintf("a write that moves the version by 7 moved it from %s to %s", before, after)
	}
	return ""
}

func regressed(_, _ string, refused error) string {
	if refused == nil {
		return "a write that moves the version back was not refused"
	}
	return ""
}

// moved tells whether a counter moved by n, or a token changed.
func moved(before, after string, n int64) bool {
	from, err := strconv.ParseInt(before, 10, 64)
	to, err2 := strconv.ParseInt(after, 10, 64)
	if err != nil || err2 != nil {
		return before != after
	}
	return to == from+n
}

func (pr *probe) pick(ctx context.Context) error {
	return query(ctx, pr.conn, dialects.SchemaQuery{Text: pr.sql.Pick}, func(r dialects.Rows) error {
		pr.key = make([]any, len(pr.p.Key))
		dest := make([]any, len(pr.key))
		for i := range dest {
			dest[i] = &pr.key[i]
		}
		return r.Scan(dest...)
	})
}

// try runs one write in a transaction, judges it, and rolls it back.
func (pr *probe) try(ctx context.Context, statement string, judge func(before, after string, refused error) string) (err error) {
	if err := pr.conn.Begin(ctx, pr.sql.Begin); err != nil {
		return err
	}
	defer func() {
		if rollbackErr := pr.conn.Rollback(context.WithoutCancel(ctx)); rollbackErr != nil {
			err = errors.Join(err, fmt.Errorf("%w: %w", errDirty, rollbackErr))
		}
	}()
	before, err := text(ctx, pr.conn, pr.sql.Read, pr.key...)
	if err != nil {
		return err
	}
	_, refused := pr.conn.Exec(ctx, statement, pr.key)
	after := ""
	if refused != nil && pr.m.dialect.Classify(refused) != dialects.Rejected {
		return refused // not the guard: a lock, the network
	}
	if refused == nil {
		if after, err = text(ctx, pr.conn, pr.sql.Read, pr.key...); err != nil {
			return err
		}
	}
	if wrong := judge(before, after, refused); wrong != "" {
		pr.r.Findings = append(pr.r.Findings, dialects.SchemaFinding{Drift: true, Code: "probe", Text: wrong, Remedy: "occmigrate apply"})
	}
	return nil
}
