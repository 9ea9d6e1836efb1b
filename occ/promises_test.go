package occ_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
)

// loss is a reason why a write takes no effect, or none that is known.
type loss struct {
	name    string
	prepare func(t *testing.T, r *rig) context.Context // nil context: the test's
	kind    error
	text    string // of Update's error
}

var losses = []loss{
	{"conflict", func(t *testing.T, r *rig) context.Context {
		r.overtake(t, 42)
		r.overtake(t, 42)
		return nil
	}, occ.ErrConflict, "occ: update accounts[42]: version 1 is stale, row is at 3"},
	{"gone", func(t *testing.T, r *rig) context.Context {
		r.exec(t, "DELETE FROM accounts")
		return nil
	}, occ.ErrGone, "occ: update accounts[42]: row is gone (expected version 1)"},
	{"suppressed", func(t *testing.T, r *rig) context.Context {
		for _, event := range []string{"UPDATE", "DELETE"} {
			r.exec(t, "CREATE TRIGGER no_"+event+" BEFORE "+event+" ON accounts BEGIN SELECT RAISE(IGNORE); END")
		}
		return nil
	}, occ.ErrSuppressed, "occ: update accounts[42]: write suppressed (expected version 1)"},
	{"duplicate", func(_ *testing.T, r *rig) context.Context {
		r.plan(&mishap{at: "update", before: errTwice}, &mishap{at: "delete", before: errTwice})
		return nil
	}, occ.ErrDuplicate, "occ: update accounts[42]: duplicate: duplicate key value"},
	{"ambiguous", func(_ *testing.T, r *rig) context.Context {
		r.plan(&mishap{at: "update", after: errStrange}, &mishap{at: "delete", after: errStrange})
		return nil
	}, occ.ErrAmbiguous, "occ: update accounts[42]: outcome unknown at autocommit: something else"},
	{"broken off", func(_ *testing.T, r *rig) context.Context {
		r.plan(&mishap{at: "update", inRows: errLost}, &mishap{at: "delete", inRows: errLost})
		return nil
	}, occ.ErrAmbiguous, "occ: update accounts[42]: outcome unknown at autocommit: connection reset by peer"},
	{"canceled", func(t *testing.T, _ *rig) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx
	}, nil, "occ: update accounts[42]: context canceled"},
	{"no server", func(_ *testing.T, r *rig) context.Context {
		r.plan(&mishap{at: "conn", before: errDown})
		return nil
	}, occ.ErrUnavailable, ""},
}

// Whatever goes wrong, the caller's row is as it was, and the error is one of
// the promised kinds and none of the others.
func TestRowIsNeverAhead(t *testing.T) {
	t.Parallel()
	for _, l := range losses {
		for name, write := range map[string]func(r *rig, ctx context.Context, row *Account) error{
			"update": func(r *rig, ctx context.Context, row *Account) error { return r.accounts.Update(ctx, row) },
			"patch":  func(r *rig, ctx context.Context, row *Account) error { return r.accounts.Patch(ctx, row, "balance") },
			"touch":  func(r *rig, ctx context.Context, row *Account) error { return r.accounts.Touch(ctx, row) },
			"delete": func(r *rig, ctx context.Context, row *Account) error { return r.accounts.Delete(ctx, row) },
		} {
			t.Run(name+"/"+l.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, rigSetup{})
				ctx := l.prepare(t, r)
				if ctx == nil {
					ctx = t.Context()
				}
				row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
				held := row
				err := write(r, ctx, &row)
				require.Equal(t, held, row)
				if l.kind == occ.ErrUnavailable { //nolint:errorlint // identity is meant
					require.ErrorIs(t, err, occ.ErrExhausted, "repeated, but not for ever")
					require.ErrorIs(t, err, occ.ErrUnavailable)
					return
				}
				requireKind(t, err, l.kind)
				if name == "update" {
					require.EqualError(t, err, l.text)
				}
				if ctx.Err() != nil {
					require.ErrorIs(t, err, ctx.Err())
				}
			})
		}
	}
}

func TestConflictHasTheFacts(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.overtake(t, 42)
	err := r.accounts.Update(t.Context(), &Account{ID: 42, Owner: "Eve", Version: 1})
	var conflict *occ.Conflict[Account]
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, &occ.Conflict[Account]{
		Subject:  occ.Subject{Op: "update", Table: "accounts", Key: int64(42)},
		Expected: int64(1), Actual: int64(2),
		Current: &Account{ID: 42, Owner: "Ada", Balance: 1100, Version: 2},
	}, conflict)
	require.Equal(t, "Ada", r.stored(t, 42).Owner)
}

// Zero is a version like any other: it does not turn the check off, and a row
// that is at zero can be written.
func TestZeroVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	requireKind(t, r.accounts.Update(t.Context(), &Account{ID: 42, Owner: "Eve"}), occ.ErrConflict)
	requireKind(t, r.accounts.Delete(t.Context(), &Account{ID: 42}), occ.ErrConflict)
	r.exec(t, "UPDATE accounts SET version = 0")
	row := Account{ID: 42, Owner: "Eve"}
	require.NoError(t, r.accounts.Update(t.Context(), &row))
	require.EqualValues(t, 1, row.Version)
}

