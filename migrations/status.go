package migrations

import (
	"context"
	"errors"
	"fmt"
	"strconv"

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
	// Backfill is how far one is that is under way, or to be done; nil when there
	// is none.
	Backfill *Progress `json:"backfill,omitempty"`
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

// Progress is how far a backfill is. On PostgreSQL tables of more than 2,000 pages
// are estimated from as many; MariaDB and MySQL count for two seconds at most.
type Progress struct {
	// Rows is how many rows there are, Left how many of them have no version.
	Rows int64 `json:"rows"`
	Left int64 `json:"left"`
	// Percent is the share of the rows that have one.
	Percent float64 `json:"percent"`
	// Estimate says that the numbers come from a sample.
	Estimate bool `json:"estimate"`
	// Why says why the numbers are not known; they are zero then.
	Why string `json:"why,omitempty"`
}

// progress asks how far a backfill is.
func (m *Migrator) progress(ctx context.Context, q dialects.Querier, p *dialects.SchemaPlan) *Progress {
	if !filling(p) || p.Filled.Text == "" {
		return nil
	}
	found, err := readFacts(ctx, q, []dialects.SchemaQuery{p.Filled})
	if err == nil && len(found) != 1 {
		err = fmt.Errorf("the database answered with %d rows", len(found))
	}
	if err != nil {
		return &Progress{Why: err.Error()}
	}
	rows, err := strconv.ParseInt(found[0].Name, 10, 64)
	filled, err2 := strconv.ParseInt(found[0].Value, 10, 64)
	if err = errors.Join(err, err2); err != nil {
		return &Progress{Why: err.Error()}
	}
	how := &Progress{Rows: rows, Left: rows - filled, Percent: 100, Estimate: found[0].Kind == "about"}
	if rows > 0 {
		how.Percent = 100 * float64(filled) / float64(rows)
	}
	return how
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
			s.Backfill = m.progress(ctx, conn, &p)
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
