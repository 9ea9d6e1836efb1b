package migrations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"github.com/occkit/occkit/dialects"
)

// historyTable records what was done, for people. Nothing but the first version
// of a column that was dropped and is added again depends on it.
var historyTable = &dialects.OwnTable{Name: "occkit_migrations", Key: "id", Columns: []dialects.OwnColumn{
	{Name: "id", Size: 36},
	{Name: "table_name", Size: 200},
	{Name: "column_name", Size: 200},
	{Name: "step", Size: 60},
	{Name: "status", Size: 20},
	{Name: "sql_text", Size: -1},
	{Name: "checksum", Size: 64},
	{Name: "server_version", Size: 200},
	{Name: "actor", Size: 200},
	{Name: "attempts"},
	{Name: "waited_ms"},
	{Name: "duration_ms"},
	{Name: "high_water"},
	{Name: "done_at", Size: 40},
}}

// Record is one row of the history.
type Record struct {
	ID         string `json:"id"`
	Table      string `json:"table"`
	Column     string `json:"column"`
	Step       string `json:"step"`
	Status     string `json:"status"` // started, where DDL commits by itself, and done
	SQL        string `json:"sql"`
	Checksum   string `json:"checksum"` // SHA-256 of the SQL
	Server     string `json:"server"`
	Actor      string `json:"actor"`
	Attempts   int64  `json:"attempts"`
	WaitedMS   int64  `json:"waited_ms"`
	DurationMS int64  `json:"duration_ms"`
	HighWater  int64  `json:"high_water,omitempty"` // above all versions of a column that was dropped
	At         string `json:"at"`
}

func (r *Record) fields() []any {
	return []any{
		&r.ID, &r.Table, &r.Column, &r.Step, &r.Status, &r.SQL, &r.Checksum, &r.Server, &r.Actor,
		&r.Attempts, &r.WaitedMS, &r.DurationMS, &r.HighWater, &r.At,
	}
}

func (r *Record) values() []any {
	return []any{
		r.ID, r.Table, r.Column, r.Step, r.Status, r.SQL, r.Checksum, r.Server, r.Actor,
		r.Attempts, r.WaitedMS, r.DurationMS, r.HighWater, r.At,
	}
}

// record writes a row of the history, if there is one.
func (m *Migrator) record(ctx context.Context, q dialects.Querier, p *dialects.SchemaPlan, step *dialects.SchemaStep, status string, fill func(*Record)) error {
	if p.Table.History == "" || step.ID == stepHistory || !p.History {
		return nil
	}
	own, err := m.changer.SchemaOwn(p.Table.Schema, historyTable)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return err
	}
	sql := statements(step.SQL)
	sum := sha256.Sum256([]byte(sql))
	r := Record{
		ID: id.String(), Table: p.Table.Name, Column: p.Table.Column, Step: step.ID, Status: status, SQL: sql,
		Checksum: hex.EncodeToString(sum[:]), Server: p.Server, Actor: m.o.Actor, At: m.o.Now().UTC().Format(time.RFC3339Nano),
	}
	fill(&r)
	_, err = q.Exec(ctx, own.Insert, r.values())
	return err
}

// records reads the rows of a column, the latest first.
func (m *Migrator) records(ctx context.Context, q dialects.Querier, p *dialects.SchemaPlan) ([]Record, error) {
	if !p.History {
		return nil, nil
	}
	own, err := m.changer.SchemaOwn(p.Table.Schema, historyTable)
	if err != nil {
		return nil, err
	}
	var all []Record
	err = query(ctx, q, dialects.SchemaQuery{Text: own.Latest, Args: []any{p.Table.Name, p.Table.Column}}, func(rows dialects.Rows) error {
		var r Record
		err := rows.Scan(r.fields()...)
		all = append(all, r)
		return err
	})
	return all, err
}

// highWater is the greatest version that a dropped column may have handed out.
func (m *Migrator) highWater(ctx context.Context, q dialects.Querier, p *dialects.SchemaPlan) (int64, error) {
	all, err := m.records(ctx, q, p)
	var water int64
	for _, r := range all {
		water = max(water, r.HighWater)
	}
	return water, err
}
