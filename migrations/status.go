package migrations

import (
	"context"

	"github.com/occkit/occkit/dialects"
)

// Status is what [Migrator.Status] found about a table.
type Status struct {
	Table  string                 `json:"table"`
	Schema string                 `json:"schema,omitempty"`
	Target string                 `json:"target"`
	Exists bool                   `json:"exists"`
	Name   string                 `json:"name"`
	Column *dialects.SchemaColumn `json:"column"`
	// Initial is what a row without a version is at.
	Initial int64 `json:"initial"`
	// Guard is the state of the guard, Mode which one it is.
	Guard dialects.GuardState `json:"guard"`
	Mode  string              `json:"mode"`
	Rows  int64               `json:"rows"`
	// Missing are the steps that apply would do.
	Missing  []string                 `json:"missing"`
	Findings []dialects.SchemaFinding `json:"findings,omitempty"`
	// Open are the sessions that would keep a lock from being granted now, Why
	// says why they cannot be seen.
	Open []dialects.SchemaBlocker `json:"open,omitempty"`
	Why  string                   `json:"why,omitempty"`
	// History are the last things that were done, the latest first.
	History []Record `json:"history,omitempty"`
}

const shownHistory = 3

// Status tells the state of tables. It changes nothing.
func (m *Migrator) Status(ctx context.Context, tables []Table) ([]Status, error) {
	var all []Status
	err := m.each(ctx, tables, func(conn dialects.Conn, v dialects.VersionTable) error {
		p, err := m.inspect(ctx, conn, v)
		if err != nil {
			return err
		}
		s := Status{
			Table: p.Table.Name, Schema: p.Table.Schema, Target: p.Target, Exists: p.Exists, Name: p.Table.Column, Column: p.Column,
			Initial: p.Initial, Guard: p.Guard, Mode: p.GuardMode.String(), Rows: p.Rows, Missing: []string{}, Findings: p.Findings,
		}
		for _, step := range p.Steps {
			if !step.Done {
				s.Missing = append(s.Missing, step.ID)
			}
		}
		if p.Exists {
			if s.Open, err = m.blockers(ctx, conn, &p); err != nil {
				s.Why = err.Error()
			}
			if s.History, err = m.records(ctx, conn, &p); err != nil {
				return explain(err, v.Name, "history")
			}
			s.History = s.History[:min(len(s.History), shownHistory)]
		}
		all = append(all, s)
		return nil
	})
	return all, err
}
