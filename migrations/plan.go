package migrations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"github.com/occkit/occkit/dialects"
)

// Plan is what there is to do, as data. It is what --json prints.
type Plan struct {
	// Schema is the version of this form.
	Schema int `json:"schema"`
	// Dialect and Target name the database; no password is in it.
	Dialect string `json:"dialect"`
	Target  string `json:"target"`
	// Tables are in the order in which they were asked for.
	Tables []TablePlan `json:"tables"`
	// Fingerprint is equal for plans that do the same to tables in the same state:
	// [Migrator.ApplyPlan] takes it.
	Fingerprint string `json:"fingerprint"`
}

// TablePlan is the plan of one table.
type TablePlan struct {
	Table  string `json:"table"`
	Schema string `json:"schema,omitempty"`
	// Column is the version column as the catalog has it; nil where there is none.
	Column *dialects.SchemaColumn `json:"column"`
	// Name and Initial are the column's name, and what a row without a version is
	// at.
	Name    string `json:"name"`
	Initial int64  `json:"initial"`
	Guard   string `json:"guard"`
	// Rows is about how many there are; -1 when unknown.
	Rows int64 `json:"rows"`
	// Steps are those that are still to be done, in order.
	Steps    []Step                   `json:"steps"`
	Findings []dialects.SchemaFinding `json:"findings,omitempty"`

	plan dialects.SchemaPlan
}

// Step is one change.
type Step struct {
	ID  string   `json:"id"`
	SQL []string `json:"sql"`
	// Lock is what the step locks, Keeps who is kept out by it: nobody, writers,
	// or readers and writers.
	Lock  string `json:"lock"`
	Keeps string `json:"keeps_out"`
	// Work is instant, scan, rewrite or chunks.
	Work dialects.SchemaWork `json:"work"`
	// Observe is how the catalog shows that it is done.
	Observe string   `json:"observe"`
	Undo    []string `json:"undo,omitempty"`
}

// Verdict is what a plan comes to.
type Verdict int

// Nothing is to be done; something is; a table was refused.
const (
	Nothing Verdict = iota
	Changes
	Refused
)

// Verdict returns what the plan comes to.
func (p *Plan) Verdict() Verdict {
	verdict := Nothing
	for i := range p.Tables {
		if refusals(&p.Tables[i].plan) != nil {
			return Refused
		}
		if len(p.Tables[i].Steps) > 0 {
			verdict = Changes
		}
	}
	return verdict
}

// Plan looks at the tables and returns what Apply would do. It changes nothing,
// and takes no lock that a writer could wait for. A table that does not fit is
// no error: its findings say so.
func (m *Migrator) Plan(ctx context.Context, tables []Table) (*Plan, error) {
	plan := &Plan{Schema: 1, Dialect: m.dialect.Name(), Tables: []TablePlan{}}
	err := m.each(ctx, tables, func(conn dialects.Conn, v dialects.VersionTable) error {
		p, err := m.inspect(ctx, conn, v)
		if err != nil {
			return err
		}
		plan.Target = p.Target
		plan.Tables = append(plan.Tables, tablePlan(p, p.Steps))
		return nil
	})
	if err != nil {
		return nil, err
	}
	plan.sign()
	return plan, nil
}

func tablePlan(p dialects.SchemaPlan, steps []dialects.SchemaStep) TablePlan {
	t := TablePlan{
		Table: p.Table.Name, Schema: p.Table.Schema, Name: p.Table.Column, Column: p.Column, Initial: p.Initial,
		Guard: p.Table.Guard.String(), Rows: p.Rows, Steps: []Step{}, Findings: p.Findings, plan: p,
	}
	for _, s := range steps {
		if !s.Done {
			t.Steps = append(t.Steps, stepOf(s))
		}
	}
	return t
}

func stepOf(s dialects.SchemaStep) Step {
	keeps := [...]string{"nobody", "nobody but other schema changes", "writers", "readers and writers"}[s.Lock]
	if s.Work == dialects.WorkOnline {
		keeps += " for a moment, at the beginning and at the end"
	}
	return Step{ID: s.ID, SQL: s.SQL, Lock: s.LockName, Keeps: keeps, Work: s.Work, Observe: s.Observe, Undo: s.Undo}
}

// sign computes the fingerprint from what is done, not from when or where.
func (p *Plan) sign() {
	type signed struct {
		Table, Schema string
		Steps         []Step
	}
	var all []signed
	for _, t := range p.Tables {
		all = append(all, signed{t.Table, t.Schema, t.Steps})
	}
	text, _ := json.Marshal(all) // strings and lists of them always can be
	sum := sha256.Sum256(text)
	p.Fingerprint = hex.EncodeToString(sum[:8])
}
