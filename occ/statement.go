package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/retry"
)

// buffers are the slices and scratch values that one statement needs. They are
// pooled, so that the hot path allocates little more than the driver does.
type buffers struct {
	args   []any
	dest   []any
	finish []func()

	// Scratch values of the version's type. Nothing of a row that the caller
	// holds changes before the outcome is known, so versions wait here.
	expected reflect.Value // the version that the caller holds
	next     reflect.Value // the version that the write gives the row
	returned reflect.Value // the version that the database reports

	attempts retry.Attempts // of a Mutate
}

func newBuffers(version reflect.Type) *buffers {
	scratch := func() reflect.Value { return reflect.New(version).Elem() }
	return &buffers{expected: scratch(), next: scratch(), returned: scratch()}
}

func (c *core[T, K]) take() *buffers { return c.pool.Get().(*buffers) }

func (c *core[T, K]) give(b *buffers) {
	b.reset()
	c.pool.Put(b)
}

// reset forgets arguments and destinations; versions stay.
func (b *buffers) reset() {
	clear(b.args)
	clear(b.dest)
	clear(b.finish)
	b.args, b.dest, b.finish = b.args[:0], b.dest[:0], b.finish[:0]
}

// bindRow fills the arguments of st from a row and the buffered versions.
func (c *core[T, K]) bindRow(b *buffers, st *dialects.Statement, row reflect.Value) error {
	b.reset()
	for _, arg := range st.Args {
		f := &c.m.fields[arg.Column]
		var p unsafe.Pointer
		switch arg.Source {
		case dialects.Field:
			p = f.at(row)
		case dialects.Expected:
			p = pointer(b.expected)
		default:
			p = pointer(b.next)
		}
		bound, err := f.codec.bind(p)
		if err != nil {
			return fmt.Errorf("column %s: %w", c.m.table.Columns[arg.Column].Name, err)
		}
		b.args = append(b.args, bound)
	}
	return nil
}

// aim makes the fields of row the destinations of columns.
func (c *core[T, K]) aim(b *buffers, columns []int, row reflect.Value) {
	for _, i := range columns {
		f := &c.m.fields[i]
		dest, finish := f.codec.dest(f.at(row))
		b.dest = append(b.dest, dest)
		if finish != nil {
			b.finish = append(b.finish, finish)
		}
	}
}

// scan reads the current result row into the destinations.
func (b *buffers) scan(rows dialects.Rows) error {
	if err := rows.Scan(b.dest...); err != nil {
		if p := (*panicError)(nil); errors.As(err, &p) {
			panic(p.value)
		}
		return err
	}
	for _, finish := range b.finish {
		finish()
	}
	return nil
}

// one runs a query that returns at most one row and scans it.
func (b *buffers) one(ctx context.Context, q dialects.Querier, text string) (n int64, err error) {
	rows, err := q.Query(ctx, text, b.args)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if n++; n == 1 {
			err = b.scan(rows)
		}
	}
	rows.Close() // the statement's own error is final only now
	if dbErr := rows.Err(); dbErr != nil {
		return n, dbErr
	}
	if err != nil {
		return n, &scanError{err}
	}
	return n, nil
}

// scanError is a value that did not fit its field. The statement itself
// succeeded.
type scanError struct{ err error }

func (e *scanError) Error() string { return e.err.Error() }
func (e *scanError) Unwrap() error { return e.err }

// selectRow reads the row of a key. It returns false when there is none.
func (c *core[T, K]) selectRow(ctx context.Context, q dialects.Querier, b *buffers, st *dialects.Statement, key K, row reflect.Value) (bool, error) {
	b.reset()
	var err error
	if b.args, err = c.keys.bind(b.args, key); err != nil {
		return false, err
	}
	c.aim(b, st.Returns, row)
	n, err := b.one(ctx, q, st.Text)
	if err == nil && n > 1 {
		err = ErrNotUnique
	}
	return n > 0, err
}

// writeRow runs a checked write: an update or a delete of the version in
// b.expected. It returns how many rows matched; when one did, b.next holds the
// row's version.
func (c *core[T, K]) writeRow(ctx context.Context, q dialects.Querier, b *buffers, st *dialects.Statement, row reflect.Value) (int64, error) {
	if err := c.bindRow(b, st, row); err != nil {
		return 0, &notSentError{err}
	}
	return c.sendRow(ctx, q, b, st)
}

// sendRow is writeRow with arguments that are bound already.
func (c *core[T, K]) sendRow(ctx context.Context, q dialects.Querier, b *buffers, st *dialects.Statement) (int64, error) {
	text, returns := st.Text, len(st.Returns) > 0
	if st.Plain != "" && c.plain.Load() {
		text, returns = st.Plain, false
	}
	if !returns {
		res, err := q.Exec(ctx, text, b.args)
		if err == nil && res.RowsAffected < 0 {
			err = &scanError{errUncounted}
		}
		return res.RowsAffected, err
	}
	b.dest = append(b.dest, b.returned.Addr().Interface())
	n, err := b.one(ctx, q, text)
	if err == nil && n == 1 {
		b.next.Set(b.returned)
	}
	return n, err
}

// fetch runs a query whose rows take takes. Its errors are about rows that it does
// not understand.
func fetch(ctx context.Context, q dialects.Querier, text string, args []any, take func(dialects.Rows) error) error {
	rows, err := q.Query(ctx, text, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	err = take(rows)
	rows.Close() // the statement's own error is final only now
	if dbErr := rows.Err(); dbErr != nil {
		return dbErr
	}
	if err != nil {
		return &scanError{err}
	}
	return nil
}

// notSentError is an error from before the statement was sent.
type notSentError struct{ err error }

func (e *notSentError) Error() string { return e.err.Error() }
func (e *notSentError) Unwrap() error { return e.err }
