package occ

import (
	"context"
	"errors"

	"github.com/occkit/occkit/dialects"
)

// writeConn is [DB.conn] for a checked write. Before the first one the database is
// asked whether updates have to return the version: what a counter becomes is known,
// unless a trigger moves it as well.
func (c *core[T, K]) writeConn(ctx context.Context, afterOutage bool) (dialects.Conn, error) {
	conn, err := c.db.conn(ctx, afterOutage)
	if err != nil || c.asked.Load() {
		return conn, err
	}
	if err := c.ask(ctx, conn); err != nil {
		conn.Release(false)
		return nil, err
	}
	return conn, nil
}

// ask finds out, once, whether [dialects.Statement.Plain] will do.
func (c *core[T, K]) ask(ctx context.Context, q dialects.Querier) error {
	checker, ok := c.db.dialect.(dialects.TriggerChecker)
	if !ok || c.version.kind != dialects.Counter {
		c.asked.Store(true)
		return nil
	}
	text, args, err := checker.TriggerCheck(&c.m.table)
	moved := errors.Is(err, errors.ErrUnsupported)
	if err == nil {
		err = fetch(ctx, q, text, args, func(rows dialects.Rows) error {
			for rows.Next() {
				if err := rows.Scan(&moved); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil && !moved {
		return err
	}
	c.plain.Store(!moved)
	c.asked.Store(true)
	return nil
}
