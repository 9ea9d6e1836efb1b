package occ_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// breakerRig returns a rig whose breaker opens at the second outage, and what was
// observed of it. Long stays open for the rest of the test.
func breakerRig(t *testing.T, wait time.Duration) (*rig, func() string) {
	t.Helper()
	var seen []string
	r := newRig(t, rigSetup{opts: occ.Options{
		Breaker: &retry.Breaker{Failures: 2, Wait: wait},
		Retry:   &retry.Policy{MaxOutages: -1},
		Observer: observe.Func(func(_ context.Context, e observe.Event) {
			if e.Kind == observe.Breaker {
				seen = append(seen, e.Reason)
			}
		}),
	}})
	return r, func() string { return strings.Join(seen, " ") }
}

func add(delta int64) func(*Account) error {
	return func(a *Account) error { a.Balance += delta; return nil }
}

// While the breaker is open nothing is sent, whatever the operation.
func TestOpenBreakerSendsNothing(t *testing.T) {
	t.Parallel()
	r, seen := breakerRig(t, time.Hour)
	ctx := t.Context()
	r.plan(&mishap{at: "conn", before: errDown})
	for range 2 {
		_, err := r.accounts.Get(ctx, 42)
		require.ErrorIs(t, err, errDown)
		require.NotErrorIs(t, err, retry.ErrOpen)
	}
	require.Equal(t, "open", seen())
	r.plan()
	row := Account{ID: 42, Owner: "Ada", Version: 1}
	for name, call := range map[string]func() error{
		"get":    func() error { _, err := r.accounts.Get(ctx, 42); return err },
		"mutate": func() error { _, err := r.accounts.Mutate(ctx, 42, add(1)); return err },
		"update": func() error { return r.accounts.Update(ctx, &row) },
		"create": func() error { _, err := r.accounts.Create(ctx, row); return err },
		"exec":   func() error { return r.db.Exec(ctx, "UPDATE accounts SET version = 2") },
		"many":   func() error { _, err := r.accounts.UpdateMany(ctx, []Account{row}, occ.BestEffort); return err },
		"transact": func() error {
			return r.db.Transact(ctx, func(tx *occ.Tx) error { return r.accounts.In(tx).Update(tx.Context(), &row) })
		},
		"retry": func() error {
			runs := 0
			defer func() { require.Equal(t, 1, runs) }()
			return r.db.Retry(ctx, func(ctx context.Context) error { runs++; return r.accounts.Update(ctx, &row) })
		},
	} {
		err := call()
		var open *retry.OpenError
		require.ErrorAs(t, err, &open, name)
		require.WithinDuration(t, time.Now().Add(time.Hour), open.Until, time.Minute, name)
		require.ErrorIs(t, err, occ.ErrUnavailable, name)
		require.ErrorIs(t, err, errDown, name)
		require.NotErrorIs(t, err, occ.ErrExhausted, name)
		require.NotErrorIs(t, err, occ.ErrAmbiguous, name)
	}
	require.Empty(t, r.trace())

	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := r.accounts.Get(ended, 42)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, retry.ErrOpen)
}

// The probe must reach the server: a connection from the pool that answers
// nothing any more does not count.
func TestProbeReachesTheServer(t *testing.T) {
	t.Parallel()
	r, seen := breakerRig(t, 1) // the time is over at once
	r.plan(&mishap{at: "conn", before: errDown})
	for range 2 {
		_, err := r.accounts.Get(t.Context(), 42)
		require.ErrorIs(t, err, errDown)
	}
	r.plan(&mishap{at: "ping", nth: 1, before: errLost}, &mishap{at: "ping", nth: 2, before: errNotSent})
	got, err := r.accounts.Mutate(t.Context(), 42, add(1))
	require.NoError(t, err)
	require.EqualValues(t, 101, got.Balance)
	require.Equal(t, "conn ping discard conn ping discard conn ping select release conn update release", r.trace())
	require.Equal(t, "open half-open closed", seen())
}

