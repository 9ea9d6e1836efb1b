package occ

import (
	"context"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

func (b *bulk[T, K]) subject() Subject { return Subject{Op: b.op, Table: b.c.tableName()} }

// refused is the outcome of a row for a reason that another attempt would not
// change.
func (b *bulk[T, K]) refused(it *bulkItem[T, K], kind, cause error) error {
	err := &OpError{Subject: b.c.subject(b.op, it.key), Kind: kind, Err: cause}
	if b.verb != dialects.BulkInsert {
		err.Expected = b.c.version.field.of(it.row).Interface()
	}
	return err
}

// stale is the outcome of a row that has another version.
func (b *bulk[T, K]) stale(it *bulkItem[T, K], current *T) error {
	return &Conflict[T]{
		Subject:  b.c.subject(b.op, it.key),
		Expected: b.c.version.field.of(it.row).Interface(),
		Actual:   b.c.version.field.of(reflect.ValueOf(current).Elem()).Interface(),
		Current:  current,
	}
}

// swallowed is the outcome of a row that the database did not write although its
// version is right.
func (b *bulk[T, K]) swallowed(it *bulkItem[T, K]) error {
	if b.tx != nil && b.c.version.kind == dialects.Xmin && b.verb != dialects.BulkInsert {
		return b.refused(it, ErrUsage, errXminTwice)
	}
	return b.refused(it, ErrSuppressed, nil)
}

// failure judges an error of the database.
func (b *bulk[T, K]) failure(ctx context.Context, phase dialects.Phase, err error) failure {
	return b.c.writeFailure(ctx, b.subject(), phase, err)
}

// failed returns the error of the rows that were in the way; nil when there are
// none.
func (b *bulk[T, K]) failed(part []*bulkItem[T, K]) error {
	err := &BulkError{Subject: b.subject(), Mode: b.mode, Total: len(b.items)}
	for _, it := range part {
		if it.err != nil {
			err.Rows = append(err.Rows, it.err)
		}
	}
	if len(err.Rows) == 0 {
		return nil
	}
	return err
}

// anyFailed tells whether a row was in the way.
func anyFailed[T any, K comparable](part []*bulkItem[T, K]) bool {
	for _, it := range part {
		if it.err != nil {
			return true
		}
	}
	return false
}

// conclude tells the caller, and gives the rows that were written their versions.
func (b *bulk[T, K]) conclude(rows []T, whole error) ([]Outcome, error) {
	outcomes := make([]Outcome, len(rows))
	all := make([]*bulkItem[T, K], len(rows))
	for i := range all {
		all[i] = &b.items[i]
	}
	err := whole
	if err == nil {
		err = b.failed(all)
	}
	for i, it := range all {
		switch {
		case whole != nil:
			outcomes[i].Err = whole
		case it.err != nil:
			outcomes[i].Err = it.err
		case err != nil && b.mode == AllOrNothing:
			outcomes[i].Err = ErrNotApplied
		default:
			outcomes[i].Version = b.publish(&rows[i], it)
		}
	}
	return outcomes, err
}

// publish takes a row over to the caller, and returns its version. In a joined
// transaction nobody knows yet whether it will commit.
func (b *bulk[T, K]) publish(row *T, it *bulkItem[T, K]) any {
	rv := reflect.ValueOf(row).Elem()
	switch {
	case b.verb == dialects.BulkDelete:
		return nil
	case b.tx != nil:
	case b.verb == dialects.BulkInsert:
		rv.Set(it.result)
		b.c.version.field.of(rv).Set(it.next)
	default:
		b.c.version.field.of(rv).Set(it.next)
	}
	return it.next.Interface()
}

// buffer leaves the rows to the unit of work: all or none of them, unless the call
// does its best.
func (b *bulk[T, K]) buffer(tx *Tx, rows []T) ([]Outcome, error) {
	all := make([]*bulkItem[T, K], len(rows))
	for i := range all {
		all[i] = &b.items[i]
	}
	ended := tx.add(func() {
		for i := range rows {
			all[i].err = b.check(tx, &rows[i], all[i].key)
		}
		if b.mode == AllOrNothing && anyFailed(all) {
			return
		}
		for i := range rows {
			if all[i].err == nil {
				all[i].err = b.leave(tx, &rows[i])
			}
		}
	})
	if ended != nil {
		return nil, ended
	}
	err := b.failed(all)
	outcomes := make([]Outcome, len(rows))
	for i, it := range all {
		if outcomes[i].Err = it.err; it.err == nil && err != nil && b.mode == AllOrNothing {
			outcomes[i].Err = ErrNotApplied
		}
	}
	return outcomes, err
}

// check tells what stands in the way of buffering a row.
func (b *bulk[T, K]) check(tx *Tx, row *T, key K) error {
	e := b.c.entry(tx, key)
	switch {
	case e == nil:
		return nil
	case b.verb == dialects.BulkInsert && b.c.keyLeftOut(reflect.ValueOf(row).Elem()):
		return nil
	case b.verb == dialects.BulkInsert:
		return e.checkInsert(b.op)
	default:
		return e.check(b.op, row)
	}
}

// leave buffers a row.
func (b *bulk[T, K]) leave(tx *Tx, row *T) error {
	if b.verb == dialects.BulkInsert {
		return b.c.bufferInsert(tx, b.op, row)
	}
	return b.c.buffer(tx, b.op, b.st, row, b.c.writes)
}
