package occ

import (
	"context"
	"fmt"
	"reflect"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/retry"
)

// Insert writes a new row and, once that is known, sets in *row what the
// database decided: the first version (1 for counters), generated keys,
// readonly columns. A row that exists already is [ErrDuplicate], and *row is as
// it was after any error.
//
// Generated columns are left to the server where *row has the zero value. In a
// joined transaction *row is not changed, so a row with generated columns is
// refused there: [Repository.Create] returns it instead.
func (r *Repository[T, K]) Insert(ctx context.Context, row *T) error {
	const op = "insert"
	if err := r.begin(ctx, op); err != nil {
		return err
	}
	if row == nil {
		return r.core.usage(op, "the row is nil")
	}
	if r.unit != nil {
		return r.unitInsert(op, row)
	}
	if r.tx != nil && r.core.leftOut(reflect.ValueOf(row).Elem()) != "" {
		return r.core.usage(op, "the server generates a column, and *row is not changed in a joined transaction: use Create, which returns the row")
	}
	written, err := r.insert(ctx, op, *row)
	if err == nil && r.tx == nil {
		*row = *written
	}
	return err
}

// Create is [Repository.Insert] that returns the row as the database has it
// instead of changing the caller's.
func (r *Repository[T, K]) Create(ctx context.Context, row T) (T, error) {
	const op = "create"
	if err := r.begin(ctx, op); err != nil {
		return row, err
	}
	if r.unit != nil {
		return row, r.core.usage(op, "a unit of work writes at its commit, so the row cannot come back yet: use Insert, which sets *row once the commit is known")
	}
	written, err := r.insert(ctx, op, row)
	if err != nil {
		var none T
		return none, err
	}
	return *written, nil
}

// insertion is an insert on its way.
type insertion[T any, K comparable] struct {
	c      *core[T, K]
	op     string
	st     dialects.Statement
	row    *T // a copy of the caller's row
	rv     reflect.Value
	b      *buffers
	reread bool // the statement cannot return what the server decided

	afterOutage bool // the last attempt found the server unavailable
}

func (r *Repository[T, K]) insert(ctx context.Context, op string, row T) (*T, error) {
	c := r.core
	i := &insertion[T, K]{c: c, op: op, row: &row, rv: reflect.ValueOf(&row).Elem(), b: c.take()}
	defer c.give(i.b)
	if err := i.prepare(); err != nil {
		return nil, err
	}
	if r.tx != nil {
		return i.joined(ctx, r.tx)
	}
	a := c.db.opts.Retry.Start()
	watch := c.watch(op, c.keys.of(i.rv), &a)
	for {
		f := i.once(ctx)
		watch.attempt(ctx, f.err)
		if f.err == nil {
			return i.row, nil
		}
		i.afterOutage = f.outcome == dialects.Down
		err := f.next(ctx, &a)
		watch.retried(ctx, f.err, err)
		if err != nil {
			return nil, err
		}
	}
}

// prepare chooses the statement and sets the first version.
func (i *insertion[T, K]) prepare() error {
	var err error
	if i.st, err = i.c.insertFor(i.c.leftOut(i.rv)); err != nil {
		return i.c.usage(i.op, "%w", err)
	}
	i.reread = i.c.mustReread(&i.st, i.rv)
	if err := i.c.version.first(i.b.next); err != nil {
		return &OpError{Subject: i.subject(), Kind: ErrOverflow, Err: err}
	}
	return nil
}

func (i *insertion[T, K]) subject() Subject { return i.c.subject(i.op, i.c.keys.of(i.rv)) }

// leftOut returns the generated columns that are zero in row, which the server
// fills, as a mask: one byte for each column, or nothing.
func (c *core[T, K]) leftOut(row reflect.Value) string {
	return c.mask(func(i int) bool { return c.m.table.Columns[i].Generated && c.m.fields[i].of(row).IsZero() })
}

// generated returns the mask of all generated columns.
func (c *core[T, K]) generated() string {
	return c.mask(func(i int) bool { return c.m.table.Columns[i].Generated })
}

func (c *core[T, K]) mask(in func(column int) bool) string {
	var mask []byte
	for i := range c.m.table.Columns {
		if in(i) {
			if mask == nil {
				mask = make([]byte, len(c.m.table.Columns))
			}
			mask[i] = 1
		}
	}
	return string(mask)
}

