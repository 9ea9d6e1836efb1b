package occ

import (
	"context"
	"errors"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// Get returns the row of a key. A key without a row is [ErrNotFound].
func (r *Repository[T, K]) Get(ctx context.Context, key K) (T, error) {
	if err := r.begin(ctx, "get"); err != nil {
		var none T
		return none, err
	}
	if r.unit != nil {
		return r.unitGet(ctx, key)
	}
	return r.get(ctx, key)
}

func (r *Repository[T, K]) get(ctx context.Context, key K) (T, error) {
	row := new(T)
	b := r.core.take()
	defer r.core.give(b)
	err := r.reading(ctx, "get", &key, func(q dialects.Querier) error {
		found, err := r.core.selectRow(ctx, q, b, &r.core.sel, key, reflect.ValueOf(row).Elem())
		if err == nil && !found {
			err = ErrNotFound
		}
		return err
	})
	return *row, err
}

// GetMany returns the rows of keys, by key. Keys without a row are absent. It
// takes one statement for each hundred keys or so, each of which sees its own
// state of the table.
func (r *Repository[T, K]) GetMany(ctx context.Context, keys []K) (map[K]T, error) {
	if err := r.begin(ctx, "get many"); err != nil {
		return nil, err
	}
	if r.unit != nil { // which may know some of them, and remembers what is absent
		return r.unitGetMany(ctx, keys)
	}
	found := make(map[K]T, len(keys))
	if len(keys) == 0 {
		return found, nil
	}
	err := r.reading(ctx, "get many", nil, func(q dialects.Querier) error {
		clear(found)
		return r.core.readKeys(ctx, q, keys, found)
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// getEach is for units, which know some of the rows.
func (r *Repository[T, K]) getEach(ctx context.Context, keys []K, found map[K]T) error {
	for _, key := range keys {
		row, err := r.Get(ctx, key)
		switch {
		case err == nil:
			found[key] = row
		case !isNotFound(err):
			return err
		}
	}
	return nil
}

// chunk returns how many keys the next statement takes: a power of two, so that
// few statements are ever compiled, and within the parameter limit.
func (c *core[T, K]) chunk(keys int) int {
	n := 1
	for n < keys && n < 128 {
		n *= 2
	}
	if limit := c.db.dialect.Limits().Params; limit > 0 {
		n = max(1, min(n, limit/len(c.m.keys)))
	}
	return n
}

// selectMany returns the statement that reads n rows; errors.ErrUnsupported where
// there is none.
func (c *core[T, K]) selectMany(n int) (st dialects.Statement, err error) {
	if st, ok := c.many.Load(n); ok {
		return st.(dialects.Statement), nil
	}
	d, ok := c.db.dialect.(dialects.MultiReader)
	if !ok {
		return st, errors.ErrUnsupported
	}
	if st, err = d.SelectMany(&c.m.table, n); err == nil {
		c.many.Store(n, st)
	}
	return st, err
}

// readKeys adds the rows of keys to found: many with one statement, where the
// dialect has one.
func (c *core[T, K]) readKeys(ctx context.Context, q dialects.Querier, keys []K, found map[K]T) error {
	for len(keys) > 0 {
		n := c.chunk(len(keys))
		st, err := c.selectMany(n)
		if errors.Is(err, errors.ErrUnsupported) {
			return c.readEach(ctx, q, keys, found)
		}
		if err != nil {
			return &notSentError{err}
		}
		part := keys[:min(n, len(keys))]
		keys = keys[len(part):]
		args := make([]any, 0, len(st.Args))
		for i := range n { // the last one fills the rest
			if args, err = c.keys.bind(args, part[min(i, len(part)-1)]); err != nil {
				return &notSentError{err}
			}
		}
		rows, err := c.collect(ctx, q, &st, args)
		if err != nil {
			return err
		}
		for i := range rows {
			found[c.keys.of(reflect.ValueOf(&rows[i]).Elem())] = rows[i]
		}
	}
	return nil
}

func (c *core[T, K]) readEach(ctx context.Context, q dialects.Querier, keys []K, found map[K]T) error {
	b := c.take()
	defer c.give(b)
	for _, key := range keys {
		row := new(T)
		exists, err := c.selectRow(ctx, q, b, &c.sel, key, reflect.ValueOf(row).Elem())
		if err != nil {
			return err
		}
		if exists {
			found[key] = *row
		}
	}
	return nil
}

// collect reads all rows of a query.
func (c *core[T, K]) collect(ctx context.Context, q dialects.Querier, st *dialects.Statement, args []any) (found []T, err error) {
	b := c.take()
	defer c.give(b)
	err = fetch(ctx, q, st.Text, args, func(rows dialects.Rows) error {
		for rows.Next() {
			row := new(T)
			b.reset()
			c.aim(b, st.Returns, reflect.ValueOf(row).Elem())
			if err := b.scan(rows); err != nil {
				return err
			}
			found = append(found, *row)
		}
		return nil
	})
	if err != nil { // no part of the rows passes for all of them
		return nil, err
	}
	return found, nil
}

// reading runs body on a connection, again when the server was unavailable or
// refused for now: a read may always be repeated. Key is nil when the operation
// is not about one row.
func (r *Repository[T, K]) reading(ctx context.Context, op string, key *K, body func(dialects.Querier) error) error {
	if r.tx != nil {
		return r.core.joinedRead(ctx, r.tx, op, key, body)
	}
	var afterOutage bool
	for a := r.core.db.opts.Retry.Start(); ; {
		err := r.core.readOnce(ctx, afterOutage, body)
		if err == nil {
			return nil
		}
		f := r.core.readFailure(ctx, op, key, err)
		afterOutage = f.outcome == dialects.Down
		if err := f.next(ctx, &a); err != nil {
			return err
		}
	}
}

func (c *core[T, K]) readOnce(ctx context.Context, afterOutage bool, body func(dialects.Querier) error) error {
	conn, err := c.db.conn(ctx, afterOutage)
	if err != nil {
		return err
	}
	defer conn.Release(false)
	return body(conn)
}

// readFailure judges an error of a read.
func (c *core[T, K]) readFailure(ctx context.Context, op string, key *K, err error) failure {
	s := Subject{Op: op, Table: c.tableName()}
	if key != nil {
		s.Key = *key
	}
	if kind := ownKind(err); kind != nil {
		return failure{&OpError{Subject: s, Kind: kind, Err: unlessSame(err, kind)}, dialects.Refused}
	}
	return c.db.judge(ctx, s, dialects.Connecting, err)
}

func (c *core[T, K]) joinedRead(ctx context.Context, tx *joined, op string, key *K, body func(dialects.Querier) error) error {
	if err := tx.usable(Subject{Op: op, Table: c.tableName()}); err != nil {
		return err
	}
	err := body(tx.q)
	if err == nil {
		return nil
	}
	f := c.readFailure(ctx, op, key, err)
	if f.outcome != dialects.Refused || ownKind(err) == nil {
		tx.failed.Store(true)
	}
	return f.err
}

// isNotFound reports whether err is [ErrNotFound].
func isNotFound(err error) bool {
	op, ok := err.(*OpError)            //nolint:errorlint // made by Get, never wrapped
	return ok && op.Kind == ErrNotFound //nolint:errorlint // identity is meant
}

// ownKind returns the sentinel of an error that this package made before the
// database had its say; nil for errors of the database.
func ownKind(err error) error {
	switch err := err.(type) { //nolint:errorlint // made below, never wrapped
	case *scanError:
		return ErrMapping
	case *notSentError:
		return ErrUsage
	default:
		if err == ErrNotFound || err == ErrNotUnique || err == ErrSuppressed { //nolint:errorlint // as above
			return err
		}
		return nil
	}
}

func unlessSame(err, kind error) error {
	if err == kind { //nolint:errorlint // identity is meant
		return nil
	}
	return err
}
