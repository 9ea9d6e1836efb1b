package occ

import (
	"context"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// Bounds of one statement with a list. A packet may be no longer than the server's
// max_allowed_packet, which is 16 MB and more by default.
const (
	listRows = 1000
	listSize = 4 << 20
)

// lists writes the rows with statements that hold a list of them: one that locks
// and reads, one that writes.
type lists[T any, K comparable] struct {
	call    *bulk[T, K]
	dialect dialects.RowsWriter
	table   *dialects.Table // for an insert, with the columns that are left to the server
}

// quick writes without looking first, and takes it back when that was not enough.
// Which rows the database wrote it cannot tell afterwards: a row that is at the
// next version may have got there by somebody else.
func (w *lists[T, K]) quick(ctx context.Context, u *unit, part []*bulkItem[T, K]) (bool, failure) {
	if w.call.verb == dialects.BulkInsert {
		return false, failure{}
	}
	enough := true
	err := u.run(ctx, func() (commit bool, err error) {
		for _, chunk := range chunks(w.call.sorted(part), w.chunkRows(), listSize) {
			n, err := w.send(ctx, u.conn, chunk)
			if err != nil || n != len(chunk) {
				enough = false
				return false, err
			}
			if err := w.wrote(ctx, u.conn, chunk, n); err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return true, w.call.failure(ctx, u.phase, err)
	}
	return enough, failure{}
}

// chunkRows is how many rows fit a statement.
func (w *lists[T, K]) chunkRows() int {
	limit := w.call.c.db.dialect.Limits().Params
	if limit == 0 {
		return listRows
	}
	return max(1, min(listRows, limit/(len(w.call.c.m.table.Columns)+2)))
}

func (w *lists[T, K]) write(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) error {
	part = w.call.sorted(part)
	if w.call.verb == dialects.BulkInsert {
		for _, chunk := range chunks(part, w.chunkRows(), listSize) {
			if err := w.insert(ctx, q, chunk); err != nil {
				return err
			}
		}
		return nil
	}
	for _, chunk := range chunks(part, w.chunkRows(), listSize) {
		if err := w.look(ctx, q, chunk); err != nil {
			return err
		}
	}
	if w.call.mode == AllOrNothing && anyFailed(part) {
		return nil
	}
	var winners []*bulkItem[T, K]
	for _, it := range part {
		if it.err == nil {
			winners = append(winners, it)
		}
	}
	for _, chunk := range chunks(winners, w.chunkRows(), listSize) {
		n, err := w.send(ctx, q, chunk)
		if err == nil {
			err = w.wrote(ctx, q, chunk, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bindList binds the rows in turn.
func bindList[T any, K comparable](st *dialects.Statement, part []*bulkItem[T, K]) []any {
	args := make([]any, 0, len(st.Args)*len(part))
	for _, it := range part {
		for _, a := range st.Args {
			args = append(args, it.arg(a))
		}
	}
	return args
}

// look locks the rows and tells which cannot be written. Only the rows of losers
// are read in full.
func (w *lists[T, K]) look(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) error {
	var stale []*bulkItem[T, K]
	keys := make(map[K]*bulkItem[T, K], len(part))
	err := w.lock(ctx, q, part, false, func(it *bulkItem[T, K], row *T) {
		rv := reflect.ValueOf(row).Elem()
		it.state = dialects.Untouched
		if other := keys[w.call.c.keys.of(rv)]; other != nil { // equal by collation
			it.err = w.call.refused(it, ErrUsage, errSameRow)
			return
		}
		keys[w.call.c.keys.of(rv)] = it
		if !w.call.c.version.same(w.call.c.version.field.of(rv), w.call.c.version.field.of(it.row)) {
			it.state = dialects.Stale
			stale = append(stale, it)
		}
	})
	if err != nil {
		return err
	}
	for _, it := range part {
		if it.state == missing {
			it.err = w.call.refused(it, ErrGone, nil)
		}
	}
	if len(stale) == 0 {
		return nil
	}
	return w.lock(ctx, q, stale, true, func(it *bulkItem[T, K], row *T) { it.err = w.call.stale(it, row) })
}

// lock reads rows under a lock: their keys and versions, or all of them.
func (w *lists[T, K]) lock(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K], full bool, found func(*bulkItem[T, K], *T)) error {
	table, columns := &w.call.c.m.table, []int(nil)
	if full {
		columns = make([]int, len(table.Columns))
		for i := range columns {
			columns[i] = i
		}
	} else {
		table, columns = w.call.c.narrow()
	}
	st, err := w.dialect.LockRows(table, len(part))
	if err != nil {
		return &notSentError{err}
	}
	args := make([]any, 0, len(st.Args)*len(part))
	for _, it := range part {
		for _, a := range st.Args {
			args = append(args, it.args[columns[a.Column]])
		}
	}
	rows, err := q.Query(ctx, st.Text, args)
	if err != nil {
		return err
	}
	defer rows.Close()
	var number int
	for err == nil && rows.Next() {
		row := new(T)
		w.call.b.reset()
		w.call.b.dest = append(w.call.b.dest, &number)
		for _, i := range st.Returns {
			w.call.c.aim(w.call.b, columns[i:i+1], reflect.ValueOf(row).Elem())
		}
		if err = w.call.b.scan(rows); err == nil {
			found(part[number-1], row)
		}
	}
	rows.Close()
	if dbErr := rows.Err(); dbErr != nil {
		return dbErr
	}
	if err != nil {
		return &scanError{err}
	}
	return nil
}

// narrow returns the table with keys and version alone, and which columns of the
// whole table they are.
func (c *core[T, K]) narrow() (*dialects.Table, []int) {
	t := c.m.table
	t.Columns = nil
	var columns []int
	for i, col := range c.m.table.Columns {
		if col.Key || col.Version != dialects.NotVersion {
			t.Columns = append(t.Columns, col)
			columns = append(columns, i)
		}
	}
	return &t, columns
}

// send writes rows, and returns how many were written.
func (w *lists[T, K]) send(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) (int, error) {
	compile := w.dialect.UpdateRows
	if w.call.verb == dialects.BulkDelete {
		compile = w.dialect.DeleteRows
	}
	st, err := compile(w.table, len(part))
	if err != nil {
		return 0, &notSentError{err}
	}
	res, err := q.Exec(ctx, st.Text, bindList(&st, part))
	switch {
	case err != nil:
		return 0, err
	case res.RowsAffected < 0:
		return 0, &scanError{errUncounted}
	case res.RowsAffected > int64(len(part)):
		return 0, ErrNotUnique
	}
	return int(res.RowsAffected), nil
}

// wrote takes over n written rows of part, all of which were locked and at their
// expected versions. If n is less, the database swallowed those that are as they
// were.
func (w *lists[T, K]) wrote(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K], n int) error {
	for _, it := range part {
		it.state = dialects.Written
	}
	if n == len(part) && (!w.call.c.readBack || w.call.verb == dialects.BulkDelete) {
		return nil
	}
	return w.lock(ctx, q, part, false, func(it *bulkItem[T, K], row *T) {
		version := w.call.c.version.field.of(reflect.ValueOf(row).Elem())
		if n < len(part) && w.call.c.version.same(version, w.call.c.version.field.of(it.row)) {
			it.state, it.err = dialects.Untouched, w.call.swallowed(it)
			return
		}
		it.next.Set(version)
	})
}

// insert inserts rows with known keys.
func (w *lists[T, K]) insert(ctx context.Context, q dialects.Querier, part []*bulkItem[T, K]) error {
	st, err := w.dialect.InsertRows(w.table, len(part))
	if err != nil {
		return &notSentError{err}
	}
	args := bindList(&st, part)
	n := 0
	if len(st.Returns) > 0 {
		rows, err := q.Query(ctx, st.Text, args)
		if err != nil {
			return err
		}
		defer rows.Close()
		n, err = w.call.takeInserted(rows, &st, part)
		rows.Close()
		if dbErr := rows.Err(); dbErr != nil {
			return dbErr
		}
		if err != nil {
			return &scanError{err}
		}
		return w.call.judgeInserted(ctx, q, part, n)
	}
	res, err := q.Exec(ctx, st.Text, args)
	if err != nil {
		return err
	}
	if n = int(res.RowsAffected); n == len(part) && !w.provides() {
		for _, it := range part {
			it.fresh()
			it.state = dialects.Written
		}
		return nil
	}
	return w.call.judgeInserted(ctx, q, part, max(n, 1))
}

// provides tells whether the server decides a column of the rows.
func (w *lists[T, K]) provides() bool {
	for _, col := range w.table.Columns {
		if col.ReadOnly || col.Generated {
			return true
		}
	}
	return w.call.c.readBack
}