// A row that was deleted and inserted again at the same version, just when the
// write came, is written after all. The trace shows that it was locked first.
func TestReinsertedRowIsWritten(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "DELETE FROM accounts")
	r.plan(&mishap{at: "begin", hook: func(context.Context) { r.exec(t, "INSERT INTO accounts VALUES (42, 'New', 0, 1)") }})
	row := Account{ID: 42, Owner: "Ada", Balance: 7, Version: 1}
	require.NoError(t, r.accounts.Update(t.Context(), &row))
	require.Equal(t, Account{ID: 42, Owner: "Ada", Balance: 7, Version: 2}, row)
	require.Equal(t, row, r.stored(t, 42))
	require.Equal(t, "conn update begin select update commit release", r.trace())
}

// A driver that counts no rows leaves the outcome open: outside of a transaction
// it is unknown, inside of one it is rolled back.
func TestUncountedRows(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{dialect: wordy()})
	r.plan(&mishap{at: "update", uncounted: true}, &mishap{at: "delete", uncounted: true})
	row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
	requireKind(t, r.accounts.Overwrite(t.Context(), &row, "because"), occ.ErrMapping)
	require.EqualValues(t, 1, r.stored(t, 42).Version, "rolled back")
	require.Equal(t, "conn begin select select update rollback release", r.trace())

	requireKind(t, r.accounts.Update(t.Context(), &row), occ.ErrAmbiguous)
	require.EqualValues(t, 1, row.Version)
	requireKind(t, r.db.Exec(t.Context(), "UPDATE accounts SET balance = 0 WHERE id = 42 AND version = 2"), occ.ErrAmbiguous)
	_, err := r.accounts.Mutate(t.Context(), 42, func(*Account) error { return nil })
	requireKind(t, err, occ.ErrAmbiguous)
	requireKind(t, r.accounts.Delete(t.Context(), &Account{ID: 42, Version: 3}), occ.ErrAmbiguous)
}

// A trigger that moves the version itself is followed with ReadBack, and makes
// the next update conflict without.
func TestReadBack(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]*occ.RepositoryOptions{"with": readBack, "without": nil} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{repo: opts})
			r.exec(t, `CREATE TRIGGER bump AFTER UPDATE ON accounts BEGIN
				UPDATE accounts SET version = version + 10 WHERE id = new.id; END`)
			row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
			require.NoError(t, r.accounts.Update(t.Context(), &row))
			require.EqualValues(t, 12, r.stored(t, 42).Version)
			err := r.accounts.Update(t.Context(), &row)
			if opts == nil {
				requireKind(t, err, occ.ErrConflict)
				return
			}
			require.NoError(t, err)
			require.Equal(t, r.stored(t, 42), row)
			require.NoError(t, r.accounts.Delete(t.Context(), &row))
		})
	}
}

// A key that matches several rows is no key, and nothing is written where that
// is found out in time.
func TestNotUnique(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TABLE twins (id INT, version INT)")
	r.exec(t, "INSERT INTO twins VALUES (1, 1), (1, 1)")
	twins := newRepo[Row, int64](t, r.db, "twins", nil)
	_, err := twins.Get(t.Context(), 1)
	requireKind(t, err, occ.ErrNotUnique)
	_, err = twins.Mutate(t.Context(), 1, func(*Row) error { return nil })
	requireKind(t, err, occ.ErrNotUnique)
	requireKind(t, twins.Overwrite(t.Context(), &Row{ID: 1}, "because"), occ.ErrNotUnique)
	requireKind(t, newRepo[Row, int64](t, r.db, "twins", readBack).Update(t.Context(), &Row{ID: 1, Version: 1}), occ.ErrNotUnique)
	tx := r.begin(t)
	in := twins.In(occ.Join(tx))
	requireKind(t, in.Delete(t.Context(), &Row{ID: 1, Version: 1}), occ.ErrNotUnique)
	requireKind(t, in.Delete(t.Context(), &Row{ID: 1, Version: 1}), occ.ErrPoisoned)
	require.NoError(t, tx.Rollback())

	var sum int
	require.NoError(t, r.pool.QueryRow("SELECT sum(version) FROM twins").Scan(&sum))
	require.Equal(t, 2, sum, "nothing was written")
	row := Row{ID: 1, Version: 1}
	require.Error(t, twins.Update(t.Context(), &row)) // see TestPendingNotUniqueWroteNothing
	require.EqualValues(t, 1, row.Version)
}

// An insert that a trigger swallows is told, and tells the caller nothing else.
func TestInsertSuppressed(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TRIGGER no BEFORE INSERT ON accounts BEGIN SELECT RAISE(IGNORE); END")
	row := Account{ID: 43, Owner: "Bob"}
	err := r.accounts.Insert(t.Context(), &row)
	requireKind(t, err, occ.ErrSuppressed)
	require.EqualError(t, err, "occ: insert accounts[43]: write suppressed")
	require.Equal(t, Account{ID: 43, Owner: "Bob"}, row)
}

// Nothing is applied when BEGIN fails. The connection is kept only when the
// server has answered.
func TestBeginFaults(t *testing.T) {
	t.Parallel()
	for failed, next := range map[error]string{errLost: "discard conn ping", errBusy: "release conn", errDown: "release conn ping"} {
		r := newRig(t, rigSetup{})
		r.plan(&mishap{at: "begin", nth: 1, before: failed})
		require.NoError(t, r.accounts.Overwrite(t.Context(), &Account{ID: 42, Owner: "Eve"}, "because"))
		require.Equal(t, "conn begin "+next+" begin select select update commit release", r.trace())
	}
}
