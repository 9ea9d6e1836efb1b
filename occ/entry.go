package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// intent is what a unit of work does with a row.
type intent uint8

const (
	reads intent = iota
	inserts
	updates
	deletes
)

// entry is one row of a unit of work.
type entry[T any, K comparable] struct {
	c  *core[T, K]
	tx *Tx

	key    K
	exists bool     // as far as the unit knows; version.expected is valid then
	read   bool     // the unit itself read the row: running it again can help
	state  *T       // the row as the unit sees it; nil when absent or deleted
	loaded bool     // state holds all columns, not just the written ones
	b      *buffers // b.expected is the version that the unit believes in

	intent  intent
	columns []bool // columns that updates writes
	targets []*T   // the caller's rows, which get the outcome
	result  *T     // what an insert made of the row
}

// entry returns the unit's entry of a key, or nil.
func (c *core[T, K]) entry(tx *Tx, key K) *entry[T, K] {
	e, _ := tx.rows[rowID{c, key}].(*entry[T, K])
	return e
}

// enter adds an entry. The caller holds tx.mu.
func (c *core[T, K]) enter(tx *Tx, key K) *entry[T, K] {
	e := &entry[T, K]{c: c, tx: tx, key: key, b: newBuffers(c.version.typ), columns: make([]bool, len(c.m.fields))}
	tx.rows[rowID{c, key}] = e
	return e
}

func (e *entry[T, K]) place() (table string, key []any) {
	bound, _ := e.c.keys.bind(nil, e.key) // a key that cannot be bound fails when it is used
	return e.c.tableName(), bound
}

func (e *entry[T, K]) writes() bool { return e.intent != reads }

// remember takes over a row that the unit read; nil: there is none.
func (e *entry[T, K]) remember(row *T) {
	e.read, e.loaded = true, true
	e.exists, e.state = row != nil, row
	if row != nil {
		e.b.expected.Set(e.version(row))
	}
}

func (e *entry[T, K]) version(row *T) reflect.Value {
	return e.c.version.field.of(reflect.ValueOf(row).Elem())
}

// believe makes sure that a row which the caller wants to write is the one that
// the unit knows, or takes the caller's version for it.
func (e *entry[T, K]) believe(op string, row *T) error {
	switch {
	case e.intent == inserts:
		return nil // nobody else can have changed it
	case e.state == nil && (e.read || e.intent == deletes):
		return &OpError{Subject: e.c.subject(op, e.key), Kind: ErrGone, Expected: e.version(row).Interface()}
	case !e.exists:
		e.exists = true
		e.b.expected.Set(e.version(row))
	case !e.c.version.same(e.version(row), e.b.expected):
		conflict := &Conflict[T]{Subject: e.c.subject(op, e.key), Expected: e.version(row).Interface(), Actual: e.b.expected.Interface()}
		if e.loaded {
			current := *e.state
			conflict.Current = &current
		}
		return conflict
	}
	return nil
}

// update buffers a write of some columns of row.
func (e *entry[T, K]) update(op string, row *T, columns []int) error {
	if err := e.believe(op, row); err != nil {
		return err
	}
	if e.state == nil {
		e.state = new(T)
		*e.state = *row
	}
	from, to := reflect.ValueOf(row).Elem(), reflect.ValueOf(e.state).Elem()
	for _, i := range columns {
		f := &e.c.m.fields[i]
		f.of(to).Set(f.of(from))
		e.columns[i] = true
	}
	if e.intent != inserts {
		e.intent = updates
	}
	e.targets = append(e.targets, row)
	return nil
}

// remove buffers a delete.
func (e *entry[T, K]) remove(row *T) error {
	if err := e.believe("delete", row); err != nil {
		return err
	}
	inserted := e.intent == inserts
	e.intent, e.state, e.targets = deletes, nil, nil
	switch {
	case inserted && e.read: // it was absent before, and is again
		e.intent = reads
	case inserted:
		delete(e.tx.rows, rowID{e.c, e.key})
	}
	return nil
}

