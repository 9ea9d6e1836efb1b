package occ_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ"
)

// stoppers are how each engine stops the statements that wait for a lock.
var stoppers = map[string]string{
	"postgres": "SELECT pg_cancel_backend(pid)::int FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
	"mariadb": "BEGIN NOT ATOMIC FOR p IN (SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()" +
		" AND info LIKE '%UPDATE%') DO KILL QUERY p.id; END FOR; END",
}

// TestTransactStopped: the server stops a commit that waits for a lock. Nothing of
// the unit is applied, and nothing is left open on the pool's only connection.
func TestTransactStopped(t *testing.T) {
	t.Parallel()
	eachUnit(t, 3, func(u unitSite) {
		text, ok := stoppers[u.db.Dialect().Name()]
		if !ok {
			u.Skip("nobody can stop it")
		}
		ctx := u.Context()
		rows := fill(u, u.accounts, 2)
		given := append([]Account(nil), rows...)
		one := &single{DB: dbTransport(u.T, u.db), free: make(chan dialects.Conn, 1)}
		db := occ.New(one, u.db.Dialect(), nil)
		u.Cleanup(func() { (<-one.free).(interface{ end() }).end() })
		accounts := newRepo[Account, int64](u, db, "accounts", nil)
		other := begun(u.T, u.db)
		defer other.Release(true)
		_, err := other.Exec(ctx, "UPDATE accounts SET owner = owner WHERE id = 1", nil)
		require.NoError(u, err)
		var done sync.WaitGroup
		done.Go(func() {
			err = db.Transact(ctx, func(tx *occ.Tx) error {
				_, err := accounts.In(tx).UpdateMany(ctx, rows, occ.AllOrNothing)
				return err
			})
		})
		awaitWaiter(u.T, u.db)
		u.exec(text)
		done.Wait()
		require.Error(u, err)
		require.NotErrorIs(u, err, occ.ErrConflict)
		require.NotErrorIs(u, err, occ.ErrExhausted)
		require.Equal(u, given, rows)
		require.NoError(u, other.Rollback(ctx))
		require.NoError(u, db.Transact(ctx, func(tx *occ.Tx) error { return accounts.In(tx).Touch(ctx, &rows[1]) }))
		require.Equal(u, map[int64]Account{0: given[0], 1: rows[1]}, all(u.T, u.accounts), "half of the unit was applied")
		free, cancel := context.WithTimeout(ctx, 20*time.Second)
		defer cancel()
		require.NoError(u, u.accounts.Update(free, &rows[0]), "a lock was left behind")
	})
}

// single is a transport that lends one connection again and again, unless it has
// to be discarded.
type single struct {
	dialects.DB
	free chan dialects.Conn
}

func (s *single) Conn(ctx context.Context) (dialects.Conn, error) {
	select {
	case c := <-s.free:
		return c, nil
	default:
	}
	c, err := s.DB.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if p, ok := c.(dialects.Pipeliner); ok {
		return singlePipe{singleConn{c, s}, p}, nil
	}
	return singleConn{c, s}, nil
}

type singleConn struct {
	dialects.Conn
	owner *single
}

func (c singleConn) end() { c.Conn.Release(true) }

func (c singleConn) Release(discard bool) {
	if discard {
		c.Conn.Release(true)
		return
	}
	c.owner.free <- c
}

type singlePipe struct {
	singleConn
	dialects.Pipeliner
}

func (c singlePipe) Release(discard bool) {
	if discard {
		c.Conn.Release(true)
		return
	}
	c.owner.free <- c
}
