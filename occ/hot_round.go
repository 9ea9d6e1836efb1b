package occ

import (
	"context"
	"reflect"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/hotkey"
)

// work is one round.
func (h *hot[T, K]) work(lines []*hotkey.Line[K]) {
	batches := make([]*batch[T, K], 0, len(lines))
	var unread []*batch[T, K]
	for _, l := range lines {
		if l.Conflicted() { // lock the row, and know
			h.detachConflicted(l)
			continue
		}
		b := &batch[T, K]{line: l, rung: gated}
		batches = append(batches, b)
		if b.base, _ = l.State.(*T); b.base == nil {
			unread = append(unread, b)
		}
	}
	completed := false
	defer h.rescue(batches, &completed)
	ctx, cancel := h.c.db.detached(context.Background())
	defer cancel()
	if len(unread) > 0 {
		batches = h.read(ctx, batches, unread)
	}
	h.apply(batches, false, h.table.Policy().MaxBatch)
	writes := make([]*batch[T, K], 0, len(batches))
	for _, b := range batches {
		switch {
		case b.last != nil:
			writes = append(writes, b)
		case len(b.ops) > 0:
			h.undecided(b)
		default: // all have left, or there was no time for them
			b.over = true
		}
	}
	if len(writes) < 2 || !h.writeGroup(ctx, writes) {
		for _, b := range writes {
			h.conclude(b, h.write(ctx, b))
		}
	}
	completed = true
}

// rescue is deferred, by itself, in goroutines that work for others: when the methods
// of a row's types or the driver panic there or end the goroutine, the operations of
// batches that are not over end likewise, each in its caller's goroutine.
func (h *hot[T, K]) rescue(batches []*batch[T, K], completed *bool) {
	if *completed {
		return
	}
	p := recover()
	for _, b := range batches {
		if b.over {
			continue
		}
		if len(b.ops) == 0 {
			b.ops = b.line.Take(nil, h.table.Policy().MaxBatch)
		}
		b.line.State = nil
		for _, t := range b.ops {
			if op := opOf[T](t); !op.broke() {
				op.panicked, op.exited = p, p == nil
			}
		}
		h.finish(b, nil)
	}
}

// write writes a batch by itself.
func (h *hot[T, K]) write(ctx context.Context, b *batch[T, K]) failure {
	judged := context.WithoutCancel(ctx) // that time is up is not the caller's doing
	w := h.writing(b)
	defer h.c.give(w.b)
	conn, err := h.c.writeConn(ctx, false)
	if err != nil {
		return w.failure(judged, dialects.Connecting, err)
	}
	defer conn.Release(false)
	n, err := h.c.writeRow(ctx, conn, w.b, w.st, w.row)
	switch {
	case err != nil:
		return w.failure(judged, dialects.Autocommit, err)
	case n == 0:
		return failure{w.conflictOf(nil), dialects.Retry}
	case n > 1:
		return w.several()
	}
	h.version(&b.last.row).Set(w.b.next)
	return failure{}
}

// writing is the batch as a single checked write.
func (h *hot[T, K]) writing(b *batch[T, K]) *writing[T, K] {
	w := &writing[T, K]{
		c: h.c, op: "mutate", st: &h.step, key: b.line.Key, b: h.c.take(),
		row: reflect.ValueOf(&b.last.row).Elem(),
	}
	w.b.expected.Set(h.version(b.base))
	w.b.next.Set(h.version(&b.last.row))
	return w
}

// read reads the rows of batches. It returns those that can go on.
func (h *hot[T, K]) read(ctx context.Context, batches, unread []*batch[T, K]) []*batch[T, K] {
	for _, b := range unread {
		b.arrived = b.line.Arrived()
	}
	var f failure
	if len(unread) == 1 {
		f = h.readOne(ctx, unread[0])
	} else {
		f = h.readMany(ctx, unread)
	}
	able := make([]*batch[T, K], 0, len(batches))
	for _, b := range batches {
		switch {
		case b.base != nil:
			able = append(able, b)
		case f.err != nil && f.outcome != dialects.Refused:
			b.ops = b.line.Take(nil, h.table.Policy().MaxBatch)
			h.again(b, f)
			h.detach(b.line, f, 0)
		default: // not there, or unreadable: a round of its own finds out
			b.over = true
			h.detach(b.line, failure{}, 0)
		}
	}
	return able
}

