package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// Bounds of one statement with arrays. PostgreSQL's is one gigabyte for a value.
const (
	arrayRows = 1 << 16
	arraySize = 128 << 20
)

// arrays writes the rows with one statement and one array for each column.
type arrays[T any, K comparable] struct {
	call      *bulk[T, K]
	dialect   dialects.ArrayWriter
	types     []string
	all, each dialects.Statement // with and without ArrayWrite.All
	sure      dialects.Statement // with ArrayWrite.Sure; none for an insert
}

// arrayKey is what statements with arrays are cached by.
type arrayKey struct {
	verb dialects.BulkVerb
	mask string // columns that an insert leaves to the server
	// see ArrayWrite
	all, sure, plain bool
}

func (b *bulk[T, K]) arrays(d dialects.ArrayWriter, types []string, mask string) (bulkWay[T, K], error) {
	w := &arrays[T, K]{call: b, dialect: d, types: types}
	var err error
	if w.all, err = w.statement(arrayKey{verb: b.verb, mask: mask, all: true}); err == nil {
		w.each, err = w.statement(arrayKey{verb: b.verb, mask: mask})
	}
	if err == nil && b.verb != dialects.BulkInsert {
		w.sure, err = w.statement(arrayKey{verb: b.verb, all: true, sure: true, plain: b.c.plain.Load()})
	}
	if err != nil {
		return nil, &notSentError{err}
	}
	return w, nil
}

// statement returns a statement, compiled once.
func (w *arrays[T, K]) statement(key arrayKey) (dialects.Statement, error) {
	if st, ok := w.call.c.bulks.Load(key); ok {
		return st.(dialects.Statement), nil
	}
	t := &w.call.c.m.table
	if key.verb == dialects.BulkInsert {
		t = w.call.c.insertTable(key.mask)
	}
	st, err := w.dialect.ArrayWrite(t, dialects.ArrayWrite{Verb: key.verb, Types: w.types, All: key.all, Sure: key.sure, Plain: key.plain})
	if err == nil {
		w.call.c.bulks.Store(key, st)
	}
	return st, err
}

