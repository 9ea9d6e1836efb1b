package dialecttest

import (
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
)

const featureTransport = "Transport keeps the contract"

var transportCases = []testCase{
	{"rows-affected", featureTransport, "Exec reports how many rows it met, none included", caseRowsAffected},
	{"rollback", featureTransport, "what a transaction wrote is gone after Rollback, and the connection can be used again", caseRollback},
	{"commit", featureTransport, "what a transaction wrote is there after Commit", caseCommit},
	{"failed-commit", featureTransport, "Commit returns nil only if the transaction's writes are there, also after a statement failed", caseFailedCommit},
	{"pipeline", featureTransport, "a pipeline that ends with COMMIT ends the open transaction, unless a statement of it fails", casePipeline},
	{"discard", featureTransport, "a connection that is discarded takes its open transaction with it", caseDiscard},
	{"deterministic", featureTransport, "a dialect writes the same statement for the same table every time", caseDeterministic},
}

// direct returns a connection and a scene, for statements of the suite's own.
func direct(p *probe) (*scene, dialects.Conn) {
	s := p.accounts()
	s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	s.seed(account{ID: 2, Owner: "Bob", Balance: 100, Version: 3})
	conn, err := p.h.Transport.Conn(p.ctx)
	p.must(err, "connect")
	return s, conn
}

// set is an update of the suite's own.
func (s *scene) set(balance int, where string) string {
	return fmt.Sprintf("UPDATE %s SET balance = %d WHERE %s", s.p.h.DDL.quote(s.table), balance, where)
}

func begin(d dialects.Dialect) string {
	if b, ok := d.(dialects.Beginner); ok {
		return b.Begin()
	}
	return "BEGIN"
}

func caseRowsAffected(p *probe) {
	s, conn := direct(p)
	defer conn.Release(false)
	for where, want := range map[string]int64{"id = 1": 1, "id > 0": 2, "id = 7": 0} {
		result, err := conn.Exec(p.ctx, s.set(int(want)+7, where), nil)
		p.must(err, "exec")
		p.equal("the rows affected where "+where, result.RowsAffected, want)
	}
}

func casePipeline(p *probe) {
	s, conn := direct(p)
	if _, ok := conn.(dialects.Pipeliner); !ok {
		conn.Release(false)
		return
	}
	err := pipelined(p, conn, s.set(1, "id = 1"), s.set(1, "nonsense = 1"))
	if errors.Is(err, errors.ErrUnsupported) {
		return
	}
	if err == nil {
		p.failf("a statement about a missing column did not fail")
	}
	s.holds(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	conn, err = p.h.Transport.Conn(p.ctx)
	p.must(err, "connect")
	p.must(pipelined(p, conn, s.set(1, "id = 1"), s.set(2, "id = 2")), "pipeline")
	s.holds(account{ID: 1, Owner: "Ada", Balance: 1, Version: 3})
	s.holds(account{ID: 2, Owner: "Bob", Balance: 2, Version: 3})
}

// pipelined runs a transaction whose last statement travels with COMMIT.
func pipelined(p *probe, conn dialects.Conn, first, last string) error {
	defer conn.Release(false)
	p.must(conn.Begin(p.ctx, begin(p.h.Dialect)), "begin")
	_, err := conn.Exec(p.ctx, first, nil)
	p.must(err, "exec")
	if err = conn.(dialects.Pipeliner).Pipeline(p.ctx, []dialects.Call{{Text: last}, {Text: "COMMIT"}}); err != nil {
		p.ok(conn.Rollback(p.ctx), "rollback")
	}
	return err
}

func caseRollback(p *probe) {
	s, conn := direct(p)
	p.ok(conn.Begin(p.ctx, begin(p.h.Dialect)), "begin")
	_, err := conn.Exec(p.ctx, s.set(1, "id = 1"), nil)
	p.ok(err, "exec")
	p.ok(conn.Rollback(p.ctx), "rollback")
	conn.Release(false)
	s.holds(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
}

func caseCommit(p *probe) {
	s, conn := direct(p)
	p.ok(conn.Begin(p.ctx, begin(p.h.Dialect)), "begin")
	_, err := conn.Exec(p.ctx, s.set(1, "id = 1"), nil)
	p.ok(err, "exec")
	p.ok(conn.Commit(p.ctx), "commit")
	conn.Release(false)
	s.holds(account{ID: 1, Owner: "Ada", Balance: 1, Version: 3})
}

func caseFailedCommit(p *probe) {
	s, conn := direct(p)
	p.ok(conn.Begin(p.ctx, begin(p.h.Dialect)), "begin")
	_, err := conn.Exec(p.ctx, s.set(1, "id = 1"), nil)
	p.ok(err, "exec")
	_, err = conn.Exec(p.ctx, s.set(1, "nonsense = 1"), nil)
	if err == nil {
		p.failf("a statement about a missing column did not fail")
	}
	commitErr := conn.Commit(p.ctx)
	_ = conn.Rollback(p.ctx) // may have nothing to do
	conn.Release(false)
	a, _ := s.row(1)
	if applied := a.Balance == 1; applied != (commitErr == nil) {
		p.failf("commit of a transaction that met an error returned %q, but its write is applied: %v", text(commitErr), applied)
	}
	if commitErr != nil && !errors.Is(commitErr, dialects.ErrRolledBack) {
		p.failf("commit of a transaction that met an error returned %q, want ErrRolledBack or nil", text(commitErr))
	}
}

func caseDiscard(p *probe) {
	if p.h.OneConnection {
		p.untested("discarding ends the only connection")
	}
	s, conn := direct(p)
	p.ok(conn.Begin(p.ctx, begin(p.h.Dialect)), "begin")
	_, err := conn.Exec(p.ctx, s.set(1, "id = 1"), nil)
	p.ok(err, "exec")
	conn.Release(true)
	want := account{ID: 1, Owner: "Ada", Balance: 100, Version: 3}
	s.holds(want)
	// The lock is gone as well.
	p.must(s.Update(p.ctx, &want), "update")
}

func caseDeterministic(p *probe) {
	table := dialects.Table{Name: "t", Columns: []dialects.Column{
		{Name: "a", Key: true},
		{Name: "b", Key: true},
		{Name: "c"},
		{Name: "d", ReadOnly: true},
		{Name: "e", Generated: true},
		{Name: "v", Version: dialects.Counter},
	}}
	d := p.h.Dialect
	for what, write := range map[string]func(*dialects.Table) (dialects.Statement, error){
		"Select": d.Select, "Insert": d.Insert, "Update": d.Update, "Delete": d.Delete,
	} {
		one, err := write(&table)
		p.ok(err, "%s", what)
		two, err := write(&table)
		p.ok(err, "%s", what)
		p.equal("the second statement of "+what, two, one)
	}
	if d.Name() == "" {
		p.failf("the dialect has no name")
	}
}
