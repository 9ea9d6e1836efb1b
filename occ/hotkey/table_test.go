package hotkey_test

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ/hotkey"
)

type op struct {
	id   int
	runs int
}

func ticket(id int) *hotkey.Ticket { return &hotkey.Ticket{Op: &op{id: id}} }

func of(t *hotkey.Ticket) *op { return t.Op.(*op) }

type (
	table = hotkey.Table[string]
	line  = hotkey.Line[string]
)

// desk is a table whose work is done by hand.
type desk struct {
	*table
	rounds chan []*line
	done   chan struct{}
}

func newDesk(p hotkey.Policy) *desk {
	d := &desk{rounds: make(chan []*line), done: make(chan struct{})}
	d.table = hotkey.New[string](p, func(lines []*line) {
		d.rounds <- slices.Clone(lines)
		<-d.done
	})
	return d
}

// queue queues an operation, and returns what tells its end.
func (d *desk) queue(ctx context.Context, t *testing.T, key string, o *hotkey.Ticket, urgent bool) <-chan error {
	t.Helper()
	require.NoError(t, d.Enter(key, o, urgent, hotkey.AfterConflict))
	end := make(chan error, 1)
	go func() { end <- d.Wait(ctx, key, o) }()
	synctest.Wait()
	return end
}

func ids(ops []*hotkey.Ticket) []int {
	var ids []int
	for _, o := range ops {
		ids = append(ids, of(o).id)
	}
	return ids
}

// serve finishes up to n operations of a line.
func serve(l *line, n int) { l.Finish(l.Take(nil, n)) }

func TestFirstComeFirstServedAndUrgentOnesBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(hotkey.Policy{MaxBatch: 4})
		d.queue(t.Context(), t, "a", ticket(1), false)
		first := <-d.rounds
		ops := first[0].Take(nil, 4)
		require.Equal(t, []int{1}, ids(ops))
		for id := 2; id <= 6; id++ {
			d.queue(t.Context(), t, "a", ticket(id), id >= 5)
		}
		ops = first[0].Take(ops, 4)
		require.Equal(t, []int{1, 5, 6, 2, 3}, ids(ops))
		ops = first[0].Take(ops, 4)
		require.Equal(t, []int{1, 5, 6, 2, 3, 4}, ids(ops))
		first[0].Finish(ops)
		d.done <- struct{}{}
	})
}

func TestPutBackComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(hotkey.Policy{})
		d.queue(t.Context(), t, "a", ticket(1), false)
		d.queue(t.Context(), t, "a", ticket(2), false)
		l := (<-d.rounds)[0]
		ops := l.Take(nil, 2)
		d.queue(t.Context(), t, "a", ticket(3), true)
		l.PutBack(ops)
		d.done <- struct{}{}
		l = (<-d.rounds)[0]
		ops = l.Take(nil, 9)
		require.Equal(t, []int{1, 2, 3}, ids(ops))
		l.Finish(ops)
		d.done <- struct{}{}
	})
}

func TestOverflowFailsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(hotkey.Policy{MaxQueue: 2})
		d.queue(t.Context(), t, "a", ticket(1), false)
		l := (<-d.rounds)[0]
		d.queue(t.Context(), t, "a", ticket(2), false)
		err := d.Enter("a", ticket(3), false, hotkey.AfterConflict)
		require.ErrorIs(t, err, hotkey.ErrFull)
		require.EqualValues(t, 1, d.Stats().Overflows)
		err = d.Enter("b", ticket(4), false, hotkey.AfterConflict)
		require.NoError(t, err, "each key has a queue of its own")
		serve(l, 2)
		d.done <- struct{}{}
		for range 1 {
			l = (<-d.rounds)[0]
			serve(l, 2)
			d.done <- struct{}{}
		}
	})
}

func TestCallersLeaveWhileTheyWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(hotkey.Policy{})
		ctx, cancel := context.WithCancel(t.Context())
		stays := d.queue(t.Context(), t, "a", ticket(1), false)
		l := (<-d.rounds)[0]
		leaves := d.queue(ctx, t, "a", ticket(2), false)
		cancel()
		require.ErrorIs(t, <-leaves, context.Canceled)
		ops := l.Take(nil, 9)
		require.Equal(t, []int{1}, ids(ops))
		require.EqualValues(t, 1, d.Stats().Left)
		l.Finish(ops)
		require.NoError(t, <-stays)
		d.done <- struct{}{}
	})
}

