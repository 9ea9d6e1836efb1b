package occ

import (
	"context"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// layout returns the columns that all rows leave to the server. It is false when
// they leave different ones, or a part of the key: a statement that inserts many
// rows could not tell which row got which.
func (b *bulk[T, K]) layout() (mask string, ok bool) {
	for i := range b.items {
		row := b.items[i].row
		left := b.c.leftOut(row)
		if i > 0 && left != mask || left != "" && b.c.keyLeftOut(row) {
			return "", false
		}
		mask = left
	}
	return mask, true
}

// insertTable returns the table with only the masked columns left to the server.
func (c *core[T, K]) insertTable(mask string) *dialects.Table {
	t := c.m.table
	t.Columns = append([]dialects.Column(nil), t.Columns...)
	for i := range t.Columns {
		t.Columns[i].Generated = mask != "" && mask[i] == 1
	}
	return &t
}

// fresh returns a copy of the row for the server to complete: what one attempt
// made of a row is nothing to the next.
func (it *bulkItem[T, K]) fresh() reflect.Value {
	it.result = reflect.New(it.row.Type()).Elem()
	it.result.Set(it.row)
	return it.result
}

// inserted takes over a row as the database returned it.
func (b *bulk[T, K]) inserted(it *bulkItem[T, K], returned reflect.Value, columns []int) {
	it.state = dialects.Written
	result := it.fresh()
	for _, i := range columns {
		f := &b.c.m.fields[i]
		f.of(result).Set(f.of(returned))
	}
	if b.c.version.kind == dialects.Xmin {
		it.next.Set(b.c.version.field.of(result))
	}
}

// insertLoop inserts the rows one by one.
type insertLoop[T any, K comparable] struct {
	call *bulk[T, K]
}

func (w *insertLoop[T, K]) quick(context.Context, *unit, []*bulkItem[T, K]) (bool, failure) {
	return false, failure{}
}

func (w *insertLoop[T, K]) write(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) error {
	if p, ok := q.(dialects.Pipeliner); ok && len(part) > 1 {
		if done, err := w.pipelined(ctx, p, part); done {
			return err
		}
	}
	prepared := &preparing{Querier: q}
	defer prepared.close()
	for _, it := range part {
		if err := ctx.Err(); err != nil {
			return err
		}
		i, err := w.insertion(it, w.call.b)
		if err != nil {
			return err
		}
		if err = i.sendAndRead(ctx, prepared); err == ErrSuppressed { //nolint:errorlint // made by done, never wrapped
			it.err = w.call.swallowed(it)
			continue
		}
		if err != nil {
			return err
		}
		w.took(it)
	}
	return nil
}

// took takes over a row that an insertion has completed.
func (w *insertLoop[T, K]) took(it *bulkItem[T, K]) {
	it.state = dialects.Written
	it.next.Set(w.call.c.version.field.of(it.result))
}

func (w *insertLoop[T, K]) insertion(it *bulkItem[T, K], b *buffers) (*insertion[T, K], error) {
	i := &insertion[T, K]{c: w.call.c, op: w.call.op, rv: it.fresh(), b: b}
	if err := i.prepare(); err != nil {
		return nil, &notSentError{err}
	}
	return i, nil
}

// pipelined sends all inserts in one round trip.
func (w *insertLoop[T, K]) pipelined(ctx context.Context, p dialects.Pipeliner, part []*bulkItem[T, K]) (done bool, err error) {
	insertions := make([]*insertion[T, K], len(part))
	calls := make([]dialects.Call, len(part))
	for n, it := range part {
		b := w.call.c.take()
		defer w.call.c.give(b)
		i, err := w.insertion(it, b)
		if err != nil || i.reread {
			return err != nil, err
		}
		if err := w.call.c.bindRow(b, &i.st, i.rv); err != nil {
			return true, &notSentError{err}
		}
		insertions[n], calls[n] = i, dialects.Call{Text: i.st.Text, Args: b.args}
		if len(i.st.Returns) > 0 {
			w.call.c.aim(b, i.st.Returns, i.rv)
			calls[n].Dest = b.dest
		}
	}
	if err := p.Pipeline(ctx, calls); err != nil {
		return !unsupported(err), err
	}
	for n, it := range part {
		for _, finish := range insertions[n].b.finish {
			finish()
		}
		if insertions[n].done(calls[n].Rows, nil) != nil {
			it.err = w.call.swallowed(it)
			continue
		}
		w.took(it)
	}
	return true, nil
}

// duplicates names the rows whose keys exist, after the database refused to
// insert them, and returns the others.
func (b *bulk[T, K]) duplicates(ctx context.Context, part []*bulkItem[T, K], cause error) (rest []*bulkItem[T, K]) {
	known := make([]*bulkItem[T, K], 0, len(part))
	for _, it := range part {
		if !b.c.keyLeftOut(it.row) {
			known = append(known, it)
		}
	}
	conn, err := b.c.db.conn(ctx, false)
	if err != nil {
		return part // which rows they are stays unknown
	}
	defer conn.Release(false)
	err = b.existing(ctx, conn, known, func(it *bulkItem[T, K], _ T) { it.err = b.refused(it, ErrDuplicate, cause) })
	if err != nil {
		reset(part)
		return part
	}
	for _, it := range part {
		if it.err == nil {
			rest = append(rest, it)
		}
	}
	return rest
}
