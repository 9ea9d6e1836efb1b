package occ_test

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

// explicitOp is an operation that needs a transaction of its own. Its row is
// stored under id.
type explicitOp struct {
	name  string
	setup rigSetup
	id    int64
	tx    string // the calls up to COMMIT
	run   func(ctx context.Context, r *rig, row *Account) error
}

var readBack = &occ.RepositoryOptions{ReadBack: true}

var explicitOps = []explicitOp{
	{"update", rigSetup{repo: readBack}, 42, "conn begin select update select", func(ctx context.Context, r *rig, row *Account) error {
		return r.accounts.Update(ctx, row)
	}},
	{"mutate", rigSetup{repo: readBack}, 42, "conn select release conn begin select update select", func(ctx context.Context, r *rig, _ *Account) error {
		_, err := r.accounts.Mutate(ctx, 42, func(a *Account) error { a.Balance = 5; return nil })
		return err
	}},
	{"overwrite", rigSetup{}, 42, "conn begin select select update", func(ctx context.Context, r *rig, row *Account) error {
		return r.accounts.Overwrite(ctx, row, "because")
	}},
	{"insert", rigSetup{repo: readBack, dialect: wordy()}, 43, "conn begin insert select", func(ctx context.Context, r *rig, row *Account) error {
		row.ID, row.Owner = 43, "Bob"
		return r.accounts.Insert(ctx, row)
	}},
}

// commitFault is what happens to the first COMMIT.
type commitFault struct {
	name     string
	mishaps  []mishap
	ending   string // the calls from COMMIT on
	repeated bool
	kind     error
	applied  bool
}

var commitFaults = []commitFault{
	{"lost before it arrives", []mishap{{at: "commit", nth: 1, before: errLost}}, "commit discard", false, occ.ErrAmbiguous, false},
	{"lost reply", []mishap{{at: "commit", nth: 1, after: errLost}}, "commit discard", false, occ.ErrAmbiguous, true},
	{"proves nothing", []mishap{{at: "commit", nth: 1, after: errStrange}}, "commit discard", false, occ.ErrAmbiguous, true},
	{"not sent, says the driver", []mishap{{at: "commit", nth: 1, after: errNotSent}}, "commit discard", false, occ.ErrAmbiguous, true},
	{"busy", []mishap{{at: "commit", nth: 1, before: errBusy}}, "commit rollback release", true, nil, true},
	{
		"busy, and no rollback",
		[]mishap{{at: "commit", nth: 1, before: errBusy}, {at: "rollback", nth: 1, before: errLost}},
		"commit rollback discard", false, occ.ErrAmbiguous, false,
	},
	{"answered with rollback", []mishap{{at: "commit", nth: 1, before: dialects.ErrRolledBack}}, "commit", true, nil, true},
	{"serialization failure", []mishap{{at: "commit", nth: 1, before: errSerial}}, "commit", true, nil, true},
	{"deferred constraint", []mishap{{at: "commit", nth: 1, before: errTwice}}, "commit", false, occ.ErrDuplicate, false},
}

// COMMIT is repeated, as a whole transaction, only when the server itself said
// that nothing was applied.
func TestCommitFaults(t *testing.T) {
	t.Parallel()
	for _, op := range explicitOps {
		for _, fault := range commitFaults {
			t.Run(op.name+"/"+fault.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, op.setup)
				var planned []*mishap
				for _, m := range fault.mishaps {
					planned = append(planned, &m)
				}
				r.plan(planned...)

				row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
				held := row
				if op.id != 42 {
					row.Version = 0
					held = Account{ID: 43, Owner: "Bob", Balance: 5}
				}
				err := op.run(t.Context(), r, &row)

				want := op.tx + " " + fault.ending
				if fault.repeated {
					require.NoError(t, err)
					require.Equal(t, 2, strings.Count(r.trace(), "commit"), r.trace())
					require.True(t, strings.HasSuffix(r.trace(), op.tx+" commit release"), r.trace())
				} else {
					requireKind(t, err, fault.kind)
					require.Equal(t, held, row, "*row is ahead of what is known")
					require.Equal(t, 1, strings.Count(r.trace(), "commit"), r.trace())
				}
				require.True(t, strings.HasPrefix(r.trace(), want), "%q\n%q", want, r.trace())
				require.Equal(t, fault.applied, r.stored(t, op.id).Balance == 5)
				var ambiguous *occ.AmbiguousError
				if fault.kind == occ.ErrAmbiguous { //nolint:errorlint // identity is meant
					require.ErrorAs(t, err, &ambiguous)
					require.Equal(t, "commit", ambiguous.Phase)
				}
			})
		}
	}
}

// A caller that stops waiting before COMMIT has written nothing, and knows it.
func TestCancelBeforeCommit(t *testing.T) {
	t.Parallel()
	for _, op := range explicitOps {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, op.setup)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			words := strings.Fields(op.tx)
			last := words[len(words)-1]
			r.plan(&mishap{at: last, nth: strings.Count(op.tx, last), then: cancel})

			row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
			err := op.run(ctx, r, &row)
			requireKind(t, err, nil)
			require.ErrorIs(t, err, context.Canceled)
			require.Equal(t, op.tx+" rollback release", r.trace())
			require.NotEqualValues(t, 5, r.stored(t, op.id).Balance)
		})
	}
}

// COMMIT does not end with the caller's context.
func TestCommitIsDetached(t *testing.T) {
	t.Parallel()
	for _, op := range explicitOps {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, op.setup)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r.plan(&mishap{at: "commit", hook: func(commit context.Context) {
				cancel()
				require.NoError(t, commit.Err())
				_, bounded := commit.Deadline()
				require.True(t, bounded)
			}})
			row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
			require.NoError(t, op.run(ctx, r, &row))
			require.EqualValues(t, 5, r.stored(t, op.id).Balance)
		})
	}
}

// It ends with CommitTimeout, and so does ROLLBACK.
func TestCommitTimeout(t *testing.T) {
	t.Parallel()
	for name, timeout := range map[string]time.Duration{"default": 0, "chosen": 700 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want := timeout
			if want == 0 {
				want = 5 * time.Second
			}
			hang := func(ctx context.Context) { <-ctx.Done() }
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t, rigSetup{repo: readBack, opts: occ.Options{CommitTimeout: timeout}})
				r.plan(&mishap{at: "commit", hook: hang, before: context.DeadlineExceeded})
				row := Account{ID: 42, Owner: "Ada", Balance: 5, Version: 1}
				start := time.Now()
				requireKind(t, r.accounts.Update(context.Background(), &row), occ.ErrAmbiguous)
				require.Equal(t, want, time.Since(start))

				r.plan(&mishap{at: "rollback", hook: hang, before: context.DeadlineExceeded})
				r.overtake(t, 42)
				start = time.Now()
				requireKind(t, r.accounts.Update(context.Background(), &row), occ.ErrConflict)
				require.Equal(t, want, time.Since(start))
				require.Equal(t, "conn begin select rollback discard", r.trace())
			})
		})
	}
}
