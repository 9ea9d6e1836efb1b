package occ

import (
	"context"
	"errors"
	"slices"

	"github.com/occkit/occkit/dialects"
)

// bulkWay is how many rows are written on a database.
type bulkWay[T any, K comparable] interface {
	// quick writes the rows in a way that is only possible when nothing is in
	// their way. When it is not done, nothing has been written.
	quick(ctx context.Context, u *unit, part []*bulkItem[T, K]) (done bool, f failure)
	// write writes the rows in the transaction that q is in, and sets the state
	// and the error of each. An error is the database's.
	write(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) error
}

// way chooses the best that the dialect can do.
func (b *bulk[T, K]) way(ctx context.Context, q dialects.Querier) (bulkWay[T, K], error) {
	mask := ""
	if b.verb == dialects.BulkInsert {
		var ok bool
		if mask, ok = b.layout(); !ok {
			return &insertLoop[T, K]{b}, nil
		}
	}
	if d, ok := b.c.db.dialect.(dialects.ArrayWriter); ok {
		types, err := b.c.columnTypes(ctx, q, d)
		if err == nil {
			return b.arrays(d, types, mask)
		}
		if !unsupported(err) {
			return nil, err
		}
	}
	if d, ok := b.c.db.dialect.(dialects.RowsWriter); ok {
		table := &b.c.m.table
		if b.verb == dialects.BulkInsert {
			table = b.c.insertTable(mask)
		}
		return &lists[T, K]{b, d, table}, nil
	}
	if b.verb == dialects.BulkInsert {
		return &insertLoop[T, K]{b}, nil
	}
	return b.loop(), nil
}

var errSameRow = errors.New("another row of the call has the same key for the database")

func unsupported(err error) bool { return errors.Is(err, errors.ErrUnsupported) }

// sorted returns rows in the order of their keys, in which every call locks them.
func (b *bulk[T, K]) sorted(part []*bulkItem[T, K]) []*bulkItem[T, K] {
	keys := b.c.m.keys
	compare := func(x, y *bulkItem[T, K]) int {
		for _, i := range keys {
			if order := compareBound(x.args[i], y.args[i]); order != 0 {
				return order
			}
		}
		return 0
	}
	if slices.IsSortedFunc(part, compare) { // as rows often are
		return part
	}
	part = slices.Clone(part)
	slices.SortFunc(part, compare)
	return part
}

// chunks splits rows into parts of at most so many rows, and about so many bytes.
// (It is no iterator: the bodies of loops over generic iterators make the
// compiler spend seconds on each entity type.)
func chunks[T any, K comparable](part []*bulkItem[T, K], rows, size int) (split [][]*bulkItem[T, K]) {
	for len(part) > 0 {
		n, sum := 0, 0
		for n < len(part) && n < rows && (n == 0 || sum < size) {
			sum += part[n].size()
			n++
		}
		split = append(split, part[:n])
		part = part[n:]
	}
	return split
}

// size is about how many bytes the row takes on its way.
func (it *bulkItem[T, K]) size() int { return bytesOf(it.args) }

func bytesOf(args []any) int {
	sum := 0
	for _, v := range args {
		switch v := v.(type) {
		case string:
			sum += len(v)
		case []byte:
			sum += 2 * len(v) // in hex
		default:
			sum += 24
		}
	}
	return sum
}

// existing calls found for the rows whose keys exist, with what they are.
func (b *bulk[T, K]) existing(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K], found func(*bulkItem[T, K], T)) error {
	keys := make([]K, len(part))
	for i, it := range part {
		keys[i] = it.key
	}
	rows := make(map[K]T, len(keys))
	if err := b.c.readKeys(ctx, q, keys, rows); err != nil {
		return err
	}
	for _, it := range part {
		if row, ok := rows[it.key]; ok {
			found(it, row)
		}
	}
	return nil
}
