package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// Update writes all columns of a row, if the row is still at the version that
// *row holds, and sets the new version in *row once the write is known.
//
// When another writer was faster the error is a [*Conflict] with the current
// row, and *row is as it was. It is not retried: what was decided on the old row
// must be decided again, which [Repository.Mutate] does. A row that was deleted
// is [ErrGone], a write that the database swallowed is [ErrSuppressed], a broken
// unique constraint is [ErrDuplicate], a lost reply is [*AmbiguousError].
func (r *Repository[T, K]) Update(ctx context.Context, row *T) error {
	return r.write(ctx, "update", &r.core.update, row, r.core.writes)
}

// Patch is [Repository.Update] for some columns only: the others of *row are
// neither written nor looked at, so the row need not be loaded. It needs the key,
// the version that the caller's decision was based on, and the named columns.
func (r *Repository[T, K]) Patch(ctx context.Context, row *T, columns ...string) error {
	st, indices, err := r.core.patch(columns)
	if err != nil {
		return err
	}
	return r.write(ctx, "patch", st, row, indices)
}

// Touch moves the version of a row and changes nothing else: the row conflicts
// with everybody who read it before. It fails like [Repository.Update].
func (r *Repository[T, K]) Touch(ctx context.Context, row *T) error {
	return r.write(ctx, "touch", &r.core.touch, row, nil)
}

// Delete removes a row, if it is still at the version that *row holds. It fails
// like [Repository.Update], and changes nothing in *row.
func (r *Repository[T, K]) Delete(ctx context.Context, row *T) error {
	return r.write(ctx, "delete", &r.core.remove, row, nil)
}

// patch returns the update of the named columns, and their indices.
func (c *core[T, K]) patch(names []string) (*dialects.Statement, []int, error) {
	if len(names) == 0 {
		return nil, nil, c.usage("patch", "no columns are named; Touch moves the version alone")
	}
	var columns []int
	for _, name := range names {
		i := slices.IndexFunc(c.m.table.Columns, func(col dialects.Column) bool { return col.Name == name && col.Writable() })
		switch {
		case i < 0:
			return nil, nil, c.usage("patch", "no column %q can be written; those that can are %s", name, c.columnNames(dialects.Column.Writable))
		case slices.Contains(columns, i):
			return nil, nil, c.usage("patch", "column %q is named twice", name)
		}
		columns = append(columns, i)
	}
	slices.Sort(columns)
	st, err := c.updateOf(columns)
	if err != nil {
		return nil, nil, c.usage("patch", "%w", err)
	}
	return st, columns, nil
}

// updateOf returns the update of some columns, compiled once for each set.
func (c *core[T, K]) updateOf(columns []int) (*dialects.Statement, error) {
	cached := fmt.Sprint(columns)
	if st, ok := c.patches.Load(cached); ok {
		return st.(*dialects.Statement), nil
	}
	st, err := c.db.dialect.Update(c.writing(columns))
	if err != nil {
		return nil, err
	}
	c.patches.Store(cached, &st)
	return &st, nil
}

// writing is one versioned write on its way.
type writing[T any, K comparable] struct {
	c   *core[T, K]
	op  string
	st  *dialects.Statement
	row reflect.Value // what is written: the caller's row, or Mutate's
	key K
	b   *buffers // b.expected and b.next are set

	afterOutage bool // the last attempt found the server unavailable
	snapshot    bool // plain reads may show an old state: the transaction is the caller's
}

// write runs a checked write of *row until its outcome is known.
// Columns are those that it writes.
func (r *Repository[T, K]) write(ctx context.Context, op string, st *dialects.Statement, row *T, columns []int) error {
	if err := r.begin(ctx, op); err != nil {
		return err
	}
	if row == nil {
		return r.core.usage(op, "the row is nil")
	}
	c := r.core
	if r.unit != nil {
		return r.unitWrite(op, st, row, columns)
	}
	w := &writing[T, K]{c: c, op: op, st: st, row: reflect.ValueOf(row).Elem(), b: c.take()}
	defer c.give(w.b)
	w.key = c.keys.of(w.row)
	if err := w.prepare(c.version.field.of(w.row)); err != nil {
		return err
	}
	if r.tx != nil {
		return w.joined(ctx, r.tx)
	}
	a := c.db.opts.Retry.Start()
	watch := c.watch(op, w.key, &a)
	for {
		f := w.once(ctx)
		watch.attempt(ctx, f.err)
		if f.err == nil {
			if st != &c.remove {
				c.version.field.of(w.row).Set(w.b.next)
			}
			return nil
		}
		w.afterOutage = f.outcome == dialects.Down
		err := f.next(ctx, &a)
		watch.retried(ctx, f.err, err)
		if err != nil {
			return err
		}
	}
}

