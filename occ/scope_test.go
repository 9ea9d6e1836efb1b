package occ_test

import (
	"context"
	"database/sql"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

// joined returns the accounts in a transaction of the caller's own.
func (r *rig) joined(t testing.TB) (*occ.Repository[Account, int64], *sql.Tx) {
	tx := r.begin(t)
	return r.accounts.In(occ.Join(tx)), tx
}

func TestJoinedWrites(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	in, tx := r.joined(t)
	ctx := t.Context()
	row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
	held := row
	require.NoError(t, in.Update(ctx, &row))
	require.Equal(t, held, row, "nobody knows yet whether it commits")
	requireKind(t, in.Update(ctx, &row), occ.ErrConflict)

	fresh, err := in.Get(ctx, 42)
	require.NoError(t, err)
	require.EqualValues(t, 2, fresh.Version)
	fresh, err = in.Mutate(ctx, 42, func(a *Account) error { a.Balance++; return nil })
	require.NoError(t, err)
	require.Equal(t, Account{ID: 42, Owner: "Ada", Balance: 6, Version: 3}, fresh)
	require.NoError(t, in.Patch(ctx, &fresh, "balance"))
	fresh.Version++
	require.NoError(t, in.Touch(ctx, &fresh))
	over := Account{ID: 42, Owner: "Eve"}
	require.NoError(t, in.Overwrite(ctx, &over, "because"))
	require.Zero(t, over.Version)

	bob := Account{ID: 43, Owner: "Bob"}
	require.NoError(t, in.Insert(ctx, &bob))
	require.Zero(t, bob.Version)
	created, err := in.Create(ctx, Account{ID: 44, Owner: "Cleo"})
	require.NoError(t, err)
	require.EqualValues(t, 1, created.Version)
	require.NoError(t, in.Delete(ctx, &created))

	n := 0
	for _, err := range in.Find(ctx, "") {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 2, n)
	require.NotContains(t, r.trace(), "conn", "everything ran in the caller's transaction")
	require.NoError(t, tx.Commit())
	require.Equal(t, Account{ID: 42, Owner: "Eve", Version: 6}, r.stored(t, 42))
}

// joinedOps are the operations that a joined transaction refuses once it is
// over.
func joinedOps(in *occ.Repository[Account, int64]) map[string]func(ctx context.Context) error {
	row := func() *Account { return &Account{ID: 42, Owner: "Ada", Version: 1} }
	return map[string]func(ctx context.Context) error{
		"get":    func(ctx context.Context) error { _, err := in.Get(ctx, 42); return err },
		"many":   func(ctx context.Context) error { _, err := in.GetMany(ctx, []int64{42}); return err },
		"update": func(ctx context.Context) error { return in.Update(ctx, row()) },
		"patch":  func(ctx context.Context) error { return in.Patch(ctx, row(), "owner") },
		"touch":  func(ctx context.Context) error { return in.Touch(ctx, row()) },
		"delete": func(ctx context.Context) error { return in.Delete(ctx, row()) },
		"insert": func(ctx context.Context) error { return in.Insert(ctx, row()) },
		"create": func(ctx context.Context) error { _, err := in.Create(ctx, *row()); return err },
		"mutate": func(ctx context.Context) error {
			_, err := in.Mutate(ctx, 42, func(*Account) error { return nil })
			return err
		},
		"overwrite": func(ctx context.Context) error { return in.Overwrite(ctx, row(), "because") },
		"find": func(ctx context.Context) (err error) {
			for _, err = range in.Find(ctx, "") {
			}
			return err
		},
	}
}

// After an error of the database nothing more is sent in the transaction: on
// MySQL, after a deadlock, it would run outside of any transaction and stay.
func TestJoinedPoison(t *testing.T) {
	t.Parallel()
	for name := range joinedOps(nil) {
		for _, struck := range []error{errSerial, errBusy, errLost, errTwice, errStrange, errRejected} {
			t.Run(name+"/"+struck.Error(), func(t *testing.T) {
				t.Parallel()
				r := newRig(t, rigSetup{})
				in, _ := r.joined(t)
				for _, at := range []string{"select", "update", "insert", "delete"} {
					r.mishaps = append(r.mishaps, &mishap{at: at, before: struck})
				}
				err := joinedOps(in)[name](t.Context())
				require.ErrorIs(t, err, struck)
				require.NotErrorIs(t, err, occ.ErrAmbiguous, "a transaction that is not committed has applied nothing")
				require.Equal(t, struck == errSerial, errors.Is(err, occ.ErrConflict)) //nolint:errorlint // identity is meant

				r.plan()
				for next, run := range joinedOps(in) {
					err := run(t.Context())
					requireKind(t, err, occ.ErrPoisoned)
					require.ErrorContains(t, err, "the transaction met an error earlier and is over", next)
				}
				require.Empty(t, r.trace(), "nothing was sent")
			})
		}
	}
}

// The scope is poisoned, not the repository: another repository in the same
// scope is over too, a new scope is not.
func TestJoinedPoisonIsTheScopes(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	tx := r.begin(t)
	scope := occ.Join(tx)
	one, two := r.accounts.In(scope), newRepo[Account, int64](t, r.db, "accounts", nil).In(scope)
	r.plan(&mishap{at: "update", nth: 1, before: errBusy})
	require.ErrorIs(t, one.Touch(t.Context(), &Account{ID: 42, Version: 1}), errBusy)
	requireKind(t, two.Touch(t.Context(), &Account{ID: 42, Version: 1}), occ.ErrPoisoned)
	require.NoError(t, r.accounts.In(occ.Join(tx)).Touch(t.Context(), &Account{ID: 42, Version: 1}))
}

// What a statement found out without failing leaves the transaction usable.
func TestJoinedOutcomesDoNotPoison(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TRIGGER no BEFORE UPDATE ON accounts WHEN new.balance < 0 BEGIN SELECT RAISE(IGNORE); END")
	in, _ := r.joined(t)
	ctx := t.Context()
	err := in.Update(ctx, &Account{ID: 42, Version: 7})
	requireKind(t, err, occ.ErrConflict)
	var conflict *occ.Conflict[Account]
	require.ErrorAs(t, err, &conflict)
	require.Equal(t, &Account{ID: 42, Owner: "Ada", Balance: 100, Version: 1}, conflict.Current)
	requireKind(t, in.Update(ctx, &Account{ID: 7, Version: 7}), occ.ErrGone)
	requireKind(t, in.Update(ctx, &Account{ID: 42, Balance: -1, Version: 1}), occ.ErrSuppressed)
	requireKind(t, in.Overwrite(ctx, &Account{ID: 7}, "because"), occ.ErrGone)
	_, err = in.Get(ctx, 7)
	require.ErrorIs(t, err, occ.ErrNotFound)
	require.NoError(t, in.Update(ctx, &Account{ID: 42, Owner: "Ada", Version: 1}))
}

// A server's conflict has no current row: the server answers no more questions.
func TestJoinedServerConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	in, _ := r.joined(t)
	r.plan(&mishap{at: "update", before: errSerial})
	err := in.Update(t.Context(), &Account{ID: 42, Version: 1})
	var conflict *occ.Conflict[Account]
	require.ErrorAs(t, err, &conflict)
	require.Nil(t, conflict.Current)
	require.EqualError(t, err, "occ: update accounts[42]: conflict at version 1: could not serialize access")
	require.Equal(t, "update", r.trace())
}

