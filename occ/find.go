package occ

import (
	"context"
	"iter"

	"github.com/occkit/occkit/dialects"
)

// Find yields the rows that tail selects: the caller's own SQL after the FROM
// clause, with ? for each argument on every database. (On PostgreSQL $1 works as
// well, and a question mark in an operator is written twice: data ??| array.)
//
//	for account, err := range accounts.Find(ctx, "WHERE owner = ? ORDER BY id LIMIT 100", name) {
//
// All rows are read before the first is yielded, so that the loop's body may use
// the database freely, also on a pool of one connection: bound the result with
// LIMIT. An error is yielded once, as the last element.
func (r *Repository[T, K]) Find(ctx context.Context, tail string, args ...any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		rows, err := r.find(ctx, tail, args)
		for _, row := range rows {
			if !yield(row, nil) {
				return
			}
		}
		if err != nil {
			var none T
			yield(none, err)
		}
	}
}

func (r *Repository[T, K]) find(ctx context.Context, tail string, args []any) (rows []T, err error) {
	if err := r.begin(ctx, "find"); err != nil {
		return nil, err
	}
	finder, ok := r.core.db.dialect.(dialects.Finder)
	if !ok {
		return nil, r.core.usage("find", "dialect %s has no Find", r.core.db.dialect.Name())
	}
	st, err := finder.Find(&r.core.m.table, tail)
	if err == nil {
		args, err = values(args)
	}
	if err != nil {
		return nil, r.core.usage("find", "%w", err)
	}
	err = r.reading(ctx, "find", nil, func(q dialects.Querier) (err error) {
		rows, err = r.core.collect(ctx, q, &st, args)
		return err
	})
	if err == nil && r.unit != nil {
		return r.core.unitRows(r.unit, rows)
	}
	return rows, err
}
