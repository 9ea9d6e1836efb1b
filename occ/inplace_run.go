package occ

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/retry"
)

// run applies the changes in a statement of its own until the outcome is known.
func (in *inPlace[T, K]) run(ctx context.Context) error {
	a := in.w.c.db.opts.Retry.Start()
	watch := in.w.c.watch(in.w.op, in.w.key, &a)
	for {
		f := in.once(ctx)
		watch.attempt(ctx, f.err)
		if f.err == nil {
			return nil
		}
		in.w.afterOutage = f.outcome == dialects.Down
		err := f.next(ctx, &a)
		watch.retried(ctx, f.err, err)
		if err != nil {
			return err
		}
	}
}

func (in *inPlace[T, K]) once(ctx context.Context) failure {
	conn, err := in.w.c.db.conn(ctx, in.w.afterOutage)
	if err != nil {
		return in.fail(ctx, dialects.Connecting, err)
	}
	u := unit{db: in.w.c.db, conn: conn}
	defer func() { conn.Release(u.dirty) }()
	if in.w.c.readBack {
		return in.explain(ctx, &u)
	}
	n, err := in.send(ctx, conn)
	switch {
	case err != nil:
		return in.fail(ctx, dialects.Autocommit, err)
	case n == 0:
		return in.explain(ctx, &u)
	case n > 1:
		return in.w.several()
	}
	return failure{}
}

func (in *inPlace[T, K]) fail(ctx context.Context, phase dialects.Phase, err error) failure {
	return in.w.c.writeFailure(ctx, in.w.subject(), phase, err)
}

// send runs the update. When one row matched, b.next holds its version.
func (in *inPlace[T, K]) send(ctx context.Context, q dialects.Querier) (int64, error) {
	st := &in.statements.update
	if err := in.w.c.version.fresh(in.w.b.next); err != nil {
		return 0, &notSentError{err}
	}
	if err := in.bind(st); err != nil {
		return 0, &notSentError{err}
	}
	if st.Identity == "" {
		return in.w.c.sendRow(ctx, q, in.w.b, st)
	}
	res, err := q.Exec(ctx, st.Text, in.w.b.args)
	switch {
	case err != nil:
		return 0, err
	case res.RowsAffected < 0:
		return 0, &scanError{errUncounted}
	case res.RowsAffected == 1:
		if !assign(in.w.b.next, reflect.ValueOf(res.LastInsertID)) {
			return 1, &scanError{fmt.Errorf("version %d does not fit a %s", res.LastInsertID, in.w.b.next.Type())}
		}
	}
	return res.RowsAffected, nil
}

// fresh sets dst to the version that a write gives a row which nobody has read. A
// counter is the database's to count.
func (v *versioner) fresh(dst reflect.Value) error {
	if v.kind == dialects.Counter {
		return nil
	}
	return v.unordered(dst, time.Time{})
}

// bind fills the arguments of one of the statements.
func (in *inPlace[T, K]) bind(st *dialects.Statement) error {
	b, c := in.w.b, in.w.c
	b.reset()
	keys, err := c.keys.bind(nil, in.w.key)
	if err != nil {
		return err
	}
	for _, arg := range st.Args {
		var v any
		switch arg.Source {
		case dialects.Operand:
			v = in.operands[arg.Index]
		case dialects.Bound:
			v = in.limits[arg.Index]
		case dialects.Next:
			if v, err = c.version.field.codec.bind(pointer(b.next)); err != nil {
				return err
			}
		default:
			for n, column := range c.m.keys {
				if column == arg.Column {
					v = keys[n]
				}
			}
		}
		b.args = append(b.args, v)
	}
	return nil
}

// explain applies the changes in a transaction that locks the row first, so that
// it is known what stood in the way. It is the slow path after a statement that
// matched no row. A row for which everything holds by now is written here.
func (in *inPlace[T, K]) explain(ctx context.Context, u *unit) failure {
	var found failure
	err := u.run(ctx, func() (commit bool, err error) {
		found, err = in.locked(ctx, u.conn)
		return found.err == nil, err
	})
	if err != nil {
		return in.fail(ctx, u.phase, err)
	}
	return found
}

