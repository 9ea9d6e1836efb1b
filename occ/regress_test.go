package occ_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

type note struct {
	ID      int64  `occ:"id,key,generated"`
	Text    string `occ:"text"`
	Version int64  `occ:"version,version"`
}

const noteTable = "CREATE TABLE notes (id INTEGER PRIMARY KEY AUTOINCREMENT, text TEXT NOT NULL, version INT NOT NULL)"

// "generated: filled by the server on insert when the field is zero": a key that
// the caller chose must not be replaced.
func TestChosenGeneratedKey(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, noteTable)
	notes := newRepo[note, int64](t, r.db, "notes", nil)
	row := note{ID: 77, Text: "a"}
	require.NoError(t, notes.Insert(t.Context(), &row))
	require.Equal(t, note{ID: 77, Text: "a", Version: 1}, row)
	_, err := notes.Get(t.Context(), 77)
	require.NoError(t, err)
}

// "Every other error means that nothing was written": an update that matched two
// rows outside of a transaction has written both.
func TestNotUniqueWroteNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TABLE twins (id INT, version INT)")
	r.exec(t, "INSERT INTO twins VALUES (1, 1), (1, 1)")
	twins := newRepo[Row, int64](t, r.db, "twins", nil)
	err := twins.Update(t.Context(), &Row{ID: 1, Version: 1})
	var moved int
	require.NoError(t, r.pool.QueryRow("SELECT count(*) FROM twins WHERE version = 2").Scan(&moved))
	if moved > 0 {
		require.ErrorIs(t, err, occ.ErrAmbiguous, "%d rows were written: %v", moved, err)
	}
}

// fussy is a Valuer that refuses some values, and panics at others.
type fussy string

func (f fussy) Value() (driver.Value, error) {
	switch f {
	case "refuse":
		return nil, errors.New("not this value")
	case "panic":
		panic("not this value")
	}
	return string(f), nil
}

func (f *fussy) Scan(src any) error {
	if src == "panic" {
		panic("not this value")
	}
	*f = fussy(src.(string))
	return nil
}

type fussyRow struct {
	ID      int64 `occ:"id,key"`
	Owner   fussy `occ:"owner"`
	Balance int64 `occ:"balance"`
	Version int64 `occ:"version,version"`
}

// A value that its own type refuses has not been sent: nothing is ambiguous.
func TestValuerErrorIsDefinite(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	repo := newRepo[fussyRow, int64](t, r.db, "accounts", nil)
	err := repo.Update(t.Context(), &fussyRow{ID: 42, Owner: "refuse", Version: 1})
	require.EqualValues(t, 1, r.stored(t, 42).Version)
	require.NotErrorIs(t, err, occ.ErrAmbiguous)
}

// The caller's code is not the closure alone: Value and Scan are called with a
// connection lent. When they panic, that passes through, and the connection is
// given back. (database/sql holds a lock while it calls them, so that closing
// its Rows or its Conn in a deferred call waits for ever.)
func TestPanicOfScannerAndValuer(t *testing.T) {
	t.Parallel()
	for name, run := range map[string]func(r *rig, repo *occ.Repository[fussyRow, int64]){
		"scan in mutate": func(_ *rig, repo *occ.Repository[fussyRow, int64]) {
			_, _ = repo.Mutate(context.Background(), 42, func(*fussyRow) error { return nil })
		},
		"scan in get": func(_ *rig, repo *occ.Repository[fussyRow, int64]) { _, _ = repo.Get(context.Background(), 42) },
		"value in update": func(_ *rig, repo *occ.Repository[fussyRow, int64]) {
			_ = repo.Update(context.Background(), &fussyRow{ID: 42, Owner: "panic", Version: 1})
		},
		"value in insert": func(_ *rig, repo *occ.Repository[fussyRow, int64]) {
			_ = repo.Insert(context.Background(), &fussyRow{ID: 43, Owner: "panic"})
		},
		"value in exec": func(r *rig, _ *occ.Repository[fussyRow, int64]) {
			_ = r.db.Exec(context.Background(), "UPDATE accounts SET owner = ?", fussy("panic"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, rigSetup{})
			r.exec(t, "UPDATE accounts SET owner = 'panic'")
			repo := newRepo[fussyRow, int64](t, r.db, "accounts", nil)
			panicked := make(chan any, 1)
			go func() {
				defer func() { panicked <- recover() }()
				run(r, repo)
			}()
			select {
			case got := <-panicked:
				require.Equal(t, "not this value", got)
			case <-time.After(5 * time.Second):
				require.Fail(t, "it hangs")
			}
		})
	}
}

