package dialecttest

import (
	"context"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// account is the row that most cases write.
type account struct {
	ID      int64  `occ:"id,key"`
	Owner   string `occ:"owner"`
	Balance int64  `occ:"balance"`
	Version int64  `occ:"version,version"`
}

const accountColumns = `id {bigint} NOT NULL PRIMARY KEY, owner {text} NOT NULL,
	balance {bigint} NOT NULL, version {bigint} NOT NULL`

type accountRepository = occ.Repository[account, int64]

// scene is a table of accounts and a repository that writes it.
type scene struct {
	*accountRepository
	p      *probe
	db     *occ.DB
	table  string
	events *observe.Counter
	wire   *wire // the transport, where it is watched
}

// once is a policy without a second attempt.
var once = retry.Policy{MaxAttempts: 1}

// few is a policy under which an endless loop shows soon.
var few = retry.Policy{MaxAttempts: 5}

// accounts makes a table of accounts. The repository retries a few times.
func (p *probe) accounts() *scene { return p.accountsWith(occ.Options{Retry: &few}, nil) }

func (p *probe) accountsWith(opts occ.Options, repoOpts *occ.RepositoryOptions) *scene {
	s := &scene{p: p, table: p.create(accountColumns)}
	s.open(p.h.Transport, opts, repoOpts)
	return s
}

// open makes the scene's repository anew.
func (s *scene) open(transport dialects.DB, opts occ.Options, repoOpts *occ.RepositoryOptions) {
	s.events = &observe.Counter{}
	opts.Observer = observe.Multi(s.events, opts.Observer)
	s.db = s.p.over(transport, &opts)
	s.accountRepository = repository[account, int64](s.p, s.db, s.table, repoOpts)
}

// via returns another view of the same table.
func (s *scene) via(transport dialects.DB, opts occ.Options, repoOpts *occ.RepositoryOptions) *scene {
	other := &scene{p: s.p, table: s.table}
	other.open(transport, opts, repoOpts)
	return other
}

// repository makes a repository, or ends the case: as unsupported when the
// dialect says so.
func repository[T any, K comparable](p *probe, db *occ.DB, table string, opts *occ.RepositoryOptions) *occ.Repository[T, K] {
	r, err := occ.NewRepository[T, K](db, table, opts)
	if errors.Is(err, errors.ErrUnsupported) {
		p.lacks("%v", err)
	}
	p.must(err, "make the repository")
	return r
}

// seed inserts a row by the suite's own SQL.
func (s *scene) seed(a account) account {
	q := s.p.h.DDL.quote
	s.p.exec(fmt.Sprintf("INSERT INTO %s (id, owner, balance, version) VALUES (%d, '%s', %d, %d)",
		q(s.table), a.ID, a.Owner, a.Balance, a.Version))
	return a
}

// row reads a row by the suite's own SQL.
func (s *scene) row(id int64) (a account, found bool) {
	found = s.p.scan(fmt.Sprintf("SELECT id, owner, balance, version FROM %s WHERE id = %d", s.p.h.DDL.quote(s.table), id),
		&a.ID, &a.Owner, &a.Balance, &a.Version)
	return a, found
}

// holds notes a fault unless the table holds exactly this row under its key.
func (s *scene) holds(want account) {
	got, found := s.row(want.ID)
	if !found {
		s.p.failf("the row %+v is not in the table", want)
		return
	}
	s.p.equal("the row in the table", got, want)
}

// move lets another writer change a row: it updates it and returns it.
func (s *scene) move(a account, balance int64) account {
	a.Balance = balance
	s.p.exec(fmt.Sprintf("UPDATE %s SET balance = %d, version = version + 1 WHERE id = %d",
		s.p.h.DDL.quote(s.table), balance, a.ID))
	a.Version++
	return a
}

// attempts notes a fault unless the scene's repository has made exactly n.
func (s *scene) attempts(n int64) {
	s.p.equal("the number of attempts", s.events.Count(observe.Attempt), n)
}

// transaction is the caller's own, rolled back when the case ends.
type transaction struct {
	occ.Scope
	p        *probe
	commit   func() error
	rollback func() error
}

func (p *probe) begin(begin Begin, what string) *transaction {
	if begin == nil {
		p.untested("the harness has no %s", what)
	}
	tx, commit, rollback, err := begin(p.ctx)
	p.must(err, "begin")
	p.later(func(context.Context) { _ = rollback() })
	return &transaction{Scope: occ.Join(tx), p: p, commit: commit, rollback: rollback}
}

func (p *probe) beginTx() *transaction       { return p.begin(p.h.BeginTx, "BeginTx") }
func (p *probe) beginSnapshot() *transaction { return p.begin(p.h.BeginSnapshot, "BeginSnapshot") }

func (t *transaction) mustCommit() { t.p.must(t.commit(), "commit") }
func (t *transaction) end()        { _ = t.rollback() }
