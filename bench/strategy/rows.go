package strategy

import (
	"context"
	"errors"
	"slices"

	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects"
)

// errNoRow means that somebody else deleted rows of the benchmark's table.
var errNoRow = errors.New("a row of the benchmark's table is gone")

// load reads the operation's rows by one of the reading statements, and plans.
func (c *Client) load(ctx context.Context, q dialects.Querier, text string, op *workload.Op) error {
	c.args = c.args[:0]
	for _, key := range op.Keys {
		c.args = append(c.args, key)
	}
	rows, err := q.Query(ctx, text, c.args)
	if err != nil {
		return err
	}
	defer rows.Close()
	c.rows = c.rows[:0]
	for rows.Next() {
		var row Row
		if err := rows.Scan(&row.ID, &row.N, &row.Version); err != nil {
			return err
		}
		c.rows = append(c.rows, row)
	}
	rows.Close() // the statement's own error is final only now
	if err := rows.Err(); err != nil {
		return err
	}
	if len(c.rows) != len(op.Keys) {
		return errNoRow
	}
	return c.plan(op)
}

// plan decides what the operation does to the rows that were read, applies it to
// them in memory, and notes the writes with the versions that they should make.
func (c *Client) plan(op *workload.Op) error {
	c.values, c.deltas = c.values[:0], slices.Grow(c.deltas[:0], len(c.rows))[:len(c.rows)]
	for i := range c.rows {
		c.values = append(c.values, c.rows[i].N)
	}
	if err := op.Decide(c.values, c.deltas); err != nil {
		return err
	}
	c.writes, c.written = c.writes[:0], c.written[:0]
	for i, delta := range c.deltas {
		if delta == 0 {
			continue
		}
		row := &c.rows[i]
		row.N += delta
		c.writes = append(c.writes, Write{Key: row.ID, Delta: delta, Version: row.Version + 1})
		c.written = append(c.written, row)
	}
	return nil
}

// intend notes the writes of an operation whose rows are not read beforehand.
func (c *Client) intend(op *workload.Op) {
	c.writes = c.writes[:0]
	for i, key := range op.Keys {
		c.writes = append(c.writes, Write{Key: key, Delta: op.Deltas[i]})
	}
}

// acknowledge takes over the versions that occkit gave the rows.
func (c *Client) acknowledge() {
	for i, row := range c.written {
		c.writes[i].Version = row.Version
	}
}

// overwrite writes what the client believes to be the rows' next state, with a
// statement for each.
func (c *Client) overwrite(ctx context.Context, q dialects.Querier) error {
	for i, row := range c.written {
		if _, err := q.Exec(ctx, c.sql.blind, []any{row.N, c.writes[i].Version, row.ID}); err != nil {
			return err
		}
	}
	return nil
}

// compute lets the database change each row, and finds out the versions.
func (c *Client) compute(ctx context.Context, q dialects.Querier) error {
	for i := range c.writes {
		if err := c.computeRow(ctx, q, &c.writes[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) computeRow(ctx context.Context, q dialects.Querier, w *Write) error {
	text, args := c.sql.add, []any{w.Delta, w.Key}
	if w.Delta < 0 {
		text, args = c.sql.take, append(args, w.Delta)
	}
	if c.sql.returns {
		found, err := scan(ctx, q, text, args, &w.Version)
		if err == nil && !found {
			err = workload.ErrDeclined
		}
		return err
	}
	res, err := q.Exec(ctx, text, args)
	if err == nil && res.RowsAffected == 0 {
		err = workload.ErrDeclined
	}
	if err != nil {
		return err
	}
	if c.sql.reports {
		w.Version = res.LastInsertID
		return nil
	}
	var row Row // the row is locked since
	found, err := scan(ctx, q, c.sql.of(1).read, []any{w.Key}, &row.ID, &row.N, &w.Version)
	if err == nil && !found {
		err = errNoRow
	}
	return err
}

// computeSet lets the database change all rows in one statement that locks them
// itself and returns the versions.
func (c *Client) computeSet(ctx context.Context, q dialects.Querier) error {
	c.args = c.args[:0]
	for i := range c.writes {
		c.args = append(c.args, c.writes[i].Key)
	}
	rows, err := q.Query(ctx, c.sql.of(len(c.writes)).set, append(c.args, c.writes[0].Delta))
	if err != nil {
		return err
	}
	defer rows.Close()
	found := 0
	for ; rows.Next(); found++ {
		var key, version int64
		if err := rows.Scan(&key, &version); err != nil {
			return err
		}
		i, ok := slices.BinarySearchFunc(c.writes, key, func(w Write, key int64) int { return int(w.Key - key) })
		if !ok {
			return errNoRow
		}
		c.writes[i].Version = version
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	if found != len(c.writes) {
		return errNoRow
	}
	return nil
}

// computeLocked lets the database change all rows, which are locked and planned,
// in one statement.
func (c *Client) computeLocked(ctx context.Context, q dialects.Querier) error {
	c.args = append(c.args[:0], c.writes[0].Delta)
	for i := range c.writes {
		c.args = append(c.args, c.writes[i].Key)
	}
	_, err := q.Exec(ctx, c.sql.of(len(c.writes)).set, c.args)
	return err
}

// scan runs a query of at most one row.
func scan(ctx context.Context, q dialects.Querier, text string, args []any, dest ...any) (found bool, err error) {
	rows, err := q.Query(ctx, text, args)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	for rows.Next() {
		found = true
		if err = rows.Scan(dest...); err != nil {
			return false, err
		}
	}
	rows.Close() // the statement's own error is final only now
	return found, rows.Err()
}