// prepare sets the version that the caller expects, and the one that follows.
func (w *writing[T, K]) prepare(expected reflect.Value) error {
	w.b.expected.Set(expected)
	if w.st == &w.c.remove {
		return nil
	}
	if err := w.c.version.next(w.b.next, w.b.expected); err != nil {
		return &OpError{Subject: w.subject(), Kind: ErrOverflow, Err: err}
	}
	return nil
}

func (w *writing[T, K]) subject() Subject { return w.c.subject(w.op, w.key) }

// watch returns the reporter of an operation, or nil when nobody observes.
func (c *core[T, K]) watch(op string, key K, a *retry.Attempts) *watch {
	if c.db.opts.Observer == nil {
		return nil
	}
	return &watch{observer: c.db.opts.Observer, subject: c.subject(op, key), attempts: a}
}

// once writes in a statement of its own, and finds out what happened if no row
// matched. The zero failure is success.
func (w *writing[T, K]) once(ctx context.Context) failure {
	conn, err := w.c.db.conn(ctx, w.afterOutage)
	if err != nil {
		return w.failure(ctx, dialects.Connecting, err)
	}
	u := unit{db: w.c.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	if w.c.readBack {
		return w.resolve(ctx, &u)
	}
	n, err := w.c.writeRow(ctx, conn, w.b, w.st, w.row)
	switch {
	case err != nil:
		return w.failure(ctx, dialects.Autocommit, err)
	case n == 0:
		return w.resolve(ctx, &u)
	case n > 1:
		return w.several()
	}
	return failure{}
}

// failure judges an error of the write. A lost race that came as an error is a
// conflict like any other.
func (w *writing[T, K]) failure(ctx context.Context, phase dialects.Phase, err error) failure {
	f := w.c.writeFailure(ctx, w.subject(), phase, err)
	if f.outcome == dialects.Retry && phase != dialects.Connecting && errors.Is(f.err, ErrConflict) {
		f.err = w.conflictOf(err)
	}
	return f
}

// conflictOf is a conflict that the server found. It does not tell the row.
func (w *writing[T, K]) conflictOf(err error) error {
	return &Conflict[T]{Subject: w.subject(), Expected: w.b.expected.Interface(), Err: err}
}

// several is a write outside of a transaction that matched several rows. They
// have been written, so it must not pass for an error without effect.
func (w *writing[T, K]) several() failure {
	return failure{&AmbiguousError{Subject: w.subject(), Phase: dialects.Autocommit.String(), Err: ErrNotUnique}, dialects.Ambiguous}
}

// writeFailure judges an error of a write, this package's own errors included.
func (c *core[T, K]) writeFailure(ctx context.Context, s Subject, phase dialects.Phase, err error) failure {
	kind := ownKind(err)
	if kind == ErrMapping && phase == dialects.Autocommit { //nolint:errorlint // identity is meant
		// The statement ran; only its answer could not be understood.
		return failure{&AmbiguousError{Subject: s, Phase: phase.String(), Err: err}, dialects.Ambiguous}
	}
	if kind != nil {
		return failure{&OpError{Subject: s, Kind: kind, Err: unlessSame(err, kind)}, dialects.Refused}
	}
	return c.db.judge(ctx, s, phase, err)
}

// refuse ends the write for a reason that another attempt would not change.
func (w *writing[T, K]) refuse(kind error) failure {
	return failure{&OpError{Subject: w.subject(), Kind: kind, Expected: w.b.expected.Interface()}, dialects.Refused}
}

// resolve writes in an explicit transaction that locks the row first, so that
// what it finds is exactly what the write met. It is the slow path after a write
// that matched no row. A row that now has the expected version after all was
// deleted and inserted in between: the write is then done here.
func (w *writing[T, K]) resolve(ctx context.Context, u *unit) failure {
	var found failure
	err := u.run(ctx, func() (commit bool, err error) {
		found, err = w.locked(ctx, u.conn)
		return found.err == nil, err
	})
	if err != nil {
		return w.failure(ctx, u.phase, err)
	}
	return found
}

// locked reads the row under a lock, writes it if the version is right, and
// tells what stood in the way otherwise.
func (w *writing[T, K]) locked(ctx context.Context, q dialects.Querier) (failure, error) {
	stale, err := w.compare(ctx, q, &w.c.lock)
	if err != nil || stale.err != nil {
		return stale, err
	}
	n, err := w.c.writeRow(ctx, q, w.b, w.st, w.row)
	switch {
	case err != nil:
		return failure{}, err
	case n == 0:
		return w.refuse(ErrSuppressed), nil
	case n > 1:
		return w.refuse(ErrNotUnique), nil
	default:
		return w.verify(ctx, q)
	}
}

// compare reads the current row and tells how it differs from what the caller
// expects: not at all (the zero failure), in its version, or by being gone.
func (w *writing[T, K]) compare(ctx context.Context, q dialects.Querier, st *dialects.Statement) (failure, error) {
	current := new(T)
	cv := reflect.ValueOf(current).Elem()
	found, err := w.c.selectRow(ctx, q, w.b, st, w.key, cv)
	if err != nil {
		return failure{}, err
	}
	if !found && w.snapshot {
		return w.refuse(ErrGone), nil
	}
	if !found {
		return w.missing(ctx, q)
	}
	actual := w.c.version.field.of(cv)
	if w.c.version.same(actual, w.b.expected) {
		return failure{}, nil
	}
	return failure{&Conflict[T]{
		Subject: w.subject(), Expected: w.b.expected.Interface(), Actual: actual.Interface(), Current: current,
	}, dialects.Refused}, nil
}

// missing tells a row that is gone from one that row security hides from
// writers: a plain read shows the latter. In the caller's own transaction a plain
// read may show a snapshot from before the row went, and proves nothing.
func (w *writing[T, K]) missing(ctx context.Context, q dialects.Querier) (failure, error) {
	found, err := w.c.selectRow(ctx, q, w.b, &w.c.sel, w.key, reflect.ValueOf(new(T)).Elem())
	if err != nil {
		return failure{}, err
	}
	if found {
		return w.refuse(ErrSuppressed), nil
	}
	return w.refuse(ErrGone), nil
}

// verify reads back what was written, if the repository asks for it. A version
// that has not moved was not written.
func (w *writing[T, K]) verify(ctx context.Context, q dialects.Querier) (failure, error) {
	if !w.c.readBack || w.st == &w.c.remove {
		return failure{}, nil
	}
	if err := w.readVersion(ctx, q); err != nil {
		return failure{}, err
	}
	if w.c.version.same(w.b.next, w.b.expected) {
		return w.refuse(ErrSuppressed), nil
	}
	return failure{}, nil
}

// readVersion takes the version from the table, after triggers had their say.
func (w *writing[T, K]) readVersion(ctx context.Context, q dialects.Querier) error {
	written := reflect.ValueOf(new(T)).Elem()
	found, err := w.c.selectRow(ctx, q, w.b, &w.c.sel, w.key, written)
	if err == nil && !found {
		err = errVanished
	}
	if err == nil {
		w.b.next.Set(w.c.version.field.of(written))
	}
	return err
}

// joined writes in the caller's transaction, once, and leaves the row alone.
func (w *writing[T, K]) joined(ctx context.Context, tx *joined) error {
	w.snapshot = true
	if err := tx.usable(w.subject()); err != nil {
		return err
	}
	n, err := w.c.writeRow(ctx, tx.q, w.b, w.st, w.row)
	var f failure
	switch {
	case err == nil && n == 1:
		if f, err = w.verify(ctx, tx.q); err == nil && f.err == nil {
			return nil
		}
	case err == nil && n > 1:
		tx.failed.Store(true)
		f = w.refuse(ErrNotUnique)
	case err == nil:
		if f, err = w.compare(ctx, tx.q, &w.c.lock); err == nil && f.err == nil {
			f = w.unexplained()
		}
	}
	if err != nil {
		f = w.joinedFailure(ctx, tx, err)
	}
	watch := w.c.watch(w.op, w.key, &retry.Attempts{})
	watch.attempt(ctx, f.err)
	return f.err
}

// unexplained is a write in the caller's transaction that matched no row although
// the version is right.
func (w *writing[T, K]) unexplained() failure {
	if w.c.version.kind == dialects.Xmin {
		return failure{&OpError{Subject: w.subject(), Kind: ErrUsage, Err: errXminTwice}, dialects.Refused}
	}
	return w.refuse(ErrSuppressed)
}

// errXminTwice: see [dialects.Xmin].
var errXminTwice = errors.New("this transaction has written the row already, and xmin cannot tell its writes apart: " +
	"write each row once per transaction, or use a counter version")

// joinedFailure ends the caller's transaction for this package. A lost race that
// came as an error is a conflict like any other, without the current row: the
// server answers no more questions in this transaction.
func (w *writing[T, K]) joinedFailure(ctx context.Context, tx *joined, err error) failure {
	if ownKind(err) != ErrUsage { //nolint:errorlint // identity is meant
		tx.failed.Store(true)
	}
	if w.c.db.Classify(err) == dialects.Conflict {
		return failure{w.conflictOf(err), dialects.Refused}
	}
	return w.failure(ctx, dialects.InTx, err)
}

// Overwrite writes all columns of a row whatever its version is: somebody else's
// change is lost, on purpose. The row must exist, its version moves on as with
// any write, and the observer is told the reason. *row gets the new version.
//
// The row is locked, its version read and then checked like everywhere: there is
// no statement in this package that writes without a version predicate.
func (r *Repository[T, K]) Overwrite(ctx context.Context, row *T, reason string) error {
	const op = "overwrite"
	if err := r.begin(ctx, op); err != nil {
		return err
	}
	if r.unit != nil {
		return r.core.usage(op, "a unit of work validates what it writes; overwrite outside of it")
	}
	if row == nil {
		return r.core.usage(op, "the row is nil")
	}
	if reason == "" {
		return r.core.usage(op, "an overwrite needs a reason")
	}
	c := r.core
	w := &writing[T, K]{c: c, op: op, st: &c.update, row: reflect.ValueOf(row).Elem(), b: c.take()}
	defer c.give(w.b)
	w.key = c.keys.of(w.row)
	if r.tx != nil {
		return w.joinedOverwrite(ctx, r.tx, reason)
	}
	a := c.db.opts.Retry.Start()
	watch := c.watch(op, w.key, &a)
	for {
		f := w.overwriteOnce(ctx)
		watch.attempt(ctx, f.err)
		if f.err == nil {
			watch.event(ctx, observe.Overwrite, reason, nil)
			c.version.field.of(w.row).Set(w.b.next)
			return nil
		}
		w.afterOutage = f.outcome == dialects.Down
		err := f.next(ctx, &a)
		watch.retried(ctx, f.err, err)
		if err != nil {
			return err
		}
	}
}

func (w *writing[T, K]) overwriteOnce(ctx context.Context) failure {
	conn, err := w.c.db.conn(ctx, w.afterOutage)
	if err != nil {
		return w.failure(ctx, dialects.Connecting, err)
	}
	u := unit{db: w.c.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	var found failure
	err = u.run(ctx, func() (commit bool, err error) {
		found, err = w.overLocked(ctx, conn)
		return found.err == nil, err
	})
	if err != nil {
		return w.failure(ctx, u.phase, err)
	}
	return found
}

// overLocked locks the row, takes its version for the expected one and writes.
func (w *writing[T, K]) overLocked(ctx context.Context, q dialects.Querier) (failure, error) {
	current := reflect.ValueOf(new(T)).Elem()
	found, err := w.c.selectRow(ctx, q, w.b, &w.c.lock, w.key, current)
	if err != nil {
		return failure{}, err
	}
	if !found {
		return failure{&OpError{Subject: w.subject(), Kind: ErrGone}, dialects.Refused}, nil
	}
	if err := w.prepare(w.c.version.field.of(current)); err != nil {
		return failure{err, dialects.Refused}, nil //nolint:nilerr // the failure holds it
	}
	return w.locked(ctx, q)
}

func (w *writing[T, K]) joinedOverwrite(ctx context.Context, tx *joined, reason string) error {
	w.snapshot = true
	if err := tx.usable(w.subject()); err != nil {
		return err
	}
	f, err := w.overLocked(ctx, tx.q)
	if err != nil {
		f = w.joinedFailure(ctx, tx, err)
	}
	if f.err == nil {
		w.c.watch(w.op, w.key, &retry.Attempts{}).event(ctx, observe.Overwrite, reason, nil)
	}
	return f.err
}
