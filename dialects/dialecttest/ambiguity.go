package dialecttest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"

	"github.com/occkit/occkit/occ"
)

const featureAmbiguity = "Lost replies are ambiguous, never repeated"

var ambiguityCases = []testCase{
	{"update", featureAmbiguity, "an update whose reply is lost is ErrAmbiguous and is sent once", caseLostUpdate},
	{"delete", featureAmbiguity, "a delete whose reply is lost is ErrAmbiguous and is sent once", caseLostDelete},
	{"insert", featureAmbiguity, "an insert whose reply is lost is ErrAmbiguous and is sent once", caseLostInsert},
	{"mutate", featureAmbiguity, "a mutate whose write's reply is lost is ErrAmbiguous and is sent once", caseLostMutate},
	{"commit", featureAmbiguity, "a COMMIT whose reply is lost is ErrAmbiguous and is sent once", caseLostCommit},
	{"in-transaction", featureAmbiguity, "a statement inside a transaction whose reply is lost was not applied, and the transaction is repeated", caseLostInTx},
	{"read", featureAmbiguity, "a read whose reply is lost is repeated", caseLostRead},
}

// losses are what drivers of any kind return when a connection breaks.
var losses = []error{
	io.ErrUnexpectedEOF,
	fmt.Errorf("read: %w", io.EOF),
	&net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)},
	fmt.Errorf("timeout: %w", os.ErrDeadlineExceeded),
	net.ErrClosed,
}

// lost runs a write whose reply gets lost, for every kind of loss. Named is
// the statement's name in Statements; empty: COMMIT.
func lost(p *probe, named string, readBack bool, write func(s *scene, a *account) error, check func(s *scene)) {
	for _, loss := range losses {
		s := p.accounts()
		a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
		l := &losing{DB: p.h.Transport, err: loss, texts: s.statements(named), commit: named == ""}
		l.left.Store(1)
		s = s.via(l, occ.Options{}, &occ.RepositoryOptions{ReadBack: readBack})
		before := a
		err := write(s, &a)
		if !p.is(err, occ.ErrAmbiguous, fmt.Sprintf("a write that met %q", loss)) {
			return
		}
		p.not(err, "the write", occ.ErrConflict, occ.ErrGone, occ.ErrExhausted, occ.ErrUnavailable)
		var ambiguous *occ.AmbiguousError
		if errors.As(err, &ambiguous) {
			phase := "autocommit"
			if named == "" {
				phase = "commit"
			}
			p.equal("AmbiguousError.Phase", ambiguous.Phase, phase)
		}
		p.is(err, loss, "the write's cause")
		p.equal("how often it was sent", l.sent.Load(), int64(1))
		p.equal("the struct", a, before)
		s.attempts(1)
		check(s)
	}
}

// statements returns the forms of one of the repository's statements.
func (s *scene) statements(named string) (forms []string) {
	for _, st := range s.Statements() {
		if name, _, _ := strings.Cut(st.Name, ","); name == named {
			forms = append(forms, st.Text)
		}
	}
	return forms
}

func caseLostUpdate(p *probe) {
	lost(p, "update", false,
		func(s *scene, a *account) error { return s.Update(p.ctx, a) },
		func(s *scene) { s.holds(account{ID: 1, Owner: "Ada", Balance: 100, Version: 4}) })
}

func caseLostDelete(p *probe) {
	lost(p, "delete", false,
		func(s *scene, a *account) error { return s.Delete(p.ctx, a) },
		func(s *scene) {
			if _, found := s.row(1); found {
				p.failf("the delete was undone")
			}
		})
}

func caseLostInsert(p *probe) {
	lost(p, "insert", false,
		func(s *scene, _ *account) error { return s.Insert(p.ctx, &account{ID: 2, Owner: "Bob"}) },
		func(s *scene) { s.holds(account{ID: 2, Owner: "Bob", Version: 1}) })
}

func caseLostMutate(p *probe) {
	lost(p, "update", false,
		func(s *scene, _ *account) error {
			_, err := s.Mutate(p.ctx, 1, func(a *account) error { a.Balance++; return nil })
			return err
		},
		func(s *scene) { s.holds(account{ID: 1, Owner: "Ada", Balance: 101, Version: 4}) })
}

func caseLostCommit(p *probe) {
	lost(p, "", true,
		func(s *scene, a *account) error { return s.Update(p.ctx, a) },
		func(s *scene) { s.holds(account{ID: 1, Owner: "Ada", Balance: 100, Version: 4}) })
}

func caseLostInTx(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	l := &losing{DB: p.h.Transport, err: io.ErrUnexpectedEOF, texts: s.statements("update")}
	l.left.Store(1)
	s = s.via(l, occ.Options{Retry: &few}, &occ.RepositoryOptions{ReadBack: true})
	a.Balance = 7
	p.must(s.Update(p.ctx, &a), "update")
	p.equal("how often the update was sent", l.sent.Load(), int64(2))
	p.equal("the version in the struct", a.Version, int64(4))
	s.holds(a)
	s.attempts(2)
}

func caseLostRead(p *probe) {
	s := p.accounts()
	a := s.seed(account{ID: 1, Owner: "Ada", Balance: 100, Version: 3})
	l := &losing{DB: p.h.Transport, err: io.ErrUnexpectedEOF, texts: s.statements("select")}
	l.left.Store(1)
	got, err := s.via(l, occ.Options{Retry: &few}, nil).Get(p.ctx, 1)
	p.must(err, "get")
	p.equal("the row", got, a)
	p.equal("how often the read was sent", l.sent.Load(), int64(2))
}