func TestJoinedGeneratedKey(t *testing.T) {
	t.Parallel()
	type Note struct {
		ID      int64  `occ:"id,key,generated"`
		Text    string `occ:"text"`
		Version int64  `occ:"version,version"`
	}
	for name, setup := range map[string]rigSetup{"returning": {}, "last insert id": {dialect: wordy()}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, setup)
			r.exec(t, "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, version INT NOT NULL)")
			notes := newRepo[Note, int64](t, r.db, "notes", nil)
			outside := Note{Text: "a"}
			require.NoError(t, notes.Insert(t.Context(), &outside))
			require.Equal(t, Note{ID: 1, Text: "a", Version: 1}, outside)

			tx := r.begin(t)
			in := notes.In(occ.Join(tx))
			row := Note{Text: "b"}
			err := in.Insert(t.Context(), &row)
			requireKind(t, err, occ.ErrUsage)
			require.EqualError(t, err, "occ: insert notes: wrong use: the server generates a column, and *row is not changed in a joined transaction: use Create, which returns the row")
			created, err := in.Create(t.Context(), row)
			require.NoError(t, err)
			require.Equal(t, Note{ID: 2, Text: "b", Version: 1}, created)
			require.Equal(t, Note{Text: "b"}, row)
		})
	}
}

func TestScopesThatCannotBe(t *testing.T) {
	t.Parallel()
	r, other := newRig(t, rigSetup{}), newRig(t, rigSetup{})
	tx := r.begin(t)
	taken := occ.Join(tx)
	_, err := r.accounts.In(taken).Get(t.Context(), 42)
	require.NoError(t, err)
	noJoin := newRepo[Account, int64](t, offline(), "accounts", nil)
	const want = "want a *sql.Tx, or a *sql.Conn with an open transaction"
	for text, in := range map[string]*occ.Repository[Account, int64]{
		"occ: wrong use: In needs a scope, such as occ.Join(tx)":                     r.accounts.In(nil),
		"occ: wrong use: the joined transaction belongs to another occ.DB":           other.accounts.In(taken),
		"occ: wrong use: sqldb: cannot join a string: " + want:                       r.accounts.In(occ.Join("tx")),
		"occ: wrong use: sqldb: cannot join a *sql.DB: " + want:                      r.accounts.In(occ.Join(r.pool)),
		"occ: wrong use: sqldb: cannot join a <nil>: " + want:                        r.accounts.In(occ.Join(nil)),
		"occ: wrong use: sqldb: cannot join a *sql.Tx: " + want:                      r.accounts.In(occ.Join((*sql.Tx)(nil))),
		"transport occ_test.nowhere cannot join transactions: unsupported operation": noJoin.In(occ.Join(tx)),
	} {
		for name, run := range joinedOps(in) {
			err := run(t.Context())
			requireKind(t, err, occ.ErrUsage)
			require.ErrorContains(t, err, text, name)
		}
	}
}