// columnTypes asks the database for the types of the columns, once.
func (c *core[T, K]) columnTypes(ctx context.Context, q dialects.Querier, d dialects.ArrayWriter) ([]string, error) {
	if types, ok := c.bulks.Load("types"); ok {
		return types.([]string), nil
	}
	text, args, err := d.ArrayTypes(&c.m.table)
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	err = fetch(ctx, q, text, args, func(rows dialects.Rows) error {
		for rows.Next() {
			var name, typ string
			if err := rows.Scan(&name, &typ); err != nil {
				return err
			}
			found[name] = typ
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	types := make([]string, len(c.m.table.Columns))
	for i, col := range c.m.table.Columns {
		types[i] = found[col.Name]
	}
	c.bulks.Store("types", types)
	return types, nil
}

// bindArrays makes one argument of each column of the rows.
func (w *arrays[T, K]) bindArrays(st *dialects.Statement, part []*bulkItem[T, K], all bool) ([]any, error) {
	args := make([]any, 0, len(st.Args)+1)
	if all {
		args = append(args, int64(len(part)))
	}
	values := make([]any, len(part))
	for _, a := range st.Args {
		for n, it := range part {
			values[n] = it.arg(a)
		}
		array, err := w.dialect.Array(w.types[a.Column], values)
		if err != nil {
			return nil, &notSentError{fmt.Errorf("column %s: %w", w.call.c.m.table.Columns[a.Column].Name, err)}
		}
		args = append(args, array)
	}
	return args, nil
}

// quick needs no transaction: a statement is one. At first nothing is expected to be
// in the way; the second statement tells what was.
func (w *arrays[T, K]) quick(ctx context.Context, u *unit, part []*bulkItem[T, K]) (bool, failure) {
	for _, chunk := range chunks(part, arrayRows, arraySize) {
		if len(chunk) < len(part) || w.call.c.readBack {
			return false, failure{}
		}
	}
	part = w.call.sorted(part)
	err := errors.ErrUnsupported
	if w.call.verb != dialects.BulkInsert {
		err = w.confirm(ctx, u.conn, part)
	}
	if unsupported(err) || w.dialect.Partial(err) {
		err = w.run(ctx, u.conn, part, w.call.mode == AllOrNothing)
	}
	switch {
	case err == nil:
		return true, failure{}
	case w.dialect.Partial(err):
		return false, failure{} // nothing was written; the transaction finds out why
	default:
		return true, w.call.failure(ctx, dialects.Autocommit, err)
	}
}

func (w *arrays[T, K]) write(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) error {
	for _, chunk := range chunks(w.call.sorted(part), arrayRows, arraySize) {
		// A transaction of its own can be rolled back, and then tells more.
		if err := w.run(ctx, q, chunk, w.call.tx != nil && w.call.mode == AllOrNothing); err != nil {
			return err
		}
	}
	return nil
}

// confirm writes all rows, or none and fails.
func (w *arrays[T, K]) confirm(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) error {
	err := w.send(ctx, q, &w.sure, part, true, func(rows dialects.Rows) error {
		confirmed := false
		var number, state int64
		for rows.Next() {
			if err := rows.Scan(&number, &state, skip{}); err != nil {
				return err
			}
			if number == 0 {
				confirmed = true
				continue
			}
			if number < 1 || number > int64(len(part)) {
				return misnumbered(number, len(part))
			}
			if err := rows.Scan(&number, &state, w.call.b.returned.Addr().Interface()); err != nil {
				return err
			}
			part[number-1].next.Set(w.call.b.returned)
		}
		if !confirmed {
			return errUncounted
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, it := range part {
		it.state = dialects.Written
	}
	return nil
}

func misnumbered(number int64, rows int) error {
	return fmt.Errorf("the database reported row %d of %d", number, rows)
}

// run runs one statement and takes over what it reports.
func (w *arrays[T, K]) run(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K], all bool) error {
	st := &w.each
	if all {
		st = &w.all
	}
	n := 0
	err := w.send(ctx, q, st, part, all, func(rows dialects.Rows) (err error) {
		if w.call.verb != dialects.BulkInsert {
			return w.read(rows, st, part)
		}
		n, err = w.call.takeInserted(rows, st, part)
		return err
	})
	switch {
	case err != nil:
		return err
	case w.call.verb == dialects.BulkInsert:
		return w.call.judgeInserted(ctx, q, part, n)
	default:
		return w.judge(ctx, q, part, all)
	}
}

// send runs a statement for the rows, and lets take take what it returns.
func (w *arrays[T, K]) send(ctx context.Context, q dialects.Querier, st *dialects.Statement, part []*bulkItem[T, K], counted bool, take func(dialects.Rows) error) error {
	args, err := w.bindArrays(st, part, counted)
	if err != nil {
		return err
	}
	return fetch(ctx, q, st.Text, args, take)
}

// skip takes a column that is of no interest.
type skip struct{}

func (skip) Scan(any) error { return nil }

// read takes over the state of the rows, and the current row of stale ones.
func (w *arrays[T, K]) read(rows dialects.Rows, st *dialects.Statement, part []*bulkItem[T, K]) error {
	var number int64
	var state dialects.RowState
	b := w.call.b
	b.reset()
	head := []any{&number, (*int64)(&state), b.returned.Addr().Interface()}
	dest := head
	for range st.Returns {
		dest = append(dest, skip{})
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if number < 1 || number > int64(len(part)) {
			return misnumbered(number, len(part))
		}
		it := part[number-1]
		it.state = state
		switch state {
		case dialects.Written:
			it.next.Set(b.returned)
		case dialects.Stale:
			current := new(T)
			b.reset()
			b.dest = append(b.dest, skip{}, skip{}, skip{})
			w.call.c.aim(b, st.Returns, reflect.ValueOf(current).Elem())
			if err := b.scan(rows); err != nil {
				return err
			}
			it.err = w.call.stale(it, current)
		}
	}
	return nil
}

// judge gives rows that were not written their outcome.
func (w *arrays[T, K]) judge(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K], all bool) error {
	var gone []*bulkItem[T, K]
	lost := false
	for _, it := range part {
		lost = lost || it.state == dialects.Stale || it.state == missing
		if it.state == missing {
			it.err = w.call.refused(it, ErrGone, nil)
			gone = append(gone, it)
		}
	}
	for _, it := range part {
		if it.state == dialects.Untouched && !(all && lost) {
			it.err = w.call.swallowed(it)
		}
		if it.state == dialects.Written && w.call.c.readBack && w.call.verb == dialects.BulkUpdate {
			if err := w.call.single(it).readVersion(ctx, q); err != nil {
				return err
			}
			it.next.Set(w.call.b.next)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	return w.hidden(ctx, q, gone)
}

// hidden tells rows that are gone from those that row security hides from
// writers: a plain read shows the latter.
func (w *arrays[T, K]) hidden(ctx context.Context, q dialects.Querier, gone []*bulkItem[T, K]) error {
	return w.call.existing(ctx, q, gone, func(it *bulkItem[T, K], _ T) { it.err = w.call.refused(it, ErrSuppressed, nil) })
}
