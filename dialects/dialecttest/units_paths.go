package dialecttest

import (
	"context"
	"sync/atomic"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

// eachPath runs a part of a case on every way in which the pair can commit a unit:
// as it is, and with one round trip for each statement.
func (p *probe) eachPath(run func(s *scene)) {
	wires := []*wire{{DB: p.h.Transport}}
	if p.oneTrip() {
		wires = append(wires, &wire{DB: p.h.Transport, plain: true})
	}
	for _, w := range wires {
		run(p.accountsOver(w))
	}
}

// accountsOver makes a scene whose transport is watched.
func (p *probe) accountsOver(w *wire) *scene {
	s := &scene{p: p, table: p.create(accountColumns), events: &observe.Counter{}, wire: w}
	dialect := p.h.Dialect
	if _, ok := dialect.(dialects.Compounder); ok && w.plain {
		dialect = p.withoutCompound()
	}
	s.db = occ.New(w, dialect, &occ.Options{Retry: &few, Observer: s.events})
	s.accountRepository = repository[account, int64](p, s.db, s.table, nil)
	return s
}

// oneTrip tells whether the pair can commit a unit in one round trip.
func (p *probe) oneTrip() bool {
	if _, ok := p.h.Dialect.(dialects.Guarder); !ok {
		return false
	}
	if _, ok := p.h.Dialect.(dialects.Compounder); ok {
		return true
	}
	conn, err := p.h.Transport.Conn(p.ctx)
	p.must(err, "connect")
	defer conn.Release(false)
	pipeliner, ok := conn.(dialects.Pipeliner)
	return ok && pipeliner.Pipeline(p.ctx, []dialects.Call{{Text: "SELECT 1", Dest: []any{new(int64)}}}) == nil
}

// withoutCompound returns the dialect without its compound statement.
func (p *probe) withoutCompound() dialects.Dialect {
	d := p.h.Dialect
	lock, ok1 := d.(dialects.LockingReader)
	share, ok2 := d.(dialects.ShareLocker)
	begin, ok3 := d.(dialects.Beginner)
	if !ok1 || !ok2 || !ok3 {
		p.untested("the dialect's abilities cannot be taken apart")
	}
	return struct {
		dialects.Dialect
		dialects.LockingReader
		dialects.ShareLocker
		dialects.Beginner
	}{d, lock, share, begin}
}

// wire is a transport that counts what waits for an answer, and can lose the
// answer to whatever makes a unit final.
type wire struct {
	dialects.DB
	plain bool         // without pipelines
	trips atomic.Int64 // how many answers were waited for
	lose  atomic.Pointer[error]
	final atomic.Int64 // how many answers got lost
}

func (w *wire) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := w.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	plain := &wireConn{Conn: c, wire: w}
	if p, ok := c.(dialects.Pipeliner); ok && !w.plain {
		return &wirePipe{plain, p}, nil
	}
	return plain, nil
}

// answer is what the client sees of an answer that makes a unit final.
func (w *wire) answer(err error) error {
	if loss := w.lose.Load(); err == nil && loss != nil {
		w.final.Add(1)
		return *loss
	}
	return err
}

type wireConn struct {
	dialects.Conn
	wire *wire
	open bool // a transaction is
}

func (c *wireConn) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	c.wire.trips.Add(1)
	return c.Conn.Query(ctx, text, args)
}

func (c *wireConn) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	c.wire.trips.Add(1)
	res, err := c.Conn.Exec(ctx, text, args)
	if !c.open {
		err = c.wire.answer(err)
	}
	return res, err
}

func (c *wireConn) Begin(ctx context.Context, text string) error {
	c.wire.trips.Add(1)
	c.open = true
	return c.Conn.Begin(ctx, text)
}

func (c *wireConn) Commit(ctx context.Context) error {
	c.wire.trips.Add(1)
	c.open = false
	return c.wire.answer(c.Conn.Commit(ctx))
}

func (c *wireConn) Rollback(ctx context.Context) error {
	c.wire.trips.Add(1)
	c.open = false
	return c.Conn.Rollback(ctx)
}

// Release keeps a connection that only seems to be broken.
func (c *wireConn) Release(discard bool) { c.Conn.Release(discard && c.wire.lose.Load() == nil) }

type wirePipe struct {
	*wireConn
	pipeliner dialects.Pipeliner
}

func (c *wirePipe) Pipeline(ctx context.Context, calls []dialects.Call) error {
	c.wire.trips.Add(1)
	return c.wire.answer(c.pipeliner.Pipeline(ctx, calls))
}