// Conflicts, refusals and callers that go away are no outages; neither are
// connections that break, as long as there are others.
func TestBreakerIsAboutOutagesAlone(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]*mishap{
		"rejected":  {at: "update", before: errRejected},
		"duplicate": {at: "update", before: errTwice},
		"conflict":  {at: "update", before: errSerial},
		"busy":      {at: "update", before: errBusy},
		"lost":      {at: "update", after: errLost},
		"refused":   {at: "conn", before: errRejected},
		"strange":   {at: "conn", before: errStrange},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, seen := breakerRig(t, time.Hour)
			r.plan(m)
			for range 10 {
				require.Error(t, r.accounts.Update(t.Context(), &Account{ID: 42, Owner: "Ada", Version: 1}))
			}
			require.Empty(t, seen())
		})
	}
	r, seen := breakerRig(t, time.Hour)
	for range 10 {
		ctx, cancel := context.WithCancel(t.Context())
		r.plan(&mishap{at: "conn", before: errLost, hook: func(context.Context) { cancel() }})
		_, err := r.accounts.Get(ctx, 42)
		require.ErrorIs(t, err, context.Canceled)
	}
	require.Empty(t, seen())
}

// A server that says that it does not serve says so once: the connections of the
// pool are not tried one after the other.
func TestUnavailableServerIsAskedOnce(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigSetup{})
	r.plan(&mishap{at: "ping", before: errDown}, &mishap{at: "select", before: errDown})
	_, err := r.accounts.Get(t.Context(), 42)
	require.ErrorIs(t, err, occ.ErrUnavailable)
	require.Equal(t, "conn select release conn ping discard conn ping discard", r.trace())
}

// Retries after outages are paid for by all operations together; conflicts are
// free, and what the server answers earns.
func TestRetriesArePaidFor(t *testing.T) {
	t.Parallel()
	budget := &retry.Budget{Burst: 2, Ratio: 0.5}
	var counter observe.Counter
	var reasons []string
	r := newRig(t, rigSetup{opts: occ.Options{
		Retry:   &retry.Policy{MaxAttempts: 50, NewBackOff: retry.None(), Budget: budget},
		Breaker: &retry.Breaker{Off: true},
		Observer: observe.Multi(&counter, observe.Func(func(_ context.Context, e observe.Event) {
			if e.Kind == observe.Exhausted {
				reasons = append(reasons, e.Reason)
			}
		})),
	}})
	ctx := t.Context()
	r.plan(&mishap{at: "conn", before: errDown})
	row := Account{ID: 42, Owner: "Ada", Version: 1}
	require.ErrorIs(t, r.accounts.Update(ctx, &row), occ.ErrUnavailable) // two retries, the limit
	require.Zero(t, budget.Left())
	for range 5 {
		r.plan(&mishap{at: "conn", before: errDown})
		err := r.accounts.Update(ctx, &row)
		var exhausted *retry.ExhaustedError
		require.ErrorAs(t, err, &exhausted)
		require.Equal(t, retry.BudgetSpent, exhausted.Reason)
		require.ErrorIs(t, err, occ.ErrUnavailable)
		require.Equal(t, "conn", r.trace(), "sent once")
	}
	require.Equal(t, []string{"server unavailable", "retry budget", "retry budget", "retry budget", "retry budget", "retry budget"}, reasons)

	r.plan(&mishap{at: "update", nth: 1, hook: func(context.Context) { r.overtake(t, 42) }})
	_, err := r.accounts.Mutate(ctx, 42, add(1))
	require.NoError(t, err, "a conflict costs nothing")
	require.Positive(t, counter.Count(observe.Conflict))
	require.Equal(t, 2, budget.Left(), "two reads and two writes were answered")

	r.plan(&mishap{at: "select", nth: 1, before: errLost})
	_, err = r.accounts.Mutate(ctx, 42, add(1))
	require.NoError(t, err)
}

