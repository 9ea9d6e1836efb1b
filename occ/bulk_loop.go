package occ

import (
	"context"

	"github.com/occkit/occkit/dialects"
)

// loop writes the rows one by one, with statements that are prepared once where
// the transport can.
type loop[T any, K comparable] struct {
	call   *bulk[T, K]
	inside bool // the database is in this process: see [dialects.Limits]
}

func (b *bulk[T, K]) loop() bulkWay[T, K] {
	return &loop[T, K]{call: b, inside: b.c.db.dialect.Limits().Embedded}
}

func (w *loop[T, K]) quick(context.Context, *unit, []*bulkItem[T, K]) (bool, failure) {
	return false, failure{}
}

func (w *loop[T, K]) write(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) error {
	prepared := &preparing{Querier: q}
	defer prepared.close()
	part = w.call.sorted(part)
	if w.call.tx != nil && w.call.mode == AllOrNothing { // it cannot be undone here
		if err := w.each(ctx, part, func(ctx context.Context, it *bulkItem[T, K]) error { return w.compare(ctx, prepared, it) }); err != nil {
			return err
		}
		if anyFailed(part) {
			return nil
		}
	}
	lost := false
	return w.each(ctx, part, func(ctx context.Context, it *bulkItem[T, K]) error {
		if lost && w.call.mode == AllOrNothing { // all will be undone: only find out what is wrong
			return w.compare(ctx, prepared, it)
		}
		err := w.one(ctx, prepared, it)
		lost = lost || it.err != nil
		return err
	})
}

func (w *loop[T, K]) each(ctx context.Context, part []*bulkItem[T, K], do func(context.Context, *bulkItem[T, K]) error) error {
	short := ctx
	if w.inside && w.call.tx == nil { // the write lock is held: no statement waits
		short = context.WithoutCancel(ctx)
	}
	for _, it := range part {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := do(short, it); err != nil {
			return err
		}
	}
	return nil
}

// single returns a row as a single write.
func (b *bulk[T, K]) single(it *bulkItem[T, K]) *writing[T, K] {
	b.b.expected.Set(b.c.version.field.of(it.row))
	return &writing[T, K]{c: b.c, op: b.op, st: b.st, row: it.row, key: it.key, b: b.b}
}

// one writes one row.
func (w *loop[T, K]) one(ctx context.Context, q dialects.Querier, it *bulkItem[T, K]) error {
	b := w.call.b
	b.reset()
	for _, a := range w.call.st.Args {
		b.args = append(b.args, it.arg(a))
	}
	returns := len(w.call.st.Returns) > 0
	if returns {
		b.next.Set(it.next) // which stays if it does not return after all
	}
	n, err := w.call.c.sendRow(ctx, q, b, w.call.st)
	switch {
	case err != nil:
		return err
	case n == 0:
		if err := w.compare(ctx, q, it); err != nil || it.err != nil {
			return err
		}
		it.err = w.call.swallowed(it)
		return nil
	case n > 1:
		return ErrNotUnique
	}
	it.state = dialects.Written
	readBack := w.call.c.readBack && w.call.verb == dialects.BulkUpdate
	if readBack {
		if err := w.call.single(it).readVersion(ctx, q); err != nil {
			return err
		}
	}
	if returns || readBack {
		it.next.Set(b.next)
	}
	return nil
}

// compare tells what stands in the way of a row.
func (w *loop[T, K]) compare(ctx context.Context, q dialects.Querier, it *bulkItem[T, K]) error {
	f, err := w.call.single(it).compare(ctx, q, &w.call.c.lock)
	it.err = f.err
	return err
}

// preparing is a querier that prepares what it runs, where it can.
type preparing struct {
	dialects.Querier
	prepared []preparedText // a few at most, whose texts are the same strings each time
}

type preparedText struct {
	dialects.Prepared
	text string
}

func (p *preparing) of(ctx context.Context, text string) (dialects.Querier, error) {
	preparer, ok := p.Querier.(dialects.Preparer)
	if !ok {
		return p.Querier, nil
	}
	for i := range p.prepared {
		if p.prepared[i].text == text {
			return p.prepared[i].Prepared, nil
		}
	}
	st, err := preparer.Prepare(ctx, text)
	if err != nil {
		return nil, err
	}
	p.prepared = append(p.prepared, preparedText{st, text})
	return st, nil
}

func (p *preparing) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	q, err := p.of(ctx, text)
	if err != nil {
		return nil, err
	}
	return q.Query(ctx, text, args)
}

func (p *preparing) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	q, err := p.of(ctx, text)
	if err != nil {
		return dialects.Result{}, err
	}
	return q.Exec(ctx, text, args)
}

func (p *preparing) close() {
	for _, st := range p.prepared {
		_ = st.Close()
	}
}
