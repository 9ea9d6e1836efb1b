package observe_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ/observe"
)

var kinds = []observe.Kind{
	observe.Attempt, observe.Conflict, observe.Retry,
	observe.Exhausted, observe.Ambiguous, observe.Overwrite, observe.Breaker,
}

func TestKindNames(t *testing.T) {
	t.Parallel()
	var names []string
	for _, k := range kinds {
		names = append(names, k.String())
	}
	require.Equal(t, []string{"attempt", "conflict", "retry", "exhausted", "ambiguous", "overwrite", "breaker"}, names)
	require.Equal(t, "invalid", observe.Kind(0).String())
	require.Equal(t, "invalid", observe.Kind(255).String())
}

func TestMulti(t *testing.T) {
	t.Parallel()
	require.Nil(t, observe.Multi())
	require.Nil(t, observe.Multi(nil, nil))

	one := &observe.Counter{}
	require.Same(t, one, observe.Multi(nil, one, nil))

	var order []string
	note := func(name string) observe.Observer {
		return observe.Func(func(_ context.Context, e observe.Event) {
			order = append(order, name+" "+e.Kind.String())
		})
	}
	observe.Multi(note("a"), nil, note("b")).Observe(t.Context(), observe.Event{Kind: observe.Retry})
	require.Equal(t, []string{"a retry", "b retry"}, order)
}

func TestCounter(t *testing.T) {
	t.Parallel()
	var c observe.Counter
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for _, k := range kinds {
				c.Observe(t.Context(), observe.Event{Kind: k})
			}
			c.Observe(t.Context(), observe.Event{Kind: 99})
		})
	}
	wg.Wait()
	for _, k := range kinds {
		require.EqualValues(t, 64, c.Count(k), k)
	}
	require.EqualValues(t, 64, c.Count(0))
}

func TestObservingAllocatesNothing(t *testing.T) { // AllocsPerRun forbids t.Parallel
	var c observe.Counter
	quiet := observe.Slog(slog.New(slog.DiscardHandler), nil)
	all := observe.Multi(&c, quiet)
	e := observe.Event{Kind: observe.Conflict, Op: "mutate", Key: int64(7)}
	require.Zero(t, testing.AllocsPerRun(1000, func() { all.Observe(context.Background(), e) }))
}

// jsonLog returns a logger at Debug level without time, and what it wrote.
func jsonLog() (*slog.Logger, func() string) {
	var b bytes.Buffer
	options := &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) == 0 && a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}
	return slog.New(slog.NewJSONHandler(&b, options)), func() string { return strings.TrimSpace(b.String()) }
}

// rowError is an error like occ.Conflict: it holds a row and can show it.
type rowError struct{ Row string }

func (*rowError) Error() string                  { return "occ: update accounts[42]: version 7 is stale" }
func (e *rowError) MarshalJSON() ([]byte, error) { return []byte(`"` + e.Row + `"`), nil }
func (e *rowError) LogValue() slog.Value         { return slog.StringValue(e.Row) }

type orderKey struct{ Shop, Number int }

var lines = []struct {
	event observe.Event
	want  string
}{
	{
		observe.Event{Kind: observe.Attempt, Op: "mutate", Table: "accounts", Key: 42, Attempt: 3, Elapsed: time.Millisecond},
		`{"level":"DEBUG","msg":"occ attempt","op":"mutate","table":"accounts","key":42,"attempt":3,"elapsed":1000000}`,
	}, {
		observe.Event{Kind: observe.Conflict, Op: "update", Table: "accounts", Key: 42, Attempt: 1, Reason: "stale", Err: &rowError{Row: "secret"}},
		`{"level":"INFO","msg":"occ conflict","op":"update","table":"accounts","key":42,"attempt":1,"reason":"stale","error":"occ: update accounts[42]: version 7 is stale"}`,
	}, {
		observe.Event{Kind: observe.Retry, Op: "mutate", Table: "orders", Key: orderKey{1, 2}, Attempt: 2, Delay: time.Second},
		`{"level":"DEBUG","msg":"occ retry","op":"mutate","table":"orders","key":{"Shop":1,"Number":2},"attempt":2,"delay":1000000000}`,
	}, {
		observe.Event{Kind: observe.Exhausted, Op: "transact", Attempt: 256, Reason: "attempt limit", Err: errors.New("gave up")},
		`{"level":"WARN","msg":"occ exhausted","op":"transact","attempt":256,"reason":"attempt limit","error":"gave up"}`,
	}, {
		observe.Event{Kind: observe.Ambiguous, Op: "update", Table: "accounts", Key: "k", Err: errors.New("EOF")},
		`{"level":"ERROR","msg":"occ ambiguous","op":"update","table":"accounts","key":"k","error":"EOF"}`,
	}, {
		observe.Event{Kind: observe.Overwrite, Table: "accounts"},
		`{"level":"WARN","msg":"occ overwrite","table":"accounts"}`,
	}, {
		observe.Event{},
		`{"level":"WARN","msg":"occ invalid"}`,
	},
}

func TestSlog(t *testing.T) {
	t.Parallel()
	for _, tc := range lines {
		logger, written := jsonLog()
		observe.Slog(logger, nil).Observe(t.Context(), tc.event)
		require.Equal(t, tc.want, written())
	}
}

func TestSlogRedacts(t *testing.T) {
	t.Parallel()
	event := observe.Event{
		Kind: observe.Conflict, Op: "update", Table: "people", Key: "ann@example.org",
		Err: errors.New("occ: update people[ann@example.org]: version 7 is stale"),
	}
	hide := func(any) any { return nil }
	for name, tc := range map[string]struct {
		options *observe.SlogOptions
		want    string
	}{
		"key, and errors that name it": {
			&observe.SlogOptions{Key: hide},
			`{"level":"INFO","msg":"occ conflict","op":"update","table":"people"}`,
		},
		"key shortened": {
			&observe.SlogOptions{Key: func(key any) any { return key.(string)[:1] }},
			`{"level":"INFO","msg":"occ conflict","op":"update","table":"people","key":"a"}`,
		},
		"errors rewritten": {
			&observe.SlogOptions{Key: hide, Error: func(error) string { return "stale" }},
			`{"level":"INFO","msg":"occ conflict","op":"update","table":"people","error":"stale"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logger, written := jsonLog()
			observe.Slog(logger, tc.options).Observe(t.Context(), event)
			require.Equal(t, tc.want, written())
		})
	}
}

func TestSlogRespectsTheLevel(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	o := observe.Slog(slog.New(slog.NewTextHandler(&b, nil)), nil) // Info
	o.Observe(t.Context(), observe.Event{Kind: observe.Attempt})
	o.Observe(t.Context(), observe.Event{Kind: observe.Retry})
	require.Empty(t, b.String())
	require.NotNil(t, observe.Slog(nil, nil))
}
