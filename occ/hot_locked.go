package occ

import (
	"context"
	"reflect"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/hotkey"
	"github.com/occkit/occkit/occ/retry"
)

// detach goes on with a line by itself, in locked rounds: after a failed attempt f
// as soon as the retry policy allows, and for so many operations one at a time.
func (h *hot[T, K]) detach(l *hotkey.Line[K], f failure, singly int) {
	h.detachAfter(l, h.c.db.opts.Retry.Start(), f, singly)
}

// detachConflicted goes on with a line where an operation waits that has made an
// attempt by itself, and met a conflict.
func (h *hot[T, K]) detachConflicted(l *hotkey.Line[K]) {
	a := h.c.db.opts.Retry.Start()
	a.Skip()
	l.State = nil
	h.detachAfter(l, a, failure{}, 0)
}

func (h *hot[T, K]) detachAfter(l *hotkey.Line[K], a retry.Attempts, f failure, singly int) {
	l.Detach()
	go func() {
		defer l.Release()
		h.insist(l, f, singly, &a)
	}()
}

func (h *hot[T, K]) insist(l *hotkey.Line[K], f failure, singly int, a *retry.Attempts) {
	for {
		if f.err != nil {
			if err := f.next(context.Background(), a); err != nil { // callers leave by themselves
				h.giveUp(l, err)
				return
			}
		}
		limit := h.table.Policy().MaxBatch
		if singly > 0 {
			limit = 1
		}
		b := &batch[T, K]{line: l, rung: locked}
		f = h.guardedRound(b, limit, f.outcome == dialects.Down)
		switch {
		case f.outcome == dialects.Refused && f.err != nil: // whose fault is it?
			singly = len(b.ops)
			h.again(b, f)
			f = failure{}
		case f.err != nil:
			h.again(b, f)
		default:
			if singly -= max(1, len(b.ops)); singly <= 0 {
				return
			}
		}
	}
}

// guardedRound is lockedRound, in a goroutine where other people's code may panic.
func (h *hot[T, K]) guardedRound(b *batch[T, K], limit int, afterOutage bool) failure {
	completed := false
	defer h.rescue([]*batch[T, K]{b}, &completed)
	f := h.lockedRound(b, limit, afterOutage)
	completed = true
	return f
}

// giveUp ends the operations that were part of the last attempt.
func (h *hot[T, K]) giveUp(l *hotkey.Line[K], err error) {
	ops := l.Take(nil, h.table.Policy().MaxBatch)
	n := 0
	for n < len(ops) && opOf[T](ops[n]).tries > 0 {
		n++
	}
	l.PutBack(ops[n:])
	if n > 0 {
		h.complete(l.Key, err)
	}
	for _, t := range ops[:n] {
		opOf[T](t).err = err
	}
	l.Finish(ops[:n])
}

// complete gives the conflict of exhausted attempts its current row, before anybody
// else knows of it.
func (h *hot[T, K]) complete(key K, err error) {
	m := mutation[T, K]{w: writing[T, K]{c: h.c, op: "mutate", key: key, b: h.c.take()}}
	defer h.c.give(m.w.b)
	ctx, cancel := h.c.db.detached(context.Background())
	defer cancel()
	m.complete(ctx, err)
}

// lockedRound is a round in a transaction that locks the row first: what it reads
// is current, and nobody is faster. The zero failure means that the operations of
// b have ended. After a failure they have not; one that is Refused is the fault
// of one of several.
func (h *hot[T, K]) lockedRound(b *batch[T, K], limit int, afterOutage bool) failure {
	judged := context.Background() // that time is up is not the caller's doing
	ctx, cancel := h.c.db.detached(judged)
	defer cancel()
	s := h.c.subject("mutate", b.line.Key)
	var found failure
	conn, err := h.c.writeConn(ctx, afterOutage)
	if err == nil {
		u := unit{db: h.c.db, conn: conn}
		defer func() { conn.Release(u.dirty) }()
		err = u.run(ctx, func() (commit bool, err error) {
			found, err = h.underLock(ctx, &u, b, limit)
			return found.err == nil && b.last != nil, err
		})
		if err != nil {
			found = h.c.writeFailure(judged, s, u.phase, err)
		}
	} else {
		found = h.c.writeFailure(judged, s, dialects.Connecting, err)
	}
	if len(b.ops) == 0 && found.err != nil { // it did not get as far as to take them
		b.ops = b.line.Take(nil, limit)
	}
	switch {
	case found.outcome == dialects.Retry || found.outcome == dialects.Down:
		return found
	case found.err != nil && found.outcome == dialects.Refused && len(b.ops) > 1 && b.last != nil:
		return found
	case found.err != nil && b.last != nil:
		h.end(b, found)
		return failure{}
	case found.err == nil && b.last != nil:
		h.remember(b)
	}
	h.finish(b, found.err)
	return failure{}
}

// underLock reads, applies and writes. Found is what ends all operations, err an
// error of the database.
func (h *hot[T, K]) underLock(ctx context.Context, u *unit, b *batch[T, K], limit int) (found failure, err error) {
	b.base = new(T)
	buf := h.c.take()
	defer h.c.give(buf)
	exists, err := h.c.selectRow(ctx, u.conn, buf, &h.c.lock, b.line.Key, reflect.ValueOf(b.base).Elem())
	if err != nil {
		return failure{}, err
	}
	if !exists {
		return h.missing(ctx, u.conn, b, limit)
	}
	h.apply([]*batch[T, K]{b}, true, limit)
	if b.last == nil {
		return failure{}, nil
	}
	w := h.writing(b)
	defer h.c.give(w.b)
	if f, err := w.writeLast(ctx, u); err != nil || f.err != nil {
		return f, err
	}
	h.version(&b.last.row).Set(w.b.next)
	return failure{}, nil
}

// missing tells the operations that the row is not there, or not theirs to write.
func (h *hot[T, K]) missing(ctx context.Context, q dialects.Querier, b *batch[T, K], limit int) (failure, error) {
	b.ops = b.line.Take(b.ops[:0], limit) // before the read that decides about them
	w := &writing[T, K]{c: h.c, op: "mutate", st: &h.c.update, key: b.line.Key, b: h.c.take()}
	defer h.c.give(w.b)
	return w.absent(ctx, q)
}
