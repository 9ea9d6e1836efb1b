package dialecttest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

// probe is one case at work: the harness, what the case has made, and what it
// has found wrong. A case notes faults and goes on where it can; the methods
// named must end it, and may be called on its own goroutine alone.
type probe struct {
	ctx  context.Context
	h    Harness
	full bool // full size, where a case has one

	mu       sync.Mutex
	faults   []error
	cleanups []func(context.Context)
}

// failf notes a fault. It may be called from any goroutine.
func (p *probe) failf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Errorf(format, args...))
}

// must ends the case when err is not nil.
func (p *probe) must(err error, doing string, args ...any) {
	if err != nil {
		p.failf("%s: %w", fmt.Sprintf(doing, args...), err)
		panic(&stop{status: Fail})
	}
}

// ok notes a fault when err is not nil.
func (p *probe) ok(err error, doing string, args ...any) bool {
	if err != nil {
		p.failf("%s: %w", fmt.Sprintf(doing, args...), err)
	}
	return err == nil
}

// is notes a fault unless err is target.
func (p *probe) is(err, target error, doing string) bool {
	if !errors.Is(err, target) {
		p.failf("%s: error %q, want one that is %q", doing, text(err), target)
		return false
	}
	return true
}

// not notes a fault when err is one of targets.
func (p *probe) not(err error, doing string, targets ...error) {
	for _, target := range targets {
		if errors.Is(err, target) {
			p.failf("%s: error %q must not be %q", doing, text(err), target)
		}
	}
}

func text(err error) string {
	if err == nil {
		return "none"
	}
	return err.Error()
}

// equal notes a fault unless two values are the same.
func (p *probe) equal(what string, got, want any) bool {
	if !reflect.DeepEqual(got, want) {
		p.failf("%s is %+v, want %+v", what, got, want)
		return false
	}
	return true
}

// lacks ends the case: the database has not what it takes.
func (p *probe) lacks(reason string, args ...any) {
	panic(&stop{status: Unsupported, reason: fmt.Sprintf(reason, args...)})
}

// untested ends the case: the harness has not what it takes.
func (p *probe) untested(reason string, args ...any) {
	panic(&stop{status: Untested, reason: fmt.Sprintf(reason, args...)})
}

// later runs a function when the case has ended, last one first.
func (p *probe) later(f func(ctx context.Context)) { p.cleanups = append(p.cleanups, f) }

func (p *probe) cleanUp() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.ctx), 30*time.Second)
	defer cancel()
	for i := len(p.cleanups) - 1; i >= 0; i-- {
		p.cleanups[i](ctx)
	}
}

// name returns a table name that nobody else has.
func (p *probe) name() string {
	b := make([]byte, 6)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return "ct_" + hex.EncodeToString(b)
}

// create makes a table under a new name. See [DDL.table] for the body.
func (p *probe) create(body string) (table string) {
	table = p.name()
	p.createAs(table, body)
	return table
}

func (p *probe) createAs(table, body string) {
	create, err := p.h.DDL.table(table, body)
	if err != nil {
		p.lacks("%v", err)
	}
	p.exec(create)
	p.later(func(ctx context.Context) {
		p.ok(p.h.Exec(ctx, "DROP TABLE "+p.h.DDL.quote(table)), "drop the table")
	})
}

// exec runs statements through the harness.
func (p *probe) exec(statements ...string) {
	for _, statement := range statements {
		p.must(p.h.Exec(p.ctx, statement), "%s", statement)
	}
}

// scan reads one row with the suite's own SQL and not with the dialect's: what
// the table really holds. It returns false when there is no row.
func (p *probe) scan(query string, dest ...any) bool {
	conn, err := p.h.Transport.Conn(p.ctx)
	p.must(err, "connect")
	defer conn.Release(false)
	rows, err := conn.Query(p.ctx, query, nil)
	p.must(err, "%s", query)
	defer rows.Close()
	found := rows.Next()
	if found {
		err = rows.Scan(dest...)
	}
	rows.Close()
	p.must(errors.Join(err, rows.Err()), "%s", query)
	return found
}

// open returns a database over the pair. Options may be nil.
func (p *probe) open(opts *occ.Options) *occ.DB { return p.over(p.h.Transport, opts) }

// over returns a database over another transport.
func (p *probe) over(transport dialects.DB, opts *occ.Options) *occ.DB {
	return occ.New(transport, p.h.Dialect, opts)
}