func (h *hot[T, K]) readOne(ctx context.Context, b *batch[T, K]) failure {
	row := new(T)
	buf := h.c.take()
	defer h.c.give(buf)
	found := false
	err := h.c.readOnce(ctx, false, func(q dialects.Querier) (err error) {
		found, err = h.c.selectRow(ctx, q, buf, &h.c.sel, b.line.Key, reflect.ValueOf(row).Elem())
		return err
	})
	if err != nil {
		return h.c.readFailure(context.WithoutCancel(ctx), "mutate", &b.line.Key, err)
	}
	if found {
		b.base = row
	}
	return failure{}
}

func (h *hot[T, K]) readMany(ctx context.Context, unread []*batch[T, K]) failure {
	keys := make([]K, len(unread))
	for i, b := range unread {
		keys[i] = b.line.Key
	}
	rows := make(map[K]T, len(keys))
	err := h.c.readOnce(ctx, false, func(q dialects.Querier) error { return h.c.readKeys(ctx, q, keys, rows) })
	if err != nil {
		return h.c.readFailure(context.WithoutCancel(ctx), "mutate", nil, err)
	}
	for _, b := range unread {
		if row, ok := rows[b.line.Key]; ok {
			b.base = &row
		}
	}
	return failure{}
}

// undecided ends a batch whose functions all failed. They have seen a row that
// nobody has checked: those that came after it was read run again on a fresh one.
func (h *hot[T, K]) undecided(b *batch[T, K]) {
	var again []*hotkey.Ticket
	ended := make([]*hotkey.Ticket, 0, len(b.ops))
	for _, t := range b.ops {
		if b.final(t) || opOf[T](t).broke() {
			ended = append(ended, t)
		} else {
			again = append(again, t)
		}
	}
	h.part(b, ended, nil, again)
}

// part ends some operations of a batch, and lets the others wait again.
func (h *hot[T, K]) part(b *batch[T, K], ended []*hotkey.Ticket, err error, again []*hotkey.Ticket) {
	b.line.State = nil
	b.ops = ended
	h.finish(b, err)
	for _, t := range again {
		opOf[T](t).err = nil // of this attempt
	}
	b.line.PutBack(again)
}

// conclude ends a batch whose write ended with f.
func (h *hot[T, K]) conclude(b *batch[T, K], f failure) {
	switch {
	case f.err == nil:
		h.remember(b)
		h.finish(b, nil)
	case f.outcome == dialects.Retry || f.outcome == dialects.Down:
		h.again(b, f)
		h.detach(b.line, f, 0)
	case f.outcome == dialects.Refused && len(b.ops) > 1: // whose fault is it?
		n := len(b.ops)
		h.again(b, f)
		h.detach(b.line, failure{}, n)
	default:
		h.end(b, f)
	}
}

// end ends a batch whose write failed for good, or perhaps not at all. Functions
// that failed by themselves were no part of it, but may have seen what it was to
// write: they run again.
func (h *hot[T, K]) end(b *batch[T, K], f failure) {
	wrote := make([]*hotkey.Ticket, 0, len(b.ops))
	var again []*hotkey.Ticket
	for _, t := range b.ops {
		if op := opOf[T](t); op.err == nil || op.broke() || b.final(t) {
			wrote = append(wrote, t)
		} else {
			again = append(again, t)
		}
	}
	h.part(b, wrote, f.err, again)
}

// remember keeps the row that was written for the next round.
func (h *hot[T, K]) remember(b *batch[T, K]) {
	b.line.State = nil
	row := new(T)
	if h.forward && !b.sole && h.copier.copy(row, &b.last.row) {
		b.line.State = row
	}
}

// finish ends the operations of a batch. Those that failed by themselves keep
// their error.
func (h *hot[T, K]) finish(b *batch[T, K], err error) {
	if b.over = true; b.rung == gated && len(b.ops) > 1 {
		b.rung = combined
	}
	for _, t := range b.ops {
		op := opOf[T](t)
		if op.err == nil {
			op.err = err
		}
		op.rung = b.rung
	}
	b.line.Finish(b.ops)
}

// again lets the operations of a batch wait after an attempt that failed. Those
// whose functions panicked are over.
func (h *hot[T, K]) again(b *batch[T, K], f failure) {
	var broke []*hotkey.Ticket
	again := make([]*hotkey.Ticket, 0, len(b.ops))
	for _, t := range b.ops {
		op := opOf[T](t)
		if op.broke() {
			broke = append(broke, t)
			continue
		}
		op.tries++
		if h.c.db.opts.Observer != nil {
			op.failed = append(op.failed, f)
		}
		again = append(again, t)
	}
	h.part(b, broke, nil, again)
}