func (in *inPlace[T, K]) locked(ctx context.Context, q dialects.Querier) (failure, error) {
	row := new(T)
	verdict, found, err := in.check(ctx, q, row)
	switch {
	case err != nil:
		return failure{}, err
	case !found:
		return in.missingRow(ctx, q)
	case verdict != dialects.InPlaceWrites:
		return failure{in.verdict(verdict, row), dialects.Refused}, nil
	}
	n, err := in.send(ctx, q)
	switch {
	case err != nil:
		return failure{}, err
	case n == 0:
		return in.deny(ErrSuppressed), nil
	case n > 1:
		return in.deny(ErrNotUnique), nil
	case in.w.c.readBack:
		return failure{}, in.w.readVersion(ctx, q)
	}
	return failure{}, nil
}

// check reads the row under a lock, and what the update would do to it.
func (in *inPlace[T, K]) check(ctx context.Context, q dialects.Querier, row *T) (verdict dialects.InPlaceVerdict, found bool, err error) {
	st := &in.statements.check
	if err := in.bind(st); err != nil {
		return 0, false, &notSentError{err}
	}
	in.w.c.aim(in.w.b, st.Returns, reflect.ValueOf(row).Elem())
	in.w.b.dest = append(in.w.b.dest, &verdict)
	n, err := in.w.b.one(ctx, q, st.Text)
	if err == nil && n > 1 {
		err = ErrNotUnique
	}
	return verdict, n > 0, err
}

// missingRow tells a row that is not there from one that row security hides from
// writers, see [writing.missing].
func (in *inPlace[T, K]) missingRow(ctx context.Context, q dialects.Querier) (failure, error) {
	if in.w.snapshot {
		return in.deny(ErrNotFound), nil
	}
	found, err := in.w.c.selectRow(ctx, q, in.w.b, &in.w.c.sel, in.w.key, reflect.ValueOf(new(T)).Elem())
	switch {
	case err != nil:
		return failure{}, err
	case found:
		return in.deny(ErrSuppressed), nil
	}
	return in.deny(ErrNotFound), nil
}

func (in *inPlace[T, K]) deny(kind error) failure {
	return failure{&OpError{Subject: in.w.subject(), Kind: kind}, dialects.Refused}
}

var (
	errAddToNull = errors.New("a column that is to be added to is NULL")
	errSumRange  = errors.New("the sum does not fit the column or its field")
	errFull      = errors.New("the version is the last that its column or field holds")
)

// verdict returns the error of a row that is not written.
func (in *inPlace[T, K]) verdict(verdict dialects.InPlaceVerdict, row *T) error {
	switch verdict {
	case dialects.InPlaceRange:
		return &OpError{Subject: in.w.subject(), Kind: ErrOverflow, Err: errSumRange}
	case dialects.InPlaceFull:
		return &OpError{Subject: in.w.subject(), Kind: ErrOverflow, Err: errFull}
	}
	unmet := &Unmet[T]{Subject: in.w.subject(), Columns: in.about, Current: row}
	if verdict == dialects.InPlaceNull {
		unmet.Err = errAddToNull
	}
	return unmet
}

// joined applies the changes in the caller's transaction, once.
func (in *inPlace[T, K]) joined(ctx context.Context, tx *joined) error {
	in.w.snapshot = true
	if err := tx.usable(in.w.subject()); err != nil {
		return err
	}
	var f failure
	n, err := in.send(ctx, tx.q)
	switch {
	case err != nil:
	case n == 0:
		f, err = in.locked(ctx, tx.q)
	case n > 1:
		f = in.deny(ErrNotUnique)
	case in.w.c.readBack:
		err = in.w.readVersion(ctx, tx.q)
	}
	if err != nil {
		f = in.fail(ctx, dialects.InTx, err)
		f.outcome = dialects.Refused
	}
	if err != nil && ownKind(err) != ErrUsage || errors.Is(f.err, ErrNotUnique) { //nolint:errorlint // identity is meant
		tx.failed.Store(true)
	}
	in.w.c.watch(in.w.op, in.w.key, &retry.Attempts{}).attempt(ctx, f.err)
	return f.err
}
