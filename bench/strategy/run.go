package strategy

import (
	"context"

	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

// naive reads, then writes back without looking: the lost update. Only the
// check is missing; the writes of one operation are still one transaction.
func (c *Client) naive(ctx context.Context, changes []workload.Change) error {
	return c.db.Retry(ctx, func(ctx context.Context) error {
		var rows [2]Row
		err := c.once(ctx, dialects.Connecting, func(q dialects.Querier) error {
			return c.load(ctx, q, c.sql.read, changes, rows[:])
		})
		if err != nil {
			return err
		}
		write := func(q dialects.Querier) error { return c.save(ctx, q, rows[:len(changes)]) }
		if len(changes) == 1 {
			return c.once(ctx, dialects.Autocommit, write)
		}
		return c.tx(ctx, write)
	})
}

// pessimistic locks the rows before it reads them. Its writes need no check.
func (c *Client) pessimistic(ctx context.Context, changes []workload.Change) error {
	return c.db.Retry(ctx, func(ctx context.Context) error {
		return c.tx(ctx, func(q dialects.Querier) error {
			var rows [2]Row
			if err := c.load(ctx, q, c.sql.lock, changes, rows[:]); err != nil {
				return err
			}
			return c.save(ctx, q, rows[:len(changes)])
		})
	})
}

// load reads the rows and applies the changes to them.
func (c *Client) load(ctx context.Context, q dialects.Querier, text string, changes []workload.Change, rows []Row) (err error) {
	for i, change := range changes {
		if rows[i], err = read(ctx, q, text, change.Key); err != nil {
			return err
		}
	}
	for i, change := range changes {
		if rows[i].N, err = add(rows[i].N, change.Delta); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) save(ctx context.Context, q dialects.Querier, rows []Row) error {
	for i, row := range rows {
		if err := c.overwrite(ctx, q, i, row); err != nil {
			return err
		}
	}
	return nil
}

// optimistic is occkit: checked writes, repeated after a conflict.
func (c *Client) optimistic(ctx context.Context, changes []workload.Change) error {
	if len(changes) > 1 {
		return c.optimisticTx(ctx, changes)
	}
	row, err := c.repo.Mutate(ctx, changes[0].Key, func(row *Row) (err error) {
		row.N, err = add(row.N, changes[0].Delta)
		return err
	})
	c.current.Versions[0] = row.Version
	return err
}

// optimisticTx reads all rows, then writes them all in key order, in one
// transaction that is repeated as a whole.
func (c *Client) optimisticTx(ctx context.Context, changes []workload.Change) error {
	return c.db.Retry(ctx, func(ctx context.Context) error {
		return c.tx(ctx, func(q dialects.Querier) error {
			repo := c.repo.In(occ.Join(q))
			var rows [2]Row
			var err error
			for i, change := range changes {
				if rows[i], err = repo.Get(ctx, change.Key); err != nil {
					return err
				}
			}
			for i, change := range changes {
				if rows[i].N, err = add(rows[i].N, change.Delta); err != nil {
					return err
				}
			}
			for i := range changes {
				if err = repo.Update(ctx, &rows[i]); err != nil {
					return err
				}
				c.current.Versions[i] = rows[i].Version + 1 // a joined write leaves the row as it is
			}
			return nil
		})
	})
}

// atomic leaves reading and writing to one statement for each row.
func (c *Client) atomic(ctx context.Context, changes []workload.Change) error {
	return c.db.Retry(ctx, func(ctx context.Context) error {
		body := func(q dialects.Querier) error {
			for i, change := range changes {
				if err := c.compute(ctx, q, i, change); err != nil {
					return err
				}
			}
			return nil
		}
		if len(changes) == 1 && (c.sql.returns || c.sql.reports) {
			return c.once(ctx, dialects.Autocommit, body)
		}
		return c.tx(ctx, body)
	})
}