// An operation that is being worked on may take effect, so its caller learns how
// it ends. When it waits again, the caller leaves.
func TestCallersDoNotLeaveWhatIsUnderWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(hotkey.Policy{})
		ctx, cancel := context.WithCancel(t.Context())
		one := d.queue(ctx, t, "a", ticket(1), false)
		two := d.queue(ctx, t, "a", ticket(2), false)
		l := (<-d.rounds)[0]
		ops := l.Take(nil, 2)
		cancel()
		synctest.Wait()
		require.Empty(t, one)
		require.Empty(t, two)
		l.Finish(ops[:1])
		require.NoError(t, <-one)
		l.PutBack(ops[1:])
		require.ErrorIs(t, <-two, context.Canceled)
		require.Empty(t, l.Take(nil, 9))
		d.done <- struct{}{}
	})
}

func TestKeysShareARound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ maxKeys, first, second int }{{3, 3, 1}, {128, 4, 0}} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(hotkey.Policy{MaxKeys: tc.maxKeys})
			d.queue(t.Context(), t, "z", ticket(0), false)
			serve((<-d.rounds)[0], 1)
			for _, key := range []string{"a", "b", "c", "d"} {
				d.queue(t.Context(), t, key, ticket(0), false)
			}
			d.done <- struct{}{}
			for _, want := range []int{tc.first, tc.second} {
				if want == 0 {
					continue
				}
				lines := <-d.rounds
				require.Len(t, lines, want)
				for _, l := range lines {
					serve(l, 1)
				}
				d.done <- struct{}{}
			}
		})
	}
}

// A round that hangs delays nobody but its own keys.
func TestSlowRoundDelaysNobodyElse(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(hotkey.Policy{})
		slow := d.queue(t.Context(), t, "slow", ticket(0), false)
		hanging := <-d.rounds
		other := d.queue(t.Context(), t, "other", ticket(0), false)
		start := time.Now()
		lines := <-d.rounds // the bubble's clock moves on while all wait
		require.LessOrEqual(t, time.Since(start), 100*time.Millisecond)
		require.Equal(t, "other", lines[0].Key)
		serve(lines[0], 1)
		d.done <- struct{}{}
		require.NoError(t, <-other)
		serve(hanging[0], 1)
		d.done <- struct{}{}
		require.NoError(t, <-slow)
	})
}

func TestDetachedLine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(hotkey.Policy{})
		one := d.queue(t.Context(), t, "a", ticket(1), false)
		l := (<-d.rounds)[0]
		ops := l.Take(nil, 1)
		l.Detach()
		d.done <- struct{}{}
		two := d.queue(t.Context(), t, "a", ticket(2), false)
		select {
		case <-d.rounds:
			t.Error("the line was handed out although it is detached")
		default:
		}
		l.Finish(ops)
		require.NoError(t, <-one)
		l.Release()
		serve((<-d.rounds)[0], 1)
		d.done <- struct{}{}
		require.NoError(t, <-two)
	})
}

// A key is hot while somebody is at it, and for a while afterwards.
func TestAutoFollowsTheLoad(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(hotkey.Policy{Idle: time.Second})
		enter := func(key string) hotkey.Why {
			why := d.Claim(key)
			if why != hotkey.Alone {
				require.NoError(t, d.Enter(key, ticket(0), false, why))
			}
			return why
		}
		require.Equal(t, hotkey.Alone, enter("a"))
		d.Done("a")
		require.Equal(t, hotkey.Alone, enter("a"), "nobody else is there")
		require.Equal(t, hotkey.Alone, enter("b"), "another key")
		require.Equal(t, hotkey.HotKey, enter("a"), "the second at the same time")
		serve((<-d.rounds)[0], 1)
		d.done <- struct{}{}
		d.Done("a")
		require.Equal(t, hotkey.HotKey, enter("a"), "still hot")
		l := (<-d.rounds)[0]
		l.State = 7
		serve(l, 1)
		d.done <- struct{}{}
		time.Sleep(3 * time.Second)
		require.Equal(t, hotkey.Alone, enter("a"), "cold again")
	})
}