// insertFor returns the insert that leaves the masked columns to the server.
func (c *core[T, K]) insertFor(mask string) (dialects.Statement, error) {
	if st, ok := c.inserts.Load(mask); ok {
		return st.(dialects.Statement), nil
	}
	t := c.m.table
	t.Columns = append([]dialects.Column(nil), t.Columns...)
	for i := range t.Columns {
		t.Columns[i].Generated = mask != "" && mask[i] == 1
	}
	st, err := c.db.dialect.Insert(&t)
	if err == nil {
		c.inserts.Store(mask, st)
	}
	return st, err
}

// mustReread tells whether the server decides a column that the statement does
// not report.
func (c *core[T, K]) mustReread(st *dialects.Statement, row reflect.Value) bool {
	if len(st.Returns) > 0 {
		return false
	}
	for i, col := range c.m.table.Columns {
		generated := col.Generated && c.m.fields[i].of(row).IsZero() && col.Name != st.Identity
		if generated || col.ReadOnly || col.Version == dialects.Xmin {
			return true
		}
	}
	return c.readBack
}

// once inserts in a statement of its own, or in a transaction when the row has
// to be read back.
func (i *insertion[T, K]) once(ctx context.Context) failure {
	conn, err := i.c.db.conn(ctx, i.afterOutage)
	if err != nil {
		return i.failure(ctx, dialects.Connecting, err)
	}
	u := unit{db: i.c.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	if !i.reread {
		return i.failure(ctx, dialects.Autocommit, i.send(ctx, conn))
	}
	err = u.run(ctx, func() (commit bool, err error) { return true, i.sendAndRead(ctx, conn) })
	return i.failure(ctx, u.phase, err)
}

func (i *insertion[T, K]) joined(ctx context.Context, tx *joined) (*T, error) {
	if err := tx.usable(i.subject()); err != nil {
		return nil, err
	}
	err := i.sendAndRead(ctx, tx.q)
	if err == nil {
		return i.row, nil
	}
	if kind := ownKind(err); kind == nil || kind == ErrMapping { //nolint:errorlint // identity is meant
		tx.failed.Store(true)
	}
	f := i.failure(ctx, dialects.InTx, err)
	i.c.watch(i.op, i.c.keys.of(i.rv), &retry.Attempts{}).attempt(ctx, f.err)
	return nil, f.err
}

func (i *insertion[T, K]) failure(ctx context.Context, phase dialects.Phase, err error) failure {
	if err == nil {
		return failure{}
	}
	return i.c.writeFailure(ctx, i.subject(), phase, err)
}

// send runs the insert and takes over what it reports.
func (i *insertion[T, K]) send(ctx context.Context, q dialects.Querier) error {
	if err := i.c.bindRow(i.b, &i.st, i.rv); err != nil {
		return &notSentError{err}
	}
	if len(i.st.Returns) == 0 {
		return i.exec(ctx, q)
	}
	i.c.aim(i.b, i.st.Returns, i.rv)
	n, err := i.b.one(ctx, q, i.st.Text)
	return i.done(n, err)
}

func (i *insertion[T, K]) exec(ctx context.Context, q dialects.Querier) error {
	res, err := q.Exec(ctx, i.st.Text, i.b.args)
	if err == nil && i.st.Identity != "" {
		for n, col := range i.c.m.table.Columns {
			if col.Name == i.st.Identity {
				err = setInteger(i.c.m.fields[n].of(i.rv), res.LastInsertID)
			}
		}
	}
	return i.done(res.RowsAffected, err)
}

// done sets the version of a row that was written. An insert that wrote no row
// without an error was swallowed by a trigger or a rule.
func (i *insertion[T, K]) done(n int64, err error) error {
	if err == nil && n == 0 {
		err = ErrSuppressed
	}
	if err == nil && i.c.version.kind != dialects.Xmin {
		i.c.version.field.of(i.rv).Set(i.b.next)
	}
	return err
}

// sendAndRead inserts, and reads the row back where the insert cannot tell all.
func (i *insertion[T, K]) sendAndRead(ctx context.Context, q dialects.Querier) error {
	if err := i.send(ctx, q); err != nil || !i.reread {
		return err
	}
	found, err := i.c.selectRow(ctx, q, i.b, &i.c.sel, i.c.keys.of(i.rv), i.rv)
	if err == nil && !found {
		err = errVanished
	}
	return err
}

// setInteger sets an integer field to a generated key.
func setInteger(v reflect.Value, id int64) error {
	switch {
	case v.CanInt() && !v.OverflowInt(id):
		v.SetInt(id)
	case v.CanUint() && id >= 0 && !v.OverflowUint(uint64(id)):
		v.SetUint(uint64(id))
	default:
		return &scanError{fmt.Errorf("the generated key %d does not fit a %s", id, v.Type())}
	}
	return nil
}
