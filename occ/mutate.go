package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/hotkey"
)

// Mutate reads the row of a key, lets change change it, and writes it if nobody
// else did meanwhile; otherwise it waits as the retry policy says and starts
// again from a fresh read. It returns the row as written.
//
// Change may run several times, each time on a row as the database has it; only its
// last run counts, so it should do nothing but change the row. It may run in
// another goroutine than the caller's. An error of change ends the operation and
// comes back as it is, with nothing written; a panic passes through. What change
// does to the version is ignored, changing the key is an error, and so is a Mutate
// of the same row inside of change.
//
// When many callers of this process want one row they queue for it, first come,
// first served ([Options.Contention] says how, [Urgent] goes first). One round trip
// then serves as many of them as wait: their changes are applied in order to the
// row in memory, and one checked statement writes the result, with a version for
// each. So they share one commit, and one failure of it: an outcome that is unknown
// is unknown for all of them. Each has its own row, version and error; a change
// that fails leaves no trace in the others. Readers see the row before all of them
// or after all of them. A change sees the row as it was written last, and not what
// the database would make of it: rounded numbers and padded text look different
// after a read. (Rows with readonly columns, which only the database knows, are
// read each time and written one by one.) A row that cannot be copied, see
// [RepositoryOptions.Immutable], is not shared either.
//
// Once the write is on its way, the call ends when its outcome is known, whatever
// ctx says, and at the latest with [Options.CommitTimeout]; before that, it leaves
// the queue when ctx ends. No connection is held while change runs, so it may use
// the database, except in the round that follows a conflict, which locks the row: a
// change that uses the database needs a pool with a second connection.
//
// A key without a row is [ErrNotFound], a queue that is full [ErrOverloaded]. When
// attempts or time end the error is [*retry.ExhaustedError] and holds the last
// [*Conflict]. The rest is as with [Repository.Update].
func (r *Repository[T, K]) Mutate(ctx context.Context, key K, change func(row *T) error) (T, error) {
	var none T
	if err := r.begin(ctx, "mutate"); err != nil {
		return none, err
	}
	if change == nil {
		return none, r.core.usage("mutate", "the function that changes the row is nil")
	}
	if r.unit != nil {
		return r.unitMutate(ctx, key, change)
	}
	c := r.core
	if r.tx == nil && c.hot != nil {
		return c.hot.run(ctx, key, change)
	}
	m := c.mutation(key, change)
	defer c.give(m.w.b)
	if r.tx != nil {
		return m.joined(ctx, r.tx)
	}
	return m.run(ctx, c.watch(m.w.op, key, &m.w.b.attempts), nil)
}

func (c *core[T, K]) mutation(key K, change func(*T) error) mutation[T, K] {
	m := mutation[T, K]{w: writing[T, K]{c: c, op: "mutate", st: &c.update, key: key, b: c.take()}, change: change}
	m.w.b.attempts = c.db.opts.Retry.Start()
	return m
}

// run makes attempts until the outcome is known. After a conflict conflicted goes
// on, unless it is nil.
func (m *mutation[T, K]) run(ctx context.Context, watch *watch, conflicted func() (T, error)) (none T, err error) {
	c := m.w.c
	way := alone
	if c.db.opts.Contention.Mode == hotkey.Lock {
		way = locked
	}
	var before error
	for {
		row, f := m.attempt(ctx, way)
		watch.attempt(ctx, f.err)
		if f.err == nil {
			c.version.field.of(m.w.row).Set(m.w.b.next)
			c.rungs[way].Add(1)
			return *row, nil
		}
		m.w.afterOutage = f.outcome == dialects.Down
		err := f.after(ctx, &m.w.b.attempts, before)
		before = f.err
		watch.retried(ctx, f.err, err)
		if err != nil {
			m.complete(ctx, err)
			return none, err
		}
		if conflicted != nil && errors.Is(f.err, ErrConflict) {
			return conflicted()
		}
	}
}

// mutation is a Mutate on its way.
type mutation[T any, K comparable] struct {
	w      writing[T, K]
	change func(*T) error
	lost   bool // the last write matched no row, with the version in b.expected
}

// attempt reads, changes and writes once. The zero failure is success.
func (m *mutation[T, K]) attempt(ctx context.Context, way rung) (*T, failure) {
	if way == locked {
		return m.underLock(ctx)
	}
	row := new(T)
	m.w.row = reflect.ValueOf(row).Elem()
	if f := m.read(ctx); f.err != nil {
		return nil, f
	}
	// A write that matched no row although the version has not moved was
	// swallowed, unless the row was deleted and inserted in between. The locking
	// path finds out.
	actual := m.w.c.version.field.of(m.w.row)
	suspect := m.lost && m.w.c.version.same(actual, m.w.b.expected)
	m.lost = false
	if err := m.w.prepare(actual); err != nil {
		return nil, failure{err, dialects.Refused}
	}
	if err := m.apply(row); err != nil {
		return nil, failure{err, dialects.Refused}
	}
	return row, m.store(ctx, suspect)
}

