package strategy

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects"
)

// statements are the SQL of the strategies that do not write through a
// repository. The dialect has no unchecked writes, so those are written here.
type statements struct {
	read, lock string // by key: id, n, version
	blind      string // n, version, id
	add        string // delta, id
	take       string // delta, id, delta: no row if there is too little
	returns    bool   // add and take return the version as a row
	reports    bool   // add and take report the version as the last insert id
}

func newStatements(env Env) (statements, error) {
	number := reflect.TypeFor[int64]()
	table := &dialects.Table{Name: env.Table, Columns: []dialects.Column{
		{Name: "id", Key: true, Type: number},
		{Name: "n", Type: number},
		{Name: "version", Version: dialects.Counter, Type: number},
	}}
	locker, ok := env.Dialect.(dialects.LockingReader)
	if !ok {
		return statements{}, fmt.Errorf("dialect %s: locking reads: %w", env.Dialect.Name(), errors.ErrUnsupported)
	}
	var errs [3]error
	var read, lock, update dialects.Statement
	read, errs[0] = env.Dialect.Select(table)
	lock, errs[1] = locker.SelectForUpdate(table)
	update, errs[2] = env.Dialect.Update(table)
	p, next := env.Placeholder, "version + 1"
	s := statements{read: read.Text, lock: lock.Text, returns: len(update.Returns) > 0}
	if s.reports = env.Report != nil && !s.returns; s.reports {
		next = env.Report(next)
	}
	s.blind = fmt.Sprintf("UPDATE %s SET n = %s, version = %s WHERE id = %s", env.Table, p(1), p(2), p(3))
	s.add = fmt.Sprintf("UPDATE %s SET n = n + %s, version = %s WHERE id = %s", env.Table, p(1), next, p(2))
	s.take = s.add + " AND n + " + p(3) + " >= 0"
	if s.returns {
		s.add += " RETURNING version"
		s.take += " RETURNING version"
	}
	return s, errors.Join(errs[:]...)
}

// errNoRow means that somebody else deleted rows of the benchmark's table.
var errNoRow = errors.New("a row of the benchmark's table is gone")

// read reads a row by one of the reading statements.
func read(ctx context.Context, q dialects.Querier, text string, key int64) (Row, error) {
	var row Row
	found, err := scan(ctx, q, text, []any{key}, &row.ID, &row.N, &row.Version)
	if err == nil && !found {
		err = errNoRow
	}
	return row, err
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

// overwrite writes what the client believes to be the row's next state.
func (c *Client) overwrite(ctx context.Context, q dialects.Querier, i int, row Row) error {
	c.current.Versions[i] = row.Version + 1
	_, err := q.Exec(ctx, c.sql.blind, []any{row.N, row.Version + 1, row.ID})
	return err
}

// compute lets the database change a row, and finds out the version.
func (c *Client) compute(ctx context.Context, q dialects.Querier, i int, change workload.Change) error {
	text, args := c.sql.add, []any{change.Delta, change.Key}
	if change.Delta < 0 {
		text, args = c.sql.take, append(args, change.Delta)
	}
	if c.sql.returns {
		found, err := scan(ctx, q, text, args, &c.current.Versions[i])
		if err == nil && !found {
			err = errDeclined
		}
		return err
	}
	res, err := q.Exec(ctx, text, args)
	if err == nil && res.RowsAffected == 0 {
		err = errDeclined
	}
	if err != nil {
		return err
	}
	if c.sql.reports {
		c.current.Versions[i] = res.LastInsertID
		return nil
	}
	row, err := read(ctx, q, c.sql.read, change.Key) // the row is locked since
	c.current.Versions[i] = row.Version
	return err
}