// A created row whose answer cannot be read is in the caller's transaction. It
// must not be committed as if nothing had been written.
func TestJoinedCreateUnreadable(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TABLE notes (id INTEGER PRIMARY KEY, text INT DEFAULT 'not a number', version INT)")
	type Odd struct {
		ID      int64 `occ:"id,key"`
		Text    int64 `occ:"text,generated"`
		Version int64 `occ:"version,version"`
	}
	in := newRepo[Odd, int64](t, r.db, "notes", nil).In(occ.Join(r.begin(t)))
	_, err := in.Create(t.Context(), Odd{ID: 1})
	requireKind(t, err, occ.ErrMapping)
	_, err = in.Get(t.Context(), 2)
	requireKind(t, err, occ.ErrPoisoned)
}

// occ's own errors are definite. Retry must not make them ambiguous.
func TestRetryKeepsDefiniteErrors(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := r.db.Retry(ctx, func(ctx context.Context) error {
		_, err := r.accounts.Get(ctx, 42)
		return err
	})
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, occ.ErrAmbiguous)
}

// A connection that is closed sends nothing.
func TestClosedConnIsDefinite(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	c, err := r.pool.Conn(t.Context())
	require.NoError(t, err)
	require.NoError(t, c.Close())
	repo := newRepo[Account, int64](t, occ.New(sqldb.FromConn(c), sqlite.New(), nil), "accounts", nil)
	err = repo.Update(t.Context(), &Account{ID: 42, Version: 1})
	require.ErrorIs(t, err, sql.ErrConnDone)
	require.NotErrorIs(t, err, occ.ErrAmbiguous)
}

// A deadline that passes during a later attempt's read hides the conflicts that
// used up the time.
func TestDeadlineInReadKeepsConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r.plan(r.outrun(t, 100), &mishap{at: "select", nth: 3, hook: func(context.Context) { cancel() }})
	_, err := r.accounts.Mutate(ctx, 42, func(*Account) error { return nil })
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, occ.ErrConflict)
}

// The last conflict of an exhausted Mutate has the row, also when the server was
// the one who noticed it.
func TestExhaustedByServerConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.plan(&mishap{at: "update", before: errSerial})
	_, err := r.accounts.Mutate(t.Context(), 42, func(*Account) error { return nil })
	require.ErrorIs(t, err, occ.ErrExhausted)
	var conflict *occ.Conflict[Account]
	require.ErrorAs(t, err, &conflict)
}

// Pointers to types that scan themselves are how Go spells nullable ones.
func TestPointerToScanner(t *testing.T) {
	t.Parallel()
	type Child struct {
		Row
		Parent *uuid.UUID `occ:"parent"`
	}
	require.NoError(t, build[Child, int64](offline()))
}

// mute is SQLite without the ability to read several rows, as a child that says
// so although its family has it.
type mute struct{ sqlite.Dialect }

func (mute) SelectMany(*dialects.Table, int) (dialects.Statement, error) {
	return dialects.Statement{}, errors.ErrUnsupported
}

// A child without an ability returns ErrUnsupported; the core does without.
func TestGetManyUnsupported(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{dialect: mute{sqlite.New()}})
	rows, err := r.accounts.GetMany(t.Context(), []int64{42})
	require.NoError(t, err)
	require.Len(t, rows, 1)
}

// In(nil) makes every call fail.
func TestGetManyOfNothingInBadScope(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	_, err := r.accounts.In(nil).GetMany(t.Context(), nil)
	require.ErrorIs(t, err, occ.ErrUsage)
}

// A nil closure is a wrong call, not a nil dereference after a read.
func TestNilClosure(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	require.NotPanics(t, func() {
		_, err := r.accounts.Mutate(t.Context(), 42, nil)
		require.ErrorIs(t, err, occ.ErrUsage)
	})
}

// A timestamp in another time zone is the same version.
func TestTimestampZone(t *testing.T) {
	t.Parallel()
	type Stamp struct {
		ID int64     `occ:"id,key"`
		V  time.Time `occ:"version,version=timestamp"`
	}
	r := newRig(t, rigSetup{})
	r.exec(t, "CREATE TABLE t (id INTEGER PRIMARY KEY, version DATETIME NOT NULL)")
	repo := newRepo[Stamp, int64](t, r.db, "t", nil)
	row := Stamp{ID: 1}
	require.NoError(t, repo.Insert(t.Context(), &row))
	row.V = row.V.In(time.FixedZone("CET", 3600))
	require.NoError(t, repo.Update(t.Context(), &row))
}

// After the server's answer that COMMIT failed, ROLLBACK decides whether the
// connection is clean. (SQLite refuses a ROLLBACK without a transaction, so that
// here the connection is closed; others take it.)
func TestRollbackAfterRefusedCommit(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.plan(&mishap{at: "commit", nth: 1, before: errSerial})
	require.NoError(t, r.accounts.Overwrite(t.Context(), &Account{ID: 42, Owner: "Ada"}, "because"))
	require.Contains(t, r.trace(), "commit rollback")
}
