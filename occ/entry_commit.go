package occ

import (
	"context"
	"errors"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

func (e *entry[T, K]) at() *slot { return &e.slot }

// locate sets the place of the row. A key that cannot be bound fails when it is
// used.
func (e *entry[T, K]) locate() {
	e.table = e.c.tableName()
	e.bound, _ = e.c.keys.bind(nil, e.key)
	e.creates, e.changes = e.intent == inserts, e.intent != reads
}

// writing returns the entry's row as a single write.
func (e *entry[T, K]) writing(st *dialects.Statement) *writing[T, K] {
	w := &writing[T, K]{c: e.c, op: "transact", st: st, key: e.key, b: e.b}
	if e.state != nil {
		w.row = reflect.ValueOf(e.state).Elem()
	} else {
		w.row = reflect.ValueOf(new(T)).Elem()
		e.c.keys.set(w.row, e.key)
	}
	return w
}

func (e *entry[T, K]) settle(ctx context.Context, q dialects.Querier) (failure, error) {
	switch e.intent {
	case inserts:
		return e.settleInsert(ctx, q)
	case updates:
		st, err := e.statement()
		if err != nil {
			return failure{}, err
		}
		return e.settleWrite(ctx, q, st)
	case deletes:
		return e.settleWrite(ctx, q, &e.c.remove)
	default:
		return e.compare(ctx, q, &e.c.share)
	}
}

func (e *entry[T, K]) hold(ctx context.Context, q dialects.Querier) (failure, error) {
	switch e.intent {
	case inserts:
		return failure{}, nil
	case reads:
		return e.compare(ctx, q, &e.c.share)
	default:
		return e.compare(ctx, q, &e.c.lock)
	}
}

// inspect of an inserted row looks for one that the unit had not found.
func (e *entry[T, K]) inspect(ctx context.Context, q dialects.Querier) (failure, error) {
	if e.intent == inserts && !e.read {
		return failure{}, nil
	}
	return e.compare(ctx, q, &e.c.sel)
}

// statement returns the update of the columns that the unit wrote.
func (e *entry[T, K]) statement() (*dialects.Statement, error) {
	var columns []int
	all := true
	for i, col := range e.c.m.table.Columns {
		if e.columns[i] {
			columns = append(columns, i)
		} else if col.Writable() {
			all = false
		}
	}
	switch {
	case all:
		return &e.c.update, nil
	case len(columns) == 0:
		return &e.c.touch, nil
	default:
		return e.c.updateOf(columns)
	}
}

// settleWrite writes the row. When none matched although the version is right, it
// was deleted and inserted in between; now it is locked, and written once more.
func (e *entry[T, K]) settleWrite(ctx context.Context, q dialects.Querier, st *dialects.Statement) (failure, error) {
	w := e.writing(st)
	if st != &e.c.remove {
		if err := e.c.version.next(e.b.next, e.b.expected); err != nil {
			return failure{&OpError{Subject: w.subject(), Kind: ErrOverflow, Err: err}, dialects.Refused}, nil //nolint:nilerr // the failure holds it
		}
	}
	for tries := 1; ; tries++ {
		n, err := e.c.writeRow(ctx, q, e.b, st, w.row)
		switch {
		case err != nil:
			return failure{}, err
		case n == 1:
			return w.verify(ctx, q)
		case n > 1:
			return w.refuse(ErrNotUnique), nil
		case tries == 2:
			return w.unexplained(), nil
		}
		if f, err := e.compare(ctx, q, &e.c.lock); err != nil || f.err != nil {
			return f, err
		}
	}
}

func (e *entry[T, K]) settleInsert(ctx context.Context, q dialects.Querier) (failure, error) {
	row := *e.state
	i := &insertion[T, K]{c: e.c, op: "transact", row: &row, rv: reflect.ValueOf(&row).Elem(), b: e.b}
	if err := i.prepare(); err != nil {
		return failure{err, dialects.Refused}, nil //nolint:nilerr // the failure holds it
	}
	err := i.sendAndRead(ctx, q)
	e.result = &row
	return failure{}, err
}

// compare reads the row with st and tells how it differs from what the unit
// believes.
func (e *entry[T, K]) compare(ctx context.Context, q dialects.Querier, st *dialects.Statement) (failure, error) {
	w := e.writing(&e.c.update)
	if !e.exists {
		found, err := e.c.selectRow(ctx, q, e.b, st, e.key, reflect.ValueOf(new(T)).Elem())
		if err == nil && found {
			return failure{&OpError{Subject: w.subject(), Kind: ErrConflict, Err: errAppeared}, dialects.Retry}, nil
		}
		return failure{}, err
	}
	f, err := w.compare(ctx, q, st)
	if err == nil && f.err != nil && e.read && !errors.Is(f.err, ErrSuppressed) {
		f.outcome = dialects.Retry
	}
	return f, err
}

var errAppeared = errors.New("the row was not there when the unit read it, and is there now")
