package occ

import (
	"context"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// begin refuses calls that cannot be right: a repository that In could not bind,
// a unit of work that has ended, a repository outside of the unit that the
// context belongs to.
func (r *Repository[T, K]) begin(ctx context.Context, op string) error {
	switch {
	case r.err != nil:
		return r.err
	case r.unit != nil:
		return r.unit.add(func() {})
	case r.tx == nil && unitOf(ctx, r.core.db) != nil:
		return &OpError{Subject: Subject{Op: op, Table: r.core.tableName()}, Err: errOutside}
	default:
		return nil
	}
}

// unitGet returns the row as the unit sees it, and remembers what it read.
func (r *Repository[T, K]) unitGet(ctx context.Context, key K) (T, error) {
	var none T
	c, tx := r.core, r.unit
	if row, known, err := c.seen(tx, key); known {
		return row, err
	}
	outside := Repository[T, K]{core: c}
	row, err := outside.get(ctx, key)
	found := &row
	if isNotFound(err) {
		found = nil
	} else if err != nil {
		return none, err
	}
	tx.mu.Lock()
	e := c.entry(tx, key)
	switch {
	case e == nil:
		c.enter(tx, key).remember(found)
	case !e.loaded && e.state != nil:
		err = e.overlay(found)
	}
	tx.mu.Unlock()
	if err != nil && found != nil {
		return none, err
	}
	row, _, err = c.seen(tx, key)
	return row, err
}

// seen returns the row as the unit knows it; known is false when it has to be
// read.
func (c *core[T, K]) seen(tx *Tx, key K) (row T, known bool, err error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	e := c.entry(tx, key)
	switch {
	case e == nil:
		return row, false, nil
	case e.state == nil:
		return row, true, &OpError{Subject: c.subject("get", key), Kind: ErrNotFound}
	case !e.loaded:
		return row, false, nil
	default:
		return *e.state, true, nil
	}
}

// unitRows remembers rows that a query returned, and replaces them by what the
// unit made of them.
func (c *core[T, K]) unitRows(tx *Tx, rows []T) ([]T, error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	kept := rows[:0]
	for i := range rows {
		row := rows[i]
		key := c.keys.of(reflect.ValueOf(&row).Elem())
		e := c.entry(tx, key)
		switch {
		case e == nil:
			e = c.enter(tx, key)
			e.remember(&row)
		case e.state != nil && !e.loaded:
			if err := e.overlay(&row); err != nil {
				return kept, err
			}
		}
		if e.state != nil {
			kept = append(kept, *e.state)
		}
	}
	return kept, nil
}

// unitWrite buffers an update of columns, or with nil for a delete.
func (r *Repository[T, K]) unitWrite(op string, st *dialects.Statement, row *T, columns []int) error {
	c, tx := r.core, r.unit
	key := c.keys.of(reflect.ValueOf(row).Elem())
	tx.mu.Lock()
	defer tx.mu.Unlock()
	e := c.entry(tx, key)
	if e == nil {
		e = c.enter(tx, key)
	}
	if st == &c.remove {
		return e.remove(row)
	}
	return e.update(op, row, columns)
}

// unitInsert buffers an insert. A row whose key the server generates has no key
// yet, and cannot be read in the unit.
func (r *Repository[T, K]) unitInsert(op string, row *T) error {
	c, tx := r.core, r.unit
	rv := reflect.ValueOf(row).Elem()
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if c.keyLeftOut(rv) {
		e := c.enter(tx, c.keys.of(rv))
		delete(tx.rows, rowID{c, e.key})
		tx.rows[rowID{c, row}] = e
		return e.insert(op, row)
	}
	e := c.entry(tx, c.keys.of(rv))
	if e == nil {
		e = c.enter(tx, c.keys.of(rv))
	}
	return e.insert(op, row)
}

// keyLeftOut tells whether the server generates a key column of row.
func (c *core[T, K]) keyLeftOut(row reflect.Value) bool {
	for _, i := range c.m.keys {
		if c.m.table.Columns[i].Generated && c.m.fields[i].of(row).IsZero() {
			return true
		}
	}
	return false
}

// unitMutate changes the row in the unit.
func (r *Repository[T, K]) unitMutate(ctx context.Context, key K, change func(*T) error) (T, error) {
	row, err := r.unitGet(ctx, key)
	if err != nil {
		return row, err
	}
	m := mutation[T, K]{writing: writing[T, K]{c: r.core, op: "mutate", key: key, row: reflect.ValueOf(&row).Elem()}, change: change}
	version := reflect.New(r.core.version.typ).Elem()
	version.Set(r.core.version.field.of(m.row))
	err = m.apply(&row)
	if err == nil {
		r.core.version.field.of(m.row).Set(version)
		err = r.unitWrite("mutate", &r.core.update, &row, r.core.writes)
	}
	if err != nil {
		var none T
		return none, err
	}
	return row, nil
}