// underLock locks the row before it reads it, so that nobody is faster.
func (m *mutation[T, K]) underLock(ctx context.Context) (*T, failure) {
	conn, err := m.w.c.writeConn(ctx, m.w.afterOutage)
	if err != nil {
		return nil, m.w.failure(ctx, dialects.Connecting, err)
	}
	u := unit{db: m.w.c.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	row := new(T)
	m.w.row = reflect.ValueOf(row).Elem()
	var found failure
	err = u.run(ctx, func() (commit bool, err error) {
		found, err = m.decide(ctx, &u, row)
		return found.err == nil, err
	})
	if err != nil {
		return nil, m.w.failure(ctx, u.phase, err)
	}
	return row, found
}

// decide reads the row under its lock, changes and writes it.
func (m *mutation[T, K]) decide(ctx context.Context, u *unit, row *T) (failure, error) {
	exists, err := m.w.c.selectRow(ctx, u.conn, m.w.b, &m.w.c.lock, m.w.key, m.w.row)
	if err != nil {
		return failure{}, err
	}
	if !exists {
		return m.w.absent(ctx, u.conn)
	}
	if err := m.w.prepare(m.w.c.version.field.of(m.w.row)); err != nil {
		return failure{err, dialects.Refused}, nil //nolint:nilerr // the failure holds it
	}
	if err := m.apply(row); err != nil {
		return failure{err, dialects.Refused}, nil //nolint:nilerr // as above
	}
	return m.w.writeLast(ctx, u)
}

func (m *mutation[T, K]) read(ctx context.Context) failure {
	conn, err := m.w.c.db.conn(ctx, m.w.afterOutage)
	if err == nil {
		defer conn.Release(false)
		err = m.find(ctx, conn)
	}
	if err != nil {
		return m.w.c.readFailure(ctx, m.w.op, &m.w.key, err)
	}
	return failure{}
}

// find reads the row of the key.
func (m *mutation[T, K]) find(ctx context.Context, q dialects.Querier) error {
	found, err := m.w.c.selectRow(ctx, q, m.w.b, &m.w.c.sel, m.w.key, m.w.row)
	if err == nil && !found {
		err = ErrNotFound
	}
	return err
}

// apply runs the caller's change and makes sure that it is about the same row.
func (m *mutation[T, K]) apply(row *T) error {
	key := m.w.c.keys.of(m.w.row) // as stored; collations may differ from m.w.key
	if err := m.change(row); err != nil {
		return err
	}
	if changed := m.w.c.keys.of(m.w.row); changed != key {
		return &OpError{Subject: m.w.subject(), Kind: ErrUsage, Err: fmt.Errorf("the key was changed to %v", changed)}
	}
	return nil
}

// store writes the changed row. Unlike Update it does not look at the row that
// was faster: the next attempt reads it anyway.
func (m *mutation[T, K]) store(ctx context.Context, suspect bool) failure {
	conn, err := m.w.c.writeConn(ctx, m.w.afterOutage)
	if err != nil {
		return m.w.failure(ctx, dialects.Connecting, err)
	}
	u := unit{db: m.w.c.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	if suspect || m.w.c.readBack {
		f := m.w.resolve(ctx, &u)
		if _, ok := f.err.(*Conflict[T]); ok { //nolint:errorlint // made by resolve, never wrapped
			f.outcome = dialects.Retry
		}
		return f
	}
	n, err := m.w.c.writeRow(ctx, conn, m.w.b, m.w.st, m.w.row)
	switch {
	case err != nil:
		return m.w.failure(ctx, dialects.Autocommit, err)
	case n == 0:
		m.lost = true
		return failure{&Conflict[T]{Subject: m.w.subject(), Expected: m.w.b.expected.Interface()}, dialects.Retry}
	case n > 1:
		return m.w.several()
	}
	return failure{}
}

// complete gives the conflict of an exhausted Mutate its current row.
func (m *mutation[T, K]) complete(ctx context.Context, err error) {
	var conflict *Conflict[T]
	if ctx.Err() != nil || !errors.Is(err, ErrExhausted) || !errors.As(err, &conflict) || conflict.Current != nil {
		return
	}
	current := new(T)
	m.w.row = reflect.ValueOf(current).Elem()
	if m.read(ctx).err == nil {
		conflict.Current, conflict.Actual = current, m.w.c.version.field.of(m.w.row).Interface()
	}
}

// joined runs once in the caller's transaction, which must be repeated as a
// whole when it fails.
func (m *mutation[T, K]) joined(ctx context.Context, tx *joined) (none T, err error) {
	if err := tx.usable(m.w.subject()); err != nil {
		return none, err
	}
	row := new(T)
	m.w.row = reflect.ValueOf(row).Elem()
	err = m.w.c.joinedRead(ctx, tx, m.w.op, &m.w.key, func(q dialects.Querier) error { return m.find(ctx, q) })
	if err != nil {
		return none, err
	}
	if err := m.w.prepare(m.w.c.version.field.of(m.w.row)); err != nil {
		return none, err
	}
	if err := m.apply(row); err != nil {
		return none, err
	}
	if err := m.w.joined(ctx, tx); err != nil {
		return none, err
	}
	m.w.c.version.field.of(m.w.row).Set(m.w.b.next)
	return *row, nil
}
