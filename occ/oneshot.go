package occ

import (
	"context"
	"errors"
	"reflect"

	"github.com/occkit/occkit/dialects"
)

// shot is one statement of a commit that travels in one round trip.
type shot struct {
	call dialects.Call
	// done takes over what the statement reported, once the commit is known.
	done func() error
}

// oneShot commits the plan in one round trip, where dialect, transport and every
// member allow it. Tried is false when nothing was sent. A stale unit comes back
// as failure with errStale: the caller then finds out which rows.
func (tx *Tx) oneShot(ctx context.Context, s Subject, u *unit, p *plan) (f failure, tried bool) {
	guarder, ok := tx.db.dialect.(dialects.Guarder)
	if !ok {
		return failure{}, false
	}
	compounder, compound := tx.db.dialect.(dialects.Compounder)
	pipeliner, pipelined := u.conn.(dialects.Pipeliner)
	if !compound && !pipelined {
		return failure{}, false
	}
	shots, ok := tx.shots(guarder, p.members, compound)
	if !ok {
		return failure{}, false
	}
	ctx, cancel := tx.db.detached(ctx) // COMMIT is part of it
	defer cancel()
	var err error
	if compound {
		err = tx.fireCompound(ctx, u, compounder, shots)
	} else {
		err = firePipeline(ctx, pipeliner, shots)
	}
	switch {
	case err == nil:
		return landed(s, shots), true
	case errors.Is(err, errors.ErrUnsupported):
		return failure{}, false
	case guarder.Stale(err):
		return failure{errStale, dialects.Retry}, true
	case compound && tx.db.Classify(err) == dialects.Canceled:
		return tx.db.judge(ctx, s, dialects.Commit, err), true // it may have been stopped behind its COMMIT
	default:
		return tx.db.judge(ctx, s, dialects.Autocommit, err), true
	}
}

var errStale = errors.New("a row is stale")

// shots returns the statements of the commit, in order; false when one of them
// cannot be guarded.
func (tx *Tx) shots(g dialects.Guarder, members []member, compound bool) ([]shot, bool) {
	shots := make([]shot, 0, len(members)+len(tx.execs))
	for _, m := range members {
		next, ok := m.shot(g, compound)
		if !ok {
			return nil, false
		}
		shots = append(shots, next)
	}
	for _, c := range tx.execs {
		shots = append(shots, shot{call: dialects.Call{Text: c.text, Args: c.args}})
	}
	return shots, true
}

func firePipeline(ctx context.Context, p dialects.Pipeliner, shots []shot) error {
	calls := make([]dialects.Call, len(shots))
	for i := range shots {
		calls[i] = shots[i].call
	}
	return p.Pipeline(ctx, calls)
}

// Bounds of a compound statement, which is one packet: see listSize.
const compoundSize = listSize

// fireCompound runs the shots as one statement. MariaDB's handler undoes them when
// one fails, also when KILL QUERY or a time limit stops it (seen on 10.11, and not
// promised anywhere). Where that is not certain the connection is rolled back or
// discarded: a transaction left open in the pool would be committed with the next.
func (tx *Tx) fireCompound(ctx context.Context, u *unit, c dialects.Compounder, shots []shot) error {
	parts := make([]string, len(shots))
	var args []any
	size := 0
	for i := range shots {
		parts[i] = shots[i].call.Text
		args = append(args, shots[i].call.Args...)
		size += len(parts[i])
	}
	limit := tx.db.dialect.Limits().Params
	if limit > 0 && len(args) > limit || size+bytesOf(args) > compoundSize {
		return errors.ErrUnsupported
	}
	u.dirty = true // until proven clean; a panic leaves it so
	_, err := u.conn.Exec(ctx, c.Compound(parts), args)
	switch {
	case err == nil, c.Stale(err), tx.db.Classify(err) == dialects.Conflict:
		u.dirty = false
	default:
		u.rollback(ctx)
	}
	return err
}