// A busy hour of conflicts takes nothing out of the budget.
func TestConflictsAreFree(t *testing.T) {
	t.Parallel()
	budget := &retry.Budget{Burst: 1}
	r := newRig(t, rigSetup{opts: occ.Options{Retry: &retry.Policy{MaxAttempts: 200, NewBackOff: retry.None(), Budget: budget}}})
	r.plan(&mishap{at: "update", hook: func(context.Context) { r.overtake(t, 42) }})
	_, err := r.accounts.Mutate(t.Context(), 42, add(1))
	var exhausted *retry.ExhaustedError
	require.ErrorAs(t, err, &exhausted)
	require.Equal(t, retry.MaxAttempts, exhausted.Reason)
	require.Equal(t, 200, exhausted.Attempts)
	require.True(t, budget.Full())
}

// Watching a connection for what it earns hides nothing that it can do.
func TestEarningConnectionsKeepTheirAbilities(t *testing.T) {
	t.Parallel()
	eachEngine(t, 2, func(t *testing.T, healthy *occ.DB, _ *occ.Repository[Account, int64]) {
		budget := &retry.Budget{Ratio: 1e-5}
		require.True(t, budget.Take())
		var able [2]any
		for i, b := range []*retry.Budget{nil, budget} {
			spy := &spyDB{DB: dbTransport(t, healthy)}
			db := occ.New(spy, healthy.Dialect(), &occ.Options{Retry: &retry.Policy{Budget: b}})
			accounts := newRepo[Account, int64](t, db, "accounts", nil)
			rows := make([]Account, 3)
			for n := range rows {
				rows[n] = Account{ID: int64(10*i + n + 1), Owner: "Ada", Balance: 1}
			}
			_, err := accounts.InsertMany(t.Context(), rows, occ.AllOrNothing)
			require.NoError(t, err)
			require.NoError(t, db.Transact(t.Context(), func(tx *occ.Tx) error {
				_, err := accounts.In(tx).Mutate(tx.Context(), rows[0].ID, add(1))
				return err
			}))
			able[i] = spy.used
		}
		require.Equal(t, able[0], able[1])
		require.False(t, budget.Full())
	})
}

// spyDB notes which abilities of its connections are used.
type spyDB struct {
	dialects.DB
	used map[string]int
}

func (d *spyDB) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := d.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if d.used == nil {
		d.used = map[string]int{}
	}
	pipeliner, pipes := c.(dialects.Pipeliner)
	preparer, prepares := c.(dialects.Preparer)
	switch {
	case pipes && prepares:
		return nil, errors.New("no transport does both; write the spy for it")
	case pipes:
		return spyPipeliner{c, pipeliner, d}, nil
	case prepares:
		return spyPreparer{c, preparer, d}, nil
	default:
		return c, nil
	}
}

type spyPipeliner struct {
	dialects.Conn
	p dialects.Pipeliner
	d *spyDB
}

func (s spyPipeliner) Pipeline(ctx context.Context, calls []dialects.Call) error {
	s.d.used["pipeline"]++
	return s.p.Pipeline(ctx, calls)
}

type spyPreparer struct {
	dialects.Conn
	p dialects.Preparer
	d *spyDB
}

func (s spyPreparer) Prepare(ctx context.Context, text string) (dialects.Prepared, error) {
	s.d.used["prepare"]++
	return s.p.Prepare(ctx, text)
}

func TestInvalidBreaker(t *testing.T) {
	t.Parallel()
	for _, opts := range []occ.Options{
		{Breaker: &retry.Breaker{Failures: -1}},
		{Retry: &retry.Policy{Budget: &retry.Budget{Burst: -1}}},
	} {
		r := newRig(t, rigSetup{})
		db := occ.New(r.wire, wordy(), &opts)
		_, err := occ.NewRepository[Account, int64](db, "accounts", nil)
		require.ErrorIs(t, err, occ.ErrUsage)
	}
}