// insert buffers a new row.
func (e *entry[T, K]) insert(op string, row *T) error {
	if e.state != nil {
		return &OpError{Subject: e.c.subject(op, e.key), Kind: ErrDuplicate}
	}
	state := *row
	e.state, e.loaded = &state, true
	e.targets = append(e.targets, row)
	if e.intent == deletes { // the same row with new values: its versions go on
		e.intent = updates
		for i, col := range e.c.m.table.Columns {
			e.columns[i] = col.Writable()
		}
		e.version(e.state).Set(e.b.expected)
		return nil
	}
	e.intent = inserts
	return nil
}

// overlay completes a row that was written without being loaded.
func (e *entry[T, K]) overlay(row *T) error {
	if row == nil {
		return &OpError{Subject: e.c.subject("get", e.key), Kind: ErrGone, Expected: e.b.expected.Interface()}
	}
	if actual := e.version(row); !e.c.version.same(actual, e.b.expected) {
		return &Conflict[T]{Subject: e.c.subject("get", e.key), Expected: e.b.expected.Interface(), Actual: actual.Interface(), Current: row}
	}
	from, to := reflect.ValueOf(e.state).Elem(), reflect.ValueOf(row).Elem()
	for i, written := range e.columns {
		if f := &e.c.m.fields[i]; written {
			f.of(to).Set(f.of(from))
		}
	}
	e.state, e.loaded = row, true
	return nil
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

func (e *entry[T, K]) settleWrite(ctx context.Context, q dialects.Querier, st *dialects.Statement) (failure, error) {
	w := e.writing(st)
	if st != &e.c.remove {
		if err := e.c.version.next(e.b.next, e.b.expected); err != nil {
			return failure{&OpError{Subject: w.subject(), Kind: ErrOverflow, Err: err}, dialects.Refused}, nil //nolint:nilerr // the failure holds it
		}
	}
	n, err := e.c.writeRow(ctx, q, e.b, st, w.row)
	switch {
	case err != nil:
		return failure{}, err
	case n == 0:
		f, err := e.compare(ctx, q, &e.c.lock)
		if err == nil && f.err == nil {
			f = w.unexplained()
		}
		return f, err
	case n > 1:
		return w.refuse(ErrNotUnique), nil
	default:
		return w.verify(ctx, q)
	}
}

// settleInsert inserts. A row that the unit looked for and did not find, and that
// somebody else inserted since, is a conflict: running again will find it.
func (e *entry[T, K]) settleInsert(ctx context.Context, q dialects.Querier) (failure, error) {
	row := *e.state
	i := &insertion[T, K]{c: e.c, op: "transact", row: &row, rv: reflect.ValueOf(&row).Elem(), b: e.b}
	if err := i.prepare(); err != nil {
		return failure{err, dialects.Refused}, nil //nolint:nilerr // the failure holds it
	}
	err := i.sendAndRead(ctx, q)
	if err != nil && e.read && e.c.db.Classify(err) == dialects.Duplicate {
		return failure{}, &appearedError{err}
	}
	e.result = &row
	return failure{}, err
}

func (e *entry[T, K]) inspect(ctx context.Context, q dialects.Querier) (failure, error) {
	if e.intent == inserts {
		return failure{}, nil
	}
	return e.compare(ctx, q, &e.c.sel)
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

func (e *entry[T, K]) committed() {
	for _, row := range e.targets {
		switch {
		case e.result != nil:
			*row = *e.result
		case e.intent == updates:
			e.version(row).Set(e.b.next)
		}
	}
}

var errAppeared = errors.New("the row was not there when the unit read it, and is there now")

// appearedError is a duplicate key where the unit had seen no row.
type appearedError struct{ err error }

func (e *appearedError) Error() string        { return fmt.Sprintf("%v: %v", errAppeared, e.err) }
func (e *appearedError) Unwrap() error        { return e.err }
func (e *appearedError) Is(target error) bool { return target == ErrConflict }
