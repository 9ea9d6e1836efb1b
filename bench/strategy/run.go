package strategy

import (
	"context"
	"errors"

	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

// naive reads, then writes back without looking: the lost update. Only the
// check is missing; the writes of one operation are still one transaction.
func (c *Client) naive(ctx context.Context, op *workload.Op) error {
	return c.db.Retry(ctx, func(ctx context.Context) error {
		err := c.once(ctx, dialects.Connecting, func(q dialects.Querier) error {
			return c.load(ctx, q, c.sql.of(len(op.Keys)).read, op)
		})
		if err != nil {
			return err
		}
		write := func(q dialects.Querier) error { return c.overwrite(ctx, q) }
		if len(c.writes) == 1 {
			return c.once(ctx, dialects.Autocommit, write)
		}
		return c.tx(ctx, write)
	})
}

// pessimistic locks the rows before it reads them. Its writes need no check.
func (c *Client) pessimistic(ctx context.Context, op *workload.Op) error {
	return c.db.Retry(ctx, func(ctx context.Context) error {
		return c.tx(ctx, func(q dialects.Querier) error {
			if err := c.load(ctx, q, c.sql.of(len(op.Keys)).lock, op); err != nil {
				return err
			}
			return c.overwrite(ctx, q)
		})
	})
}

// optimistic is occkit: checked writes, repeated after a conflict.
func (c *Client) optimistic(ctx context.Context, op *workload.Op) error {
	switch {
	case op.Bulk:
		return c.bulk(ctx, op)
	case len(op.Keys) > 1:
		return c.unit(ctx, op, false)
	default:
		return c.mutate(ctx, op)
	}
}

// mutate changes one row. The function may run on another goroutine, together with
// those of other clients, several times, and even after Mutate has returned with an
// error: it uses nothing that belongs to the client or to the workload.
func (c *Client) mutate(ctx context.Context, op *workload.Op) error {
	c.intend(op)
	delta := op.Deltas[0]
	row, err := c.repo.Mutate(ctx, op.Keys[0], func(row *Row) (err error) {
		row.N, err = workload.Add(row.N, delta)
		return err
	})
	if err == nil {
		c.writes[0].Version = row.Version
	}
	return err
}

// add is one statement of the repository's, which tells the version. Operations that
// it is no way to do are done like the optimistic ones.
func (c *Client) add(ctx context.Context, op *workload.Op) error {
	if len(op.Keys) > 1 || op.Bulk {
		return c.optimistic(ctx, op)
	}
	c.intend(op)
	delta := op.Deltas[0]
	version, err := c.repo.Add(ctx, op.Keys[0], "n", delta, occ.Ge("n", -delta)) // never below zero
	if unmet := (*occ.Unmet[Row])(nil); errors.As(err, &unmet) {
		return workload.ErrDeclined
	}
	if err == nil {
		c.writes[0].Version = version.(int64)
	}
	return err
}

// relaxed is a unit of work that checks only the rows that it writes.
func (c *Client) relaxed(ctx context.Context, op *workload.Op) error {
	return c.unit(ctx, op, true)
}

// unit reads, decides and writes in one unit of work.
func (c *Client) unit(ctx context.Context, op *workload.Op, relaxed bool) error {
	err := c.db.Transact(ctx, func(tx *occ.Tx) error {
		if relaxed {
			if err := tx.Relaxed(); err != nil {
				return err
			}
		}
		repo := c.repo.In(tx)
		c.rows = c.rows[:0]
		for _, key := range op.Keys {
			row, err := repo.Get(ctx, key)
			if err != nil {
				return err
			}
			c.rows = append(c.rows, row)
		}
		if err := c.plan(op); err != nil {
			return err
		}
		for _, row := range c.written {
			if err := repo.Update(ctx, row); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		c.acknowledge()
	}
	return err
}

// bulk reads all rows, then writes them all in one checked bulk write.
func (c *Client) bulk(ctx context.Context, op *workload.Op) error {
	err := c.db.Retry(ctx, func(ctx context.Context) error {
		if err := c.getMany(ctx, op); err != nil {
			return err
		}
		_, err := c.repo.UpdateMany(ctx, c.rows, occ.AllOrNothing)
		return err
	})
	if err == nil {
		c.acknowledge()
	}
	return err
}

// loop is what bulk does, written by hand: a checked write for each row, in one
// transaction.
func (c *Client) loop(ctx context.Context, op *workload.Op) error {
	return c.db.Retry(ctx, func(ctx context.Context) error {
		if err := c.getMany(ctx, op); err != nil {
			return err
		}
		return c.tx(ctx, func(q dialects.Querier) error {
			repo := c.repo.In(occ.Join(q))
			for _, row := range c.written {
				if err := repo.Update(ctx, row); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// getMany reads the rows through the repository, and plans.
func (c *Client) getMany(ctx context.Context, op *workload.Op) error {
	found, err := c.repo.GetMany(ctx, op.Keys)
	if err != nil {
		return c.prove(dialects.Connecting, err)
	}
	c.rows = c.rows[:0]
	for _, key := range op.Keys {
		row, ok := found[key]
		if !ok {
			return errNoRow
		}
		c.rows = append(c.rows, row)
	}
	return c.plan(op)
}

// atomic leaves reading and writing to one statement for each row, or for all
// rows that get the same. What an operation does when that depends on other rows
// no statement can decide safely by itself: then all rows are locked first.
func (c *Client) atomic(ctx context.Context, op *workload.Op) error {
	return c.db.Retry(ctx, func(ctx context.Context) error {
		switch {
		case op.Deltas == nil, op.Bulk && !c.sql.returns:
			return c.tx(ctx, func(q dialects.Querier) error { return c.computeDecided(ctx, q, op) })
		case op.Bulk:
			c.intend(op)
			return c.once(ctx, dialects.Autocommit, func(q dialects.Querier) error { return c.computeSet(ctx, q) })
		}
		c.intend(op)
		body := func(q dialects.Querier) error { return c.compute(ctx, q) }
		if len(c.writes) == 1 && (c.sql.returns || c.sql.reports) {
			return c.once(ctx, dialects.Autocommit, body)
		}
		return c.tx(ctx, body)
	})
}

// computeDecided locks the rows, decides, and lets the database compute.
func (c *Client) computeDecided(ctx context.Context, q dialects.Querier, op *workload.Op) error {
	if err := c.load(ctx, q, c.sql.of(len(op.Keys)).lock, op); err != nil {
		return err
	}
	if op.Bulk {
		return c.computeLocked(ctx, q)
	}
	return c.compute(ctx, q)
}