// A transaction of the caller's own, repeated as a whole by Retry.
func TestRetryJoined(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.plan(&mishap{at: "update", nth: 1, before: errSerial}, &mishap{at: "update", nth: 2, before: errBusy})
	runs := 0
	require.NoError(t, r.db.Retry(t.Context(), func(ctx context.Context) error {
		runs++
		tx, err := r.pool.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to undo
		in := r.accounts.In(occ.Join(tx))
		if _, err := in.Mutate(ctx, 42, func(a *Account) error { a.Balance++; return nil }); err != nil {
			return err
		}
		return tx.Commit()
	}))
	require.Equal(t, 3, runs)
	require.Equal(t, Account{ID: 42, Owner: "Ada", Balance: 101, Version: 2}, r.stored(t, 42))
}

// What Retry makes of errors that are not occ's own: only a server's answer
// that nothing was applied is followed by another run.
func TestRetryOfOwnSQL(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	for class, want := range map[error]error{
		errLost: occ.ErrAmbiguous, &proof{dialects.Indeterminate, "undetermined"}: occ.ErrAmbiguous,
		errTwice: nil, errRejected: nil, errStrange: nil, sql.ErrNoRows: nil,
		errSerial: occ.ErrExhausted, errBusy: occ.ErrExhausted, errDown: occ.ErrExhausted, errNotSent: occ.ErrExhausted,
		&occ.OpError{Kind: occ.ErrConflict}: occ.ErrExhausted, occ.Affected(0, nil): occ.ErrExhausted,
		occ.Affected(-1, nil): occ.ErrAmbiguous, &occ.AmbiguousError{Err: errBusy}: occ.ErrAmbiguous,
	} {
		runs := 0
		err := r.db.Retry(t.Context(), func(context.Context) error { runs++; return class })
		require.ErrorIs(t, err, class)
		switch want {
		case nil:
			require.True(t, err == class, "%v", err) //nolint:errorlint // identity is promised
			require.Equal(t, 1, runs)
		case occ.ErrAmbiguous: //nolint:errorlint // identity is meant
			require.ErrorIs(t, err, want)
			require.Equal(t, 1, runs, "%v", err)
		default:
			require.ErrorIs(t, err, want)
			require.Greater(t, runs, 1, "%v", err)
		}
	}
	require.NoError(t, occ.Affected(1, nil))
	require.Equal(t, errStrange, occ.Affected(0, errStrange))
}
