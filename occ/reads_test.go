package occ_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

// locking is SQLite with a locking read that can be told from a plain one: it
// begins with WITH.
type locking struct{ sqlite.Dialect }

func (l locking) SelectForUpdate(t *dialects.Table) (dialects.Statement, error) {
	st, err := l.Dialect.SelectForUpdate(t)
	st.Text = "WITH lock AS (SELECT 1) " + st.Text
	return st, err
}

// What a write met is read under a lock: a plain read may show an older state,
// on which the write would be tried for ever, or a newer one.
func TestLockingReads(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for name, c := range map[string]struct {
		run   func(r *rig) error
		calls string
		kind  error
	}{
		"stale update": {
			func(r *rig) error { return r.accounts.Update(ctx, &Account{ID: 42, Version: 9}) },
			"conn update begin with rollback release", occ.ErrConflict,
		},
		"update of nothing": {
			func(r *rig) error { return r.accounts.Update(ctx, &Account{ID: 7, Version: 9}) },
			"conn update begin with select rollback release", occ.ErrGone,
		},
		"overwrite": {
			func(r *rig) error { return r.accounts.Overwrite(ctx, &Account{ID: 42, Owner: "Eve"}, "because") },
			"conn begin with with update commit release", nil,
		},
		"stale update in the caller's transaction": {
			func(r *rig) error {
				in, _ := r.joined(t)
				return in.Update(ctx, &Account{ID: 42, Version: 9})
			},
			"update with", occ.ErrConflict,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{dialect: locking{sqlite.New()}})
			err := c.run(r)
			require.Equal(t, c.calls, r.trace())
			if c.kind == nil {
				require.NoError(t, err)
				return
			}
			requireKind(t, err, c.kind)
		})
	}
}

// readAll are the ways to read, each returning how many rows it saw.
var readAll = map[string]func(r *rig) (int, error){
	"get": func(r *rig) (int, error) {
		if _, err := r.accounts.Get(context.Background(), 42); err != nil {
			return 0, err
		}
		return 1, nil
	},
	"get many": func(r *rig) (int, error) {
		rows, err := r.accounts.GetMany(context.Background(), []int64{7, 42})
		return len(rows), err
	},
	"find": func(r *rig) (n int, err error) {
		var row Account
		for row, err = range r.accounts.Find(context.Background(), "WHERE id IN (?, ?) ORDER BY id", 7, 42) {
			if row.ID != 0 {
				n++
			}
		}
		return n, err
	},
}

// An answer that breaks off is an error, and not a shorter answer. It is asked
// for again where that may help.
func TestReadsThatBreakOff(t *testing.T) {
	t.Parallel()
	for name, read := range readAll {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{})
			r.plan(&mishap{at: "select", inRows: errStrange})
			_, err := read(r)
			requireKind(t, err, nil)
			require.ErrorIs(t, err, errStrange)
			require.Equal(t, "conn select release", r.trace())

			r.plan(&mishap{at: "select", nth: 1, inRows: errLost})
			n, err := read(r)
			require.NoError(t, err)
			require.Equal(t, 1, n)
			require.Equal(t, "conn select release conn ping select release", r.trace(), "a connection is tried before it is trusted again")
		})
	}
}

// A value that does not fit its field is an error of the mapping, never a zero.
func TestReadsThatDoNotFit(t *testing.T) {
	t.Parallel()
	for name, read := range readAll {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{})
			r.exec(t, "INSERT INTO accounts VALUES (7, 'Bob', 1, 1)") // the first row is fine
			r.exec(t, "UPDATE accounts SET balance = 'lots' WHERE id = 42")
			n, err := read(r)
			require.Zero(t, n, "a part of the rows")
			requireKind(t, err, occ.ErrMapping)
			require.ErrorContains(t, err, "lots")
			require.Equal(t, "conn select release", r.trace())
		})
	}
}

// The version that an update returns must fit too. In a statement of its own the
// update has happened, and that is not hidden; in a transaction it is undone.
func TestWrittenVersionThatDoesNotFit(t *testing.T) {
	t.Parallel()
	type Tiny struct {
		ID      int64 `occ:"id,key"`
		Version int8  `occ:"version,version"`
	}
	const trigger = "CREATE TRIGGER far AFTER UPDATE ON accounts WHEN new.version < 1000 BEGIN UPDATE accounts SET version = 1000; END"
	for name, opts := range map[string]*occ.RepositoryOptions{"one statement": nil, "read back": readBack} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigSetup{dialect: farther{sqlite.New()}})
			repo := newRepo[Tiny, int64](t, r.db, "accounts", opts)
			if opts != nil {
				r.exec(t, trigger)
			}
			row := Tiny{ID: 42, Version: 1}
			err := repo.Update(t.Context(), &row)
			require.EqualValues(t, 1, row.Version)
			if opts == nil {
				requireKind(t, err, occ.ErrAmbiguous)
				require.EqualValues(t, 2, r.stored(t, 42).Version)
				return
			}
			requireKind(t, err, occ.ErrMapping)
			require.EqualValues(t, 1, r.stored(t, 42).Version, "undone")
		})
	}
}

// farther is SQLite whose updates report a version that is 1000 too high, as a
// trigger can make it on other databases.
type farther struct{ sqlite.Dialect }

func (f farther) Update(t *dialects.Table) (dialects.Statement, error) {
	f.Syntax.ReturnsStored = true
	st, err := f.Dialect.Update(t)
	st.Text += " + 1000"
	return st, err
}
