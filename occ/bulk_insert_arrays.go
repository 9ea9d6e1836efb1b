package occ

import (
	"context"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// takeInserted takes over the rows that an insert returned, which come in any
// order.
func (b *bulk[T, K]) takeInserted(rows dialects.Rows, st *dialects.Statement, part []*bulkItem[T, K]) (n int, err error) {
	byKey := make(map[K]*bulkItem[T, K], len(part))
	for _, it := range part {
		byKey[it.key] = it
	}
	for rows.Next() {
		row := reflect.ValueOf(new(T)).Elem()
		b.b.reset()
		b.c.aim(b.b, st.Returns, row)
		if err := b.b.scan(rows); err != nil {
			return n, err
		}
		n++
		if it := byKey[b.c.keys.of(row)]; it != nil {
			b.inserted(it, row, st.Returns)
		}
	}
	return n, nil
}

// judgeInserted finds out about the rows that did not come back by their keys:
// n is how many were inserted. The database may have another idea of equal keys
// than Go.
func (b *bulk[T, K]) judgeInserted(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K], n int) error {
	matched := 0
	for _, it := range part {
		if it.state == dialects.Written {
			matched++
		}
	}
	for _, it := range part {
		if it.state == dialects.Written && !b.c.readBack {
			continue
		}
		if matched < n || it.state == dialects.Written {
			row := reflect.ValueOf(new(T)).Elem()
			found, err := b.c.selectRow(ctx, q, b.b, &b.c.sel, it.key, row)
			if err != nil {
				return &scanError{err}
			}
			if found {
				it.state, it.result = dialects.Written, row
				it.next.Set(b.c.version.field.of(row))
				continue
			}
		}
		it.state, it.err = missing, b.swallowed(it)
	}
	return nil
}
