package occ_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

// faultHook does something just before each COMMIT, while armed.
type faultHook struct {
	dialects.DB
	armed  *bool
	before func()
}

func (h faultHook) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := h.DB.Conn(ctx)
	return faultConn{c, h}, err
}

type faultConn struct {
	dialects.Conn
	hook faultHook
}

func (c faultConn) Commit(ctx context.Context) error {
	if *c.hook.armed {
		c.hook.before()
	}
	return c.Conn.Commit(ctx)
}

// With ReadBack every write is a transaction, and so is Overwrite.
func TestFaultsLostCommit(t *testing.T) {
	t.Parallel()
	writes := map[string]func(f *faulty, a *faultRow) error{
		"overwrite": func(f *faulty, a *faultRow) error { return f.Overwrite(f.Context(), a, "test") },
	}
	for name, w := range faultyWrites {
		if name != "insert" { // which has RETURNING here and needs no transaction
			writes[name] = func(f *faulty, a *faultRow) error { return w.write(f, a, func() {}) }
		}
	}
	for name, write := range writes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hook := func(f *faulty, d dialects.DB) dialects.DB {
				return faultHook{d, &f.armed, f.proxy.CutReplies}
			}
			eachFaulty(t, &occ.RepositoryOptions{ReadBack: true}, hook, func(f *faulty) {
				spare := faultRow{ID: 2, Balance: 7, Version: 1}
				require.NoError(f, write(f, &spare))
				f.seen = new(observe.Counter)
				f.armed = true
				mine := faultRow{ID: 1, Balance: 7, Version: 1}
				err := write(f, &mine)
				f.ambiguousOnce(err, name, dialects.Commit)
				require.Equal(f, faultRow{ID: 1, Balance: 7, Version: 1}, mine)
				after := []faultRow{{1, 7, 2}}
				if w, ok := faultyWrites[name]; ok {
					after = w.after
				}
				require.Equal(f, after, f.rows(1), "applied once")
			})
		})
	}
}

// A read may always be repeated, so a lost reply costs it nothing but time. The
// commit hook is not needed: the network heals as soon as the fault was met.
func TestFaultsLostRead(t *testing.T) {
	t.Parallel()
	eachFaulty(t, nil, func(f *faulty, d dialects.DB) dialects.DB { return faultHealing{d, f} }, func(f *faulty) {
		_, err := f.Get(f.Context(), 1)
		require.NoError(f, err)
		f.proxy.CutReplies()
		got, err := f.Get(f.Context(), 1)
		require.NoError(f, err)
		require.Equal(f, faultRow{ID: 1, Balance: 100, Version: 1}, got)
	})
}

// faultHealing ends the fault once a query has met it.
type faultHealing struct {
	dialects.DB
	f *faulty
}

func (h faultHealing) Conn(ctx context.Context) (dialects.Conn, error) {
	c, err := h.DB.Conn(ctx)
	if err != nil {
		h.f.proxy.Heal()
		return nil, err
	}
	return faultHealingConn{c, h.f}, nil
}

type faultHealingConn struct {
	dialects.Conn
	f *faulty
}

func (c faultHealingConn) Release(discard bool) {
	c.f.proxy.Heal()
	c.Conn.Release(discard)
}
