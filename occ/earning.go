package occ

import (
	"context"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/retry"
)

// earning returns a connection that earns for the budget if the server answers
// on it. Connections are watched only while there is something to earn, so that
// the usual case costs nothing. What else the connection can do stays visible.
func earning(c dialects.Conn, budget *retry.Budget) dialects.Conn {
	e := &earner{Conn: c, budget: budget}
	pipeliner, pipes := c.(dialects.Pipeliner)
	preparer, prepares := c.(dialects.Preparer)
	switch {
	case pipes && prepares:
		return earnerOfBoth{earningPipeliner{e, pipeliner}, preparer}
	case pipes:
		return earningPipeliner{e, pipeliner}
	case prepares:
		return earningPreparer{e, preparer}
	default:
		return e
	}
}

// earner is a connection that remembers whether the server answered.
type earner struct {
	dialects.Conn
	budget   *retry.Budget
	answered bool
}

func (e *earner) note(err error) {
	if err == nil {
		e.answered = true
	}
}

func (e *earner) Query(ctx context.Context, text string, args []any) (dialects.Rows, error) {
	rows, err := e.Conn.Query(ctx, text, args)
	if err != nil {
		return rows, err
	}
	return earnedRows{rows, e}, nil
}

func (e *earner) Exec(ctx context.Context, text string, args []any) (dialects.Result, error) {
	res, err := e.Conn.Exec(ctx, text, args)
	e.note(err)
	return res, err
}

func (e *earner) Release(discard bool) {
	if e.answered && !discard {
		e.budget.Earn()
	}
	e.Conn.Release(discard)
}

// earnedRows notes an answer that came to its end.
type earnedRows struct {
	dialects.Rows
	e *earner
}

func (r earnedRows) Close() {
	r.Rows.Close()
	r.e.note(r.Rows.Err())
}

type earningPipeliner struct {
	*earner
	p dialects.Pipeliner
}

func (e earningPipeliner) Pipeline(ctx context.Context, calls []dialects.Call) error {
	err := e.p.Pipeline(ctx, calls)
	e.note(err)
	return err
}

type earningPreparer struct {
	*earner
	p dialects.Preparer
}

func (e earningPreparer) Prepare(ctx context.Context, text string) (dialects.Prepared, error) {
	st, err := e.p.Prepare(ctx, text)
	e.note(err)
	return st, err
}

type earnerOfBoth struct {
	earningPipeliner
	preparer dialects.Preparer
}

func (e earnerOfBoth) Prepare(ctx context.Context, text string) (dialects.Prepared, error) {
	return earningPreparer{e.earner, e.preparer}.Prepare(ctx, text)
}
