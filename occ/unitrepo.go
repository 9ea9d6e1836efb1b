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
	if ended := tx.add(func() { err = c.learn(tx, key, found) }); ended != nil {
		return none, ended
	}
	if err != nil {
		return none, err
	}
	row, _, err = c.seen(tx, key)
	return row, err
}

// unitGetMany reads what the unit does not know yet, and remembers what is absent.
func (r *Repository[T, K]) unitGetMany(ctx context.Context, keys []K) (map[K]T, error) {
	c, tx := r.core, r.unit
	var unknown []K
	for _, key := range keys {
		if _, known, _ := c.seen(tx, key); !known {
			unknown = append(unknown, key)
		}
	}
	outside := Repository[T, K]{core: c}
	read, err := outside.GetMany(context.WithValue(ctx, unitKey{c.db}, nil), unknown)
	if err != nil {
		return nil, err
	}
	ended := tx.add(func() {
		for _, row := range read {
			if err == nil {
				err = c.learn(tx, c.keys.of(reflect.ValueOf(&row).Elem()), &row)
			}
		}
	})
	if ended != nil || err != nil {
		return nil, firstOf(ended, err)
	}
	found := make(map[K]T, len(keys)) // by the keys that rows have; single reads tell about the others
	return found, r.getEach(ctx, keys, found)
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// learn takes over what was read under a key; nil: there is no row. The caller
// holds tx.mu. The database may have another idea of equal keys than Go: the row's
// own key counts, and the one that was asked for is another name of it.
func (c *core[T, K]) learn(tx *Tx, key K, found *T) error {
	e := c.entry(tx, key)
	if found != nil {
		own := c.keys.of(reflect.ValueOf(found).Elem())
		if other := c.entry(tx, own); own != key && (e == nil || other == nil) {
			if e == nil {
				e = other
			}
			defer func() { tx.rows[rowID{c, key}], tx.rows[rowID{c, own}] = e, e }()
			if e == nil {
				e = c.fresh(tx, own)
			}
		}
	}
	switch {
	case e == nil:
		e = c.fresh(tx, key)
		fallthrough
	case !e.known():
		e.remember(found)
	case !e.loaded && e.state != nil:
		return e.overlay(found)
	}
	return nil
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
func (c *core[T, K]) unitRows(tx *Tx, rows []T) (kept []T, err error) {
	kept = rows[:0]
	ended := tx.add(func() {
		for i := range rows {
			row := rows[i]
			key := c.keys.of(reflect.ValueOf(&row).Elem())
			if err = c.learn(tx, key, &row); err != nil {
				return
			}
			if e := c.entry(tx, key); e.state != nil {
				kept = append(kept, *e.state)
			}
		}
	})
	return kept, firstOf(ended, err)
}

// unitWrite buffers an update of columns, or with nil for a delete.
func (r *Repository[T, K]) unitWrite(op string, st *dialects.Statement, row *T, columns []int) (err error) {
	ended := r.unit.add(func() { err = r.core.buffer(r.unit, op, st, row, columns) })
	return firstOf(ended, err)
}

// buffer is unitWrite for a caller that holds tx.mu.
func (c *core[T, K]) buffer(tx *Tx, op string, st *dialects.Statement, row *T, columns []int) error {
	key := c.keys.of(reflect.ValueOf(row).Elem())
	e := c.entry(tx, key)
	if e == nil {
		e = c.fresh(tx, key)
	}
	if err := e.check(op, row); err != nil {
		return err
	}
	if st == &c.remove {
		e.remove(row)
	} else {
		e.update(row, columns)
	}
	return nil
}

// unitInsert buffers an insert. A row whose key the server generates has no key
// yet, and cannot be read in the unit.
func (r *Repository[T, K]) unitInsert(op string, row *T) (err error) {
	ended := r.unit.add(func() { err = r.core.bufferInsert(r.unit, op, row) })
	return firstOf(ended, err)
}

// bufferInsert is unitInsert for a caller that holds tx.mu.
func (c *core[T, K]) bufferInsert(tx *Tx, op string, row *T) error {
	rv := reflect.ValueOf(row).Elem()
	e := (*entry[T, K])(nil)
	if !c.keyLeftOut(rv) {
		e = c.entry(tx, c.keys.of(rv))
	}
	if e == nil {
		e = c.fresh(tx, c.keys.of(rv))
		e.anonymous = c.keyLeftOut(rv)
	}
	if err := e.checkInsert(op); err != nil {
		return err
	}
	e.insert(row)
	return nil
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
	m := mutation[T, K]{w: writing[T, K]{c: r.core, op: "mutate", key: key, row: reflect.ValueOf(&row).Elem()}, change: change}
	version := reflect.New(r.core.version.typ).Elem()
	version.Set(r.core.version.field.of(m.w.row))
	err = m.apply(&row)
	if err == nil {
		r.core.version.field.of(m.w.row).Set(version)
		err = r.unitWrite("mutate", &r.core.update, &row, r.core.writes)
	}
	if err != nil {
		var none T
		return none, err
	}
	return row, nil
}
