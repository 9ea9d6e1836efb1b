package occ

import (
	"reflect"
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
	slot
	c  *core[T, K]
	tx *Tx

	key    K
	exists bool     // as far as the unit knows; version.expected is valid then
	read   bool     // the unit itself read the row: running it again can help
	state  *T       // the row as the unit sees it; nil when absent or deleted
	loaded bool     // state holds all columns, not just the written ones
	b      *buffers // b.expected is the version that the unit believes in

	intent    intent
	columns   []bool // columns that updates writes
	targets   []target[T, K]
	anonymous bool // an insert whose key the server will generate
	entered   bool // among the members of the unit
	result    *T   // what an insert made of the row
}

// target is a row of the caller's, which gets the outcome. Key and version are
// what it held when it was given: with others it has become another row meanwhile.
type target[T any, K comparable] struct {
	row     *T
	key     K
	version reflect.Value
}

// entry returns the unit's entry of a key, or nil.
func (c *core[T, K]) entry(tx *Tx, key K) *entry[T, K] {
	e, _ := tx.rows[rowID{c, key}].(*entry[T, K])
	return e
}

// fresh returns an entry of which nothing is known yet. It becomes a member of the
// unit by being read or written.
func (c *core[T, K]) fresh(tx *Tx, key K) *entry[T, K] {
	return &entry[T, K]{c: c, tx: tx, key: key, b: newBuffers(c.version.typ), columns: make([]bool, len(c.m.fields))}
}

// known tells whether the entry has been read or written.
func (e *entry[T, K]) known() bool { return e.entered }

// enter makes the entry a member. The caller holds tx.mu.
func (e *entry[T, K]) enter() {
	if e.entered {
		return
	}
	e.entered = true
	e.tx.members = append(e.tx.members, e)
	if !e.anonymous {
		e.tx.rows[rowID{e.c, e.key}] = e
	}
}

// wrote notes a write, for the order of the body.
func (e *entry[T, K]) wrote() {
	e.enter()
	e.tx.writes++
	e.written = e.tx.writes
}

// remember takes over a row that the unit read; nil: there is none.
func (e *entry[T, K]) remember(row *T) {
	e.enter()
	e.read, e.loaded = true, true
	e.exists, e.state = row != nil, row
	if row != nil {
		e.b.expected.Set(e.version(row))
	}
}

func (e *entry[T, K]) version(row *T) reflect.Value {
	return e.c.version.field.of(reflect.ValueOf(row).Elem())
}

// check refuses a write of a row that is not the one which the unit knows. It
// changes nothing.
func (e *entry[T, K]) check(op string, row *T) error {
	switch {
	case e.intent == inserts:
		return nil // nobody else can have changed it
	case e.state == nil && (e.read || e.intent == deletes):
		return &OpError{Subject: e.c.subject(op, e.key), Kind: ErrGone, Expected: e.version(row).Interface()}
	case e.exists && !e.c.version.same(e.version(row), e.b.expected):
		conflict := &Conflict[T]{Subject: e.c.subject(op, e.key), Expected: e.version(row).Interface(), Actual: e.b.expected.Interface()}
		if e.loaded {
			current := *e.state
			conflict.Current = &current
		}
		return conflict
	default:
		return nil
	}
}

// believe takes the caller's version for that of a row which the unit has not
// read.
func (e *entry[T, K]) believe(row *T) {
	if e.intent != inserts && !e.exists {
		e.exists = true
		e.b.expected.Set(e.version(row))
	}
}

// update buffers a write of some columns of row, which has been checked.
func (e *entry[T, K]) update(row *T, columns []int) {
	e.believe(row)
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
	if e.intent != inserts { // an inserted row keeps its place
		e.intent = updates
		e.wrote()
	}
	e.target(row)
}

func (e *entry[T, K]) target(row *T) {
	held := reflect.New(e.c.version.typ).Elem()
	held.Set(e.version(row))
	e.targets = append(e.targets, target[T, K]{row, e.c.keys.of(reflect.ValueOf(row).Elem()), held})
	e.tx.owners[row] = e
}

// remove buffers a delete of a row that has been checked.
func (e *entry[T, K]) remove(row *T) {
	e.believe(row)
	inserted := e.intent == inserts
	e.intent, e.state, e.targets = deletes, nil, nil
	e.wrote()
	switch {
	case inserted && e.read: // it was absent before, and is again
		e.intent = reads
	case inserted:
		e.drop()
	}
}

// drop makes the entry none of the unit's.
func (e *entry[T, K]) drop() {
	e.intent, e.dropped = reads, true
	delete(e.tx.rows, rowID{e.c, e.key})
}

// checkInsert refuses to insert a row that is there.
func (e *entry[T, K]) checkInsert(op string) error {
	if e.state != nil {
		return &OpError{Subject: e.c.subject(op, e.key), Kind: ErrDuplicate}
	}
	return nil
}

// insert buffers a new row, which has been checked.
func (e *entry[T, K]) insert(row *T) {
	state := *row
	e.state, e.loaded = &state, true
	e.wrote()
	e.target(row)
	if e.intent == deletes { // the same row with new values: its versions go on
		e.intent = updates
		for i, col := range e.c.m.table.Columns {
			e.columns[i] = col.Writable()
		}
		e.version(e.state).Set(e.b.expected)
		return
	}
	e.intent = inserts
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

// committed takes over the outcome into the caller's rows: those that still are
// what was written.
func (e *entry[T, K]) committed() {
	for _, t := range e.targets {
		key := e.c.keys.of(reflect.ValueOf(t.row).Elem())
		if key != t.key || !e.c.version.same(e.version(t.row), t.version) || e.tx.owners[t.row] != member(e) {
			continue
		}
		if e.result != nil {
			*t.row = *e.result
		} else if e.intent == updates {
			e.version(t.row).Set(e.b.next)
		}
	}
}
