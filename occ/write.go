package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/occkit/occkit/dialects"
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
	_, err := w.until(ctx, w.once)
	return err
}

// until makes attempts until the outcome is known, and sets the new version in the
// row.
func (w *writing[T, K]) until(ctx context.Context, attempt func(context.Context) failure) (*watch, error) {
	a := w.c.db.opts.Retry.Start()
	watch := w.c.watch(w.op, w.key, &a)
	for {
		f := attempt(ctx)
		watch.attempt(ctx, f.err)
		if f.err == nil {
			if w.st != &w.c.remove {
				w.c.version.field.of(w.row).Set(w.b.next)
			}
			return watch, nil
		}
		w.afterOutage = f.outcome == dialects.Down
		err := f.next(ctx, &a)
		watch.retried(ctx, f.err, err)
		if err != nil {
			return watch, err
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
	conn, err := w.c.writeConn(ctx, w.afterOutage)
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
