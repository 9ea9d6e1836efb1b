package bench

import (
	"context"
	"errors"
	"fmt"

	"github.com/occkit/occkit/bench/audit"
)

// repeat runs one repetition of a cell on a table of its own, and audits it.
func (e *experiment) repeat(ctx context.Context, c *cell, round int) (rep Rep, err error) {
	initial := audit.State{Value: c.workload.Initial, Version: 1}
	t, err := newTable(ctx, e.target.DB, c.keys.Len(), initial)
	if err != nil {
		return Rep{}, err
	}
	defer func() {
		if dropErr := t.drop(ctx); dropErr != nil {
			err = errors.Join(err, dropErr)
		}
	}()
	parts, err := e.perform(ctx, c, t, round)
	if cause := context.Cause(ctx); cause != nil {
		return Rep{}, cause
	}
	if err != nil {
		return Rep{}, err
	}
	final, err := t.rows(ctx, c.keys.Len())
	if err != nil {
		return Rep{}, fmt.Errorf("cannot read the rows back: %w", err)
	}
	rep = collect(parts, audit.History{
		Initial: initial, Final: final, Conserved: c.workload.Conserved, Paired: c.workload.Paired,
	})
	if rep.Commits == 0 && rep.FirstError != nil {
		return Rep{}, fmt.Errorf("no operation succeeded: %w", rep.FirstError)
	}
	return rep, nil
}

// perform lets the clients work, in this process or in others.
func (e *experiment) perform(ctx context.Context, c *cell, t *table, round int) ([]part, error) {
	j := job{
		Workload: c.workload.Name, Strategy: c.strategy.Name, Table: t.name,
		Keys: c.keys.Len(), Batch: e.spec.Batch, Dist: e.spec.Dist, Duration: e.spec.Duration,
		Clients: e.spec.Clients, Seed: e.spec.Seed, Round: round,
	}
	if e.peers != nil {
		return e.peers.perform(ctx, j)
	}
	crew, err := newCrew(e.target, j, c.keys)
	if err != nil {
		return nil, err
	}
	return []part{crew.run(ctx)}, nil
}