func TestModesThatAlwaysQueue(t *testing.T) {
	t.Parallel()
	for _, mode := range []hotkey.Mode{hotkey.Gate, hotkey.Combine} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(hotkey.Policy{Mode: mode})
			require.Equal(t, hotkey.ByPolicy, d.Claim("a"))
			require.NoError(t, d.Enter("a", ticket(0), false, hotkey.ByPolicy))
			serve((<-d.rounds)[0], 1)
			d.done <- struct{}{}
		})
	}
}

// What is remembered of a key is forgotten when it is idle.
func TestStateEndsWithTheLine(t *testing.T) {
	t.Parallel()
	for pause, want := range map[time.Duration]any{time.Second / 2: 7, 3 * time.Second: nil} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk(hotkey.Policy{Idle: time.Second})
			for round, state := range []any{nil, want} {
				d.queue(t.Context(), t, "a", ticket(0), false)
				l := (<-d.rounds)[0]
				require.Equal(t, state, l.State)
				l.State = 7
				serve(l, 1)
				d.done <- struct{}{}
				if round == 0 {
					time.Sleep(pause)
				}
			}
		})
	}
}

// Work may end its goroutine, as t.FailNow does: the others go on.
func TestWorkThatEndsItsGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tb := hotkey.New[string](hotkey.Policy{}, func(lines []*line) {
			ops := lines[0].Take(nil, 1)
			lines[0].Finish(ops)
			if of(ops[0]).id == 1 {
				runtime.Goexit()
			}
		})
		for id := 1; id <= 3; id++ {
			o := ticket(id)
			require.NoError(t, tb.Enter("a", o, false, hotkey.AfterConflict))
			require.NoError(t, tb.Wait(t.Context(), "a", o))
		}
	})
}

// Many callers, many keys: every operation is finished exactly once, and no
// goroutine is left (synctest sees to that).
func TestEveryOperationEndsOnce(t *testing.T) {
	t.Parallel()
	for _, p := range []hotkey.Policy{{}, {MaxKeys: 1}, {Mode: hotkey.Gate}, {MaxBatch: 2, MaxKeys: 2}} {
		synctest.Test(t, func(t *testing.T) {
			var tb *table
			tb = hotkey.New[string](p, func(lines []*line) {
				time.Sleep(time.Millisecond)
				for i, l := range lines {
					ops := l.Take(nil, tb.Policy().MaxBatch)
					again := ops[:0:0]
					for _, o := range ops {
						if of(o).runs++; of(o).runs == 1 && of(o).id%7 == 0 {
							again = append(again, o)
							continue
						}
						l.Finish([]*hotkey.Ticket{o})
					}
					l.PutBack(again)
					if i%2 == 1 {
						l.Detach()
						go func() { time.Sleep(3 * time.Millisecond); l.Release() }()
					}
				}
			})
			var all sync.WaitGroup
			for client := range 32 {
				all.Go(func() {
					for n := range 50 {
						ctx, cancel := context.WithCancel(t.Context())
						if n%11 == 0 {
							cancel()
						}
						o := ticket(client + n)
						key := string(rune('a' + (client*n)%5))
						if why := tb.Claim(key); why == hotkey.Alone {
							time.Sleep(time.Microsecond)
							tb.Done(key)
						} else {
							require.NoError(t, tb.Enter(key, o, n%13 == 0, why))
							if err := tb.Wait(ctx, key, o); !errors.Is(err, context.Canceled) {
								require.NoError(t, err)
							}
						}
						cancel()
					}
				})
			}
			all.Wait()
			time.Sleep(time.Second) // of the bubble: lines are released
		})
	}
}

func TestPolicyValidate(t *testing.T) {
	t.Parallel()
	require.NoError(t, hotkey.Policy{}.Validate())
	for want, p := range map[string]hotkey.Policy{
		"Mode": {Mode: 99}, "MaxBatch": {MaxBatch: -1}, "MaxKeys": {MaxKeys: -1},
		"MaxQueue": {MaxQueue: -1}, "MaxHold": {MaxHold: -1}, "Idle": {Idle: -1},
	} {
		require.ErrorContains(t, p.Validate(), "hotkey: Policy."+want)
	}
	for mode, name := range map[hotkey.Mode]string{
		hotkey.Auto: "auto", hotkey.Backoff: "backoff", hotkey.Gate: "gate", hotkey.Combine: "combine", hotkey.Lock: "lock", 99: "invalid",
	} {
		require.Equal(t, name, mode.String())
	}
}
