package occ_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/hotkey"
	"github.com/occkit/occkit/occ/retry"
)

// proof is an error of which all is known that a dialect could find out.
type proof struct {
	class dialects.Class
	text  string
}

func (p *proof) Error() string { return p.text }

var (
	errDown     = &proof{dialects.Unavailable, "too many clients"}
	errNotSent  = &proof{dialects.NotSent, "broken before sending"}
	errLost     = &proof{dialects.Lost, "connection reset by peer"}
	errSerial   = &proof{dialects.Conflict, "could not serialize access"}
	errBusy     = &proof{dialects.Busy, "lock wait timeout"}
	errTwice    = &proof{dialects.Duplicate, "duplicate key value"}
	errRejected = &proof{dialects.Rejected, "permission denied"}
	errStrange  = errors.New("something else") // proves nothing
)

func knownProof(err error) (dialects.Class, bool) {
	var p *proof
	if errors.As(err, &p) {
		return p.class, true
	}
	return 0, false
}

// rigSetup says how a rig differs from the usual one.
type rigSetup struct {
	dialect dialects.Dialect // nil: SQLite's
	opts    occ.Options      // Retry nil: no waits, eight attempts
	repo    *occ.RepositoryOptions
	conns   int  // size of the pool; zero: any
	queue   bool // opts.Contention holds; otherwise every Mutate runs by itself
}

// rig is a table of accounts on SQLite, behind a wire.
type rig struct {
	*wire
	pool     *sql.DB
	db       *occ.DB
	accounts *occ.Repository[Account, int64]
}

// newRig returns a rig that holds account 42, at version 1.
func newRig(t testing.TB, s rigSetup) *rig {
	t.Helper()
	pool, err := sql.Open("sqlite", dbtest.SQLite(t))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, pool.Close()) })
	pool.SetMaxOpenConns(s.conns)
	r := &rig{wire: newWire(t, sqldb.New(pool)), pool: pool}
	r.exec(t, `CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner TEXT NOT NULL UNIQUE,
		balance INTEGER NOT NULL, version INTEGER NOT NULL)`)
	r.exec(t, `INSERT INTO accounts VALUES (42, 'Ada', 100, 1)`)
	if s.dialect == nil {
		s.dialect = sqlite.New()
	}
	if s.opts.Retry == nil {
		s.opts.Retry = &retry.Policy{MaxAttempts: 8, NewBackOff: retry.None()}
	}
	if !s.queue {
		s.opts.Contention.Mode = hotkey.Backoff
	}
	if s.opts.Classify == nil {
		s.opts.Classify = knownProof
	}
	r.db = occ.New(r.wire, s.dialect, &s.opts)
	r.accounts = newRepo[Account, int64](t, r.db, "accounts", s.repo)
	return r
}

func newRepo[T any, K comparable](t testing.TB, db *occ.DB, table string, opts *occ.RepositoryOptions) *occ.Repository[T, K] {
	t.Helper()
	repo, err := occ.NewRepository[T, K](db, table, opts)
	require.NoError(t, err)
	return repo
}

// exec runs SQL past the wire.
func (r *rig) exec(t testing.TB, text string, args ...any) {
	t.Helper()
	_, err := r.pool.Exec(text, args...)
	require.NoError(t, err)
}

// stored returns what the table holds under a key, and a zero Account for
// nothing.
func (r *rig) stored(t testing.TB, id int64) Account {
	t.Helper()
	var a Account
	err := r.pool.QueryRow("SELECT id, owner, balance, version FROM accounts WHERE id = ?", id).
		Scan(&a.ID, &a.Owner, &a.Balance, &a.Version)
	if !errors.Is(err, sql.ErrNoRows) {
		require.NoError(t, err)
	}
	return a
}

// overtake is another writer: it moves the row's balance and version.
func (r *rig) overtake(t testing.TB, id int64) {
	t.Helper()
	r.exec(t, "UPDATE accounts SET balance = balance + 1000, version = version + 1 WHERE id = ?", id)
}

// begin opens a transaction of the caller's own.
func (r *rig) begin(t testing.TB) *sql.Tx {
	t.Helper()
	tx, err := r.pool.BeginTx(context.Background(), nil)
	require.NoError(t, err)
	t.Cleanup(func() { _ = tx.Rollback() })
	return tx
}

// wordy returns SQLite's dialect without RETURNING, so that writes are counted
// as on MySQL.
func wordy() sqlite.Dialect {
	d := sqlite.New()
	d.Syntax.InsertReturning, d.Syntax.UpdateReturning = false, false
	return d
}

// requireKind checks that err is the one of the package's sentinels that is
// named, and none of the others. Nil means that there is none.
func requireKind(t testing.TB, err, kind error) {
	t.Helper()
	require.Error(t, err)
	for _, sentinel := range []error{
		occ.ErrConflict, occ.ErrGone, occ.ErrSuppressed, occ.ErrDuplicate, occ.ErrAmbiguous, occ.ErrExhausted,
		occ.ErrUnavailable, occ.ErrOverflow, occ.ErrPoisoned, occ.ErrNotUnique, occ.ErrMapping, occ.ErrUsage,
	} {
		if sentinel == kind { //nolint:errorlint // identity is meant
			require.ErrorIs(t, err, sentinel)
		} else {
			require.NotErrorIs(t, err, sentinel, "%v", err)
		}
	}
}
