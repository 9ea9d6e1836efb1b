package occ_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
)

// shape is how an operation uses its connections. W stands for the statement
// that decides: sent once per attempt, and once in all when its reply is lost.
type shape struct {
	once    string           // the calls of an attempt that succeeds
	failed  string           // the calls of one that W ends; the connection is always given back
	lost    error            // what a lost reply is; nil: repeated
	strange error            // what an error that proves nothing is
	single  map[string]error // without a second attempt: what each fault is
}

var (
	reading    = shape{once: "conn W release", failed: "conn W release"}
	autocommit = shape{once: "conn W release", failed: "conn W release", lost: occ.ErrAmbiguous, strange: occ.ErrAmbiguous}
	mutating   = shape{
		once: "conn select release conn W release", failed: "conn select release conn W release",
		lost: occ.ErrAmbiguous, strange: occ.ErrAmbiguous,
	}
	explicit = shape{
		once:   "conn begin select select W commit release",
		failed: "conn begin select select W rollback release",
	}
	unrepeated = shape{
		once: "conn W release", failed: "conn W release", lost: occ.ErrAmbiguous, strange: occ.ErrAmbiguous,
		single: map[string]error{
			"acquire": occ.ErrUnavailable, "not sent": occ.ErrUnavailable, "conflict": occ.ErrConflict, "busy": nil,
		},
	}
)

// phaseOp is one way to use a repository.
type phaseOp struct {
	name  string
	word  string
	shape shape
	run   func(ctx context.Context, r *rig, row *Account) error
	wrote func(before, after Account) bool // whether it has taken effect, once
}

func bumped(before, after Account) bool { return after.Version == before.Version+1 }

var phaseOps = []phaseOp{
	{"get", "select", reading, func(ctx context.Context, r *rig, row *Account) error {
		_, err := r.accounts.Get(ctx, row.ID)
		return err
	}, nil},
	{"update", "update", autocommit, func(ctx context.Context, r *rig, row *Account) error {
		return r.accounts.Update(ctx, row)
	}, bumped},
	{"patch", "update", autocommit, func(ctx context.Context, r *rig, row *Account) error {
		return r.accounts.Patch(ctx, row, "balance")
	}, bumped},
	{"touch", "update", autocommit, func(ctx context.Context, r *rig, row *Account) error {
		return r.accounts.Touch(ctx, row)
	}, bumped},
	{"delete", "delete", autocommit, func(ctx context.Context, r *rig, row *Account) error {
		return r.accounts.Delete(ctx, row)
	}, func(_, after Account) bool { return after == Account{} }},
	{"insert", "insert", autocommit, func(ctx context.Context, r *rig, row *Account) error {
		row.ID, row.Owner = 43, "Bob"
		return r.accounts.Insert(ctx, row)
	}, func(_, after Account) bool { return after.Version == 1 }},
	{"create", "insert", autocommit, func(ctx context.Context, r *rig, row *Account) error {
		row.ID, row.Owner = 43, "Bob"
		_, err := r.accounts.Create(ctx, *row)
		return err
	}, func(_, after Account) bool { return after.Version == 1 }},
	{"mutate", "update", mutating, func(ctx context.Context, r *rig, row *Account) error {
		_, err := r.accounts.Mutate(ctx, row.ID, func(a *Account) error { a.Balance++; return nil })
		return err
	}, bumped},
	{"overwrite", "update", explicit, func(ctx context.Context, r *rig, row *Account) error {
		return r.accounts.Overwrite(ctx, row, "because")
	}, bumped},
	{"exec", "update", unrepeated, func(ctx context.Context, r *rig, row *Account) error {
		return r.db.Exec(ctx, "UPDATE accounts SET version = version + 1 WHERE id = ? AND version = ?", row.ID, row.Version)
	}, bumped},
	{"retry", "update", autocommit, func(ctx context.Context, r *rig, row *Account) error {
		return r.db.Retry(ctx, func(ctx context.Context) error {
			return r.db.Exec(ctx, "UPDATE accounts SET version = version + 1 WHERE id = ? AND version = ?", row.ID, row.Version)
		})
	}, bumped},
}

// expectation is what must come of one fault: the calls that were made, what the
// error is (nil: none at all, or with failed none of the sentinels), and whether
// the write took effect.
type expectation struct {
	calls  string
	failed bool
	kind   error
	wrote  bool
}

// expect tells what must come of a fault that strikes the first attempt.
func (s shape) expect(fault string) expectation {
	again := func(first string) expectation {
		if s.single == nil {
			return expectation{calls: first + " " + s.once, wrote: true}
		}
		return expectation{calls: first, failed: true, kind: s.single[fault]}
	}
	switch fault {
	case "acquire":
		return again("conn")
	case "lost", "lost in rows":
		if s.lost != nil {
			return expectation{s.failed, true, s.lost, true}
		}
		return again(s.failed)
	case "duplicate":
		return expectation{s.failed, true, occ.ErrDuplicate, false}
	case "strange":
		return expectation{s.failed, true, s.strange, false}
	default:
		return again(s.failed)
	}
}

// strikes are what can go wrong with a statement, by name. Each strikes once.
func strikes(word string) map[string]*mishap {
	return map[string]*mishap{
		"acquire":      {at: "conn", nth: 1, before: errDown},
		"not sent":     {at: word, nth: 1, before: errNotSent},
		"lost":         {at: word, nth: 1, after: errLost},
		"lost in rows": {at: word, nth: 1, inRows: errLost},
		"conflict":     {at: word, nth: 1, before: errSerial},
		"busy":         {at: word, nth: 1, before: errBusy},
		"duplicate":    {at: word, nth: 1, before: errTwice},
		"strange":      {at: word, nth: 1, before: errStrange},
	}
}

// Every operation, met by every fault: how often the statement was sent, what
// became of the connection, what the caller is told, and what the table and the
// caller's row hold afterwards.
func TestPhases(t *testing.T) {
	t.Parallel()
	for _, op := range phaseOps {
		for fault, mishap := range strikes(op.word) {
			t.Run(op.name+"/"+fault, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, rigSetup{})
				r.plan(mishap)
				want := op.shape.expect(fault)

				row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
				err := op.run(t.Context(), r, &row)

				require.Equal(t, strings.ReplaceAll(want.calls, "W", op.word), strings.ReplaceAll(r.trace(), " ping", ""))
				if want.failed {
					requireKind(t, err, want.kind)
					require.ErrorIs(t, err, firstErr(mishap.before, mishap.after, mishap.inRows), "the driver's error stays reachable")
					require.EqualValues(t, 1, row.Version, "*row is ahead of what is known")
				} else {
					require.NoError(t, err)
				}
				if op.wrote != nil {
					require.Equal(t, want.wrote, op.wrote(Account{Version: 1}, r.stored(t, row.ID)), "%+v", r.stored(t, row.ID))
				}
			})
		}
	}
}
