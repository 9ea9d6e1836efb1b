package migrations

import (
	"context"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
)

// with lends a connection.
func (m *Migrator) with(ctx context.Context, use func(dialects.Conn) error) error {
	conn, err := m.db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrations: no connection: %w", err)
	}
	err = use(conn)
	// A connection that an error or the end of the caller's patience left behind
	// may have settings or a transaction of ours; SQLite's may hold the database.
	conn.Release(m.unusable(err))
	return err
}

func (m *Migrator) unusable(err error) bool {
	switch m.dialect.Classify(err) {
	case dialects.Lost, dialects.Indeterminate:
		return true
	}
	return errors.Is(err, errDirty)
}

// errDirty marks errors after which the connection is not given back to a pool.
var errDirty = errors.New("the connection is in an unknown state")

// query passes each row to scan.
func query(ctx context.Context, q dialects.Querier, s dialects.SchemaQuery, scan func(dialects.Rows) error) error {
	rows, err := q.Query(ctx, s.Text, s.Args)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	rows.Close()
	return rows.Err()
}

// text reads one text; empty when there is no row.
func text(ctx context.Context, q dialects.Querier, statement string, args ...any) (value string, err error) {
	err = query(ctx, q, dialects.SchemaQuery{Text: statement, Args: args}, func(r dialects.Rows) error { return r.Scan(&value) })
	return value, err
}

func readFacts(ctx context.Context, q dialects.Querier, queries []dialects.SchemaQuery) (dialects.SchemaFacts, error) {
	var facts dialects.SchemaFacts
	for _, one := range queries {
		err := query(ctx, q, one, func(r dialects.Rows) error {
			var f dialects.SchemaFact
			err := r.Scan(&f.Kind, &f.Name, &f.Value)
			facts = append(facts, f)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return facts, nil
}

// catalog reads the catalog alone: quick enough to do with the lock in hand.
func (m *Migrator) catalog(ctx context.Context, q dialects.Querier, v dialects.VersionTable) (dialects.SchemaPlan, dialects.SchemaFacts, error) {
	queries, err := m.changer.SchemaFacts(&v)
	if err != nil {
		return dialects.SchemaPlan{}, nil, err
	}
	facts, err := readFacts(ctx, q, queries)
	if err != nil {
		return dialects.SchemaPlan{}, nil, err
	}
	p, err := m.changer.SchemaPlan(&v, facts)
	return p, facts, err
}

// inspect reads the catalog and, where the catalog does not say it, the rows.
func (m *Migrator) inspect(ctx context.Context, q dialects.Querier, v dialects.VersionTable) (dialects.SchemaPlan, error) {
	p, facts, err := m.catalog(ctx, q, v)
	if err == nil && p.Exists && p.Column == nil && p.History && v.Kind == dialects.Counter {
		var water int64
		if water, err = m.highWater(ctx, q, &p); err == nil && water >= v.Initial {
			v.Initial = water + 1
			p, err = m.changer.SchemaPlan(&v, facts)
		}
	}
	if err == nil && len(p.Ask) > 0 {
		var more dialects.SchemaFacts
		if more, err = readFacts(ctx, q, p.Ask); err == nil {
			p, err = m.changer.SchemaPlan(&v, append(facts, more...))
		}
	}
	if err != nil {
		return p, fmt.Errorf("migrations: %s: cannot look at the table: %w", v.Name, err)
	}
	return m.withHistory(p)
}

// withHistory puts the making of the history before all other steps.
func (m *Migrator) withHistory(p dialects.SchemaPlan) (dialects.SchemaPlan, error) {
	if p.Table.History == "" || len(p.Steps) == 0 {
		return p, nil
	}
	own, err := m.changer.SchemaOwn(p.Table.Schema, historyTable)
	if err != nil {
		return p, err
	}
	step := dialects.SchemaStep{
		ID: stepHistory, SQL: []string{own.Create}, LockName: "none on the table", Work: dialects.WorkInstant,
		Observe: "the catalog has the table " + historyTable.Name, Done: p.History,
	}
	p.Steps = append([]dialects.SchemaStep{step}, p.Steps...)
	return p, nil
}

const stepHistory = "history"

func refusals(p *dialects.SchemaPlan) error {
	var found []dialects.SchemaFinding
	for _, f := range p.Findings {
		if f.Refuse {
			found = append(found, f)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &RefusedError{Table: p.Table.Name, Findings: found}
}

func firstMissing(steps []dialects.SchemaStep) *dialects.SchemaStep {
	for i := range steps {
		if !steps[i].Done {
			return &steps[i]
		}
	}
	return nil
}