// landed takes over the results of a commit that happened.
func landed(s Subject, shots []shot) failure {
	for _, sh := range shots {
		if sh.done == nil {
			continue
		}
		if err := sh.done(); err != nil { // applied, but the answer makes no sense
			return failure{&AmbiguousError{Subject: s, Phase: dialects.Commit.String(), Err: err}, dialects.Ambiguous}
		}
	}
	return failure{}
}

// shot returns the guarded statement of the entry's row.
func (e *entry[T, K]) shot(g dialects.Guarder, compound bool) (shot, bool) {
	switch {
	case e.intent == inserts:
		return e.insertShot(g, compound)
	case e.intent == reads && e.exists:
		return e.checkShot(&e.c.share, compound, func(dialects.Statement) (dialects.Statement, error) { return g.GuardRead(&e.c.m.table) })
	case e.intent == reads:
		return e.checkShot(&e.c.sel, compound, func(dialects.Statement) (dialects.Statement, error) { return g.GuardAbsent(&e.c.m.table) })
	}
	st := &e.c.remove
	if e.intent == updates {
		var err error
		if st, err = e.statement(); err != nil || e.c.readBack {
			return shot{}, false
		}
		if e.c.version.next(e.b.next, e.b.expected) != nil {
			return shot{}, false // the long way says why
		}
	}
	return e.checkShot(st, compound, func(st dialects.Statement) (dialects.Statement, error) { return g.GuardWrite(&e.c.m.table, st) })
}

// guarded returns the guarded form of st, which is compiled once for each key.
func (c *core[T, K]) guarded(key any, st *dialects.Statement, compile func(dialects.Statement) (dialects.Statement, error)) (*dialects.Statement, error) {
	if g, ok := c.guards.Load(key); ok {
		return g.(*dialects.Statement), nil
	}
	guarded, err := compile(*st)
	if err != nil {
		return nil, err
	}
	c.guards.Store(key, &guarded)
	return &guarded, nil
}

// checkShot binds the guarded form of st.
func (e *entry[T, K]) checkShot(st *dialects.Statement, compound bool, compile func(dialects.Statement) (dialects.Statement, error)) (shot, bool) {
	guarded, err := e.c.guarded(st, st, compile)
	if err != nil {
		return shot{}, false
	}
	if err := e.c.bindRow(e.b, guarded, e.writing(st).row); err != nil {
		return shot{}, false
	}
	s := shot{call: dialects.Call{Text: guarded.Text, Args: e.b.args}}
	if compound {
		return s, true
	}
	if len(guarded.Returns) > 0 {
		s.call.Dest = append(s.call.Dest, e.b.returned.Addr().Interface())
		s.done = func() error { e.b.next.Set(e.b.returned); return nil }
	}
	s.call.Dest = append(s.call.Dest, new(int64)) // the guard's own column
	return s, true
}

// insertShot returns the entry's insert, guarded against what swallows it. In a
// compound statement there is nobody to take what it returns, so the server must
// have nothing to decide.
func (e *entry[T, K]) insertShot(g dialects.Guarder, compound bool) (shot, bool) {
	row := *e.state
	i := &insertion[T, K]{c: e.c, op: "transact", row: &row, rv: reflect.ValueOf(&row).Elem(), b: e.b}
	if i.prepare() != nil || i.reread || (compound && (len(i.st.Returns) > 0 || i.st.Identity != "")) {
		return shot{}, false
	}
	guarded, err := e.c.guarded(e.c.leftOut(i.rv), &i.st, func(st dialects.Statement) (dialects.Statement, error) { return g.GuardWrite(&e.c.m.table, st) })
	if err != nil || e.c.bindRow(e.b, guarded, i.rv) != nil {
		return shot{}, false
	}
	s := shot{call: dialects.Call{Text: guarded.Text, Args: e.b.args}}
	if !compound {
		e.c.aim(e.b, guarded.Returns, i.rv)
		s.call.Dest = append(e.b.dest, new(int64)) // the guard's own column
	}
	s.done = func() error {
		for _, finish := range e.b.finish {
			finish()
		}
		e.result = &row
		return i.done(1, nil)
	}
	return s, true
}
