package occ

import (
	"context"
	"errors"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// writeGroup writes several batches in one statement, each of which has an outcome
// of its own. It returns false when the database has no such statement: then
// nothing was sent.
func (h *hot[T, K]) writeGroup(ctx context.Context, batches []*batch[T, K]) bool {
	judged := context.WithoutCancel(ctx)
	w := &bulk[T, K]{
		c: h.c, verb: dialects.BulkUpdate, op: "mutate", st: &h.c.update, mode: BestEffort, b: h.c.take(),
		items: make([]bulkItem[T, K], len(batches)),
	}
	defer h.c.give(w.b)
	conn, err := h.c.db.conn(ctx, false)
	if err != nil {
		h.concludeAll(batches, w.failure(judged, dialects.Connecting, err))
		return true
	}
	defer conn.Release(false)
	way, err := h.groupWay(ctx, conn, w)
	switch {
	case unsupported(err):
		return false
	case err != nil:
		h.concludeAll(batches, w.failure(judged, dialects.Connecting, err))
		return true
	}
	part, able := h.items(w, batches)
	if len(part) > 0 {
		err = way.send(ctx, conn, &way.each, part, false, func(rows dialects.Rows) error { return way.read(rows, &way.each, part) })
	}
	if err != nil {
		h.concludeAll(able, w.failure(judged, dialects.Autocommit, err))
		return true
	}
	for i, b := range able {
		b.rung = grouped
		if part[i].state != dialects.Written { // a round of its own finds out why
			h.conclude(b, failure{h.writing(b).conflictOf(nil), dialects.Retry})
			continue
		}
		h.version(&b.last.row).Set(part[i].next)
		h.conclude(b, failure{})
	}
	return true
}

// items binds the rows of batches. Those that cannot be bound are ended.
func (h *hot[T, K]) items(w *bulk[T, K], batches []*batch[T, K]) (part []*bulkItem[T, K], able []*batch[T, K]) {
	for i, b := range batches {
		it := &w.items[i]
		it.row, it.key, it.state = reflect.ValueOf(&b.last.row).Elem(), b.line.Key, missing
		it.next = reflect.New(h.c.version.typ).Elem()
		it.next.Set(h.version(&b.last.row))
		if err := w.bind(it, h.version(b.base)); err != nil {
			h.conclude(b, failure{w.refused(it, ErrUsage, err), dialects.Refused})
			continue
		}
		part, able = append(part, it), append(able, b)
	}
	return part, able
}

// concludeAll ends batches that failed together. When the database refused the
// statement, a round for each finds out whose fault it was.
func (h *hot[T, K]) concludeAll(batches []*batch[T, K], f failure) {
	for _, b := range batches {
		if f.outcome == dialects.Refused {
			h.again(b, f)
			h.detach(b.line, failure{}, 0)
			continue
		}
		h.conclude(b, f)
	}
}

// groupWay returns the statement for several rows, whose versions move by several.
func (h *hot[T, K]) groupWay(ctx context.Context, q dialects.Querier, w *bulk[T, K]) (*arrays[T, K], error) {
	d, ok := h.c.db.dialect.(dialects.ArrayWriter)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	types, err := h.c.columnTypes(ctx, q, d)
	if err != nil {
		return nil, err
	}
	way := &arrays[T, K]{call: w, dialect: d, types: types}
	if st := h.group.Load(); st != nil {
		way.each = *st
		return way, nil
	}
	way.each, err = d.ArrayWrite(h.c.stepped(), dialects.ArrayWrite{Verb: dialects.BulkUpdate, Types: types, Skip: true})
	if err != nil {
		return nil, err
	}
	h.group.Store(&way.each)
	return way, nil
}
