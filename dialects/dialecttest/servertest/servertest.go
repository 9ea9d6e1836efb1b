// Package servertest is what the tests share that provoke each error of an engine
// on a real server: the lines of the table of errors, and what errors must say.
package servertest

import (
	"context"
	"errors"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

// Account is a row of the table "accounts" of the tests.
type Account struct {
	ID      int64 `occ:"id,key"`
	Balance int64 `occ:"balance"`
	Version int64 `occ:"version,version"`
}

// Held is what rows look like at first.
func Held(id int64) Account { return Account{ID: id, Balance: 100, Version: 1} }

// Bump is another writer's change of row 1.
const Bump = "UPDATE accounts SET balance = 500, version = version + 1 WHERE id = 1"

// Coverage prints which line of the table of errors is held by which test, and
// which lines are left out and why.
func Coverage[Row ~struct {
	Line string
	Test func(*testing.T)
}, LeftOut ~struct{ Line, Why string }](t *testing.T, engine string, left []LeftOut, files ...[]Row) {
	t.Helper()
	tests := map[string]bool{}
	lines := 0
	for _, file := range files {
		for _, row := range file {
			r := struct {
				Line string
				Test func(*testing.T)
			}(row)
			name := runtime.FuncForPC(reflect.ValueOf(r.Test).Pointer()).Name()
			name = name[strings.LastIndex(name, ".")+1:]
			require.True(t, strings.HasPrefix(name, "TestServer"), name)
			tests[name] = true
			lines++
			t.Logf("%-82s %s", r.Line, name)
		}
	}
	for _, l := range left {
		l := struct{ Line, Why string }(l)
		t.Logf("%-82s left out: %s", l.Line, l.Why)
	}
	t.Logf("%s: %d lines provoked for real by %d tests, %d left out", engine, lines, len(tests), len(left))
}

// Async runs f and delivers its error.
func Async(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// Classified requires an error's class, and what that means in a phase.
func Classified(t testing.TB, d dialects.Dialect, err error, class dialects.Class, phase dialects.Phase, outcome dialects.Outcome) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, class.String(), d.Classify(err).String(), "%T: %v", err, err)
	require.Equal(t, outcome.String(), class.At(phase).String(), phase.String())
}

// Conflict requires a conflict with the current row.
func Conflict(t testing.TB, err error, current Account) {
	t.Helper()
	var c *occ.Conflict[Account]
	require.ErrorAs(t, err, &c)
	require.Equal(t, &current, c.Current)
	require.Equal(t, current.Version, c.Actual)
	require.NotErrorIs(t, err, occ.ErrAmbiguous)
}

// Refused requires an error that proves that nothing was written and that says
// nothing else.
func Refused(t testing.TB, err, kind error) {
	t.Helper()
	var op *occ.OpError
	require.ErrorAs(t, err, &op)
	require.Equal(t, kind, op.Kind, err)
	for _, other := range []error{occ.ErrAmbiguous, occ.ErrConflict, occ.ErrExhausted} {
		if !errors.Is(kind, other) {
			require.NotErrorIs(t, err, other)
		}
	}
}

// Ambiguous requires an outcome that is said to be unknown, at a phase.
func Ambiguous(t testing.TB, err error, phase dialects.Phase) {
	t.Helper()
	var a *occ.AmbiguousError
	require.ErrorAs(t, err, &a)
	require.Equal(t, phase.String(), a.Phase)
	require.NotErrorIs(t, err, occ.ErrConflict)
	require.NotErrorIs(t, err, occ.ErrExhausted)
}

// BeforeCommit is a database that does something just before each COMMIT.
type BeforeCommit struct {
	dialects.DB
	// Do is what it does.
	Do func()
}

// Conn returns a connection.
func (h BeforeCommit) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := h.DB.Conn(ctx)
	return committing{c, h.Do}, err
}

type committing struct {
	dialects.Conn
	do func()
}

func (c committing) Commit(ctx context.Context) error {
	c.do()
	return c.Conn.Commit(ctx)
}
