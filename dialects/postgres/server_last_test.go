package postgres_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/hotkey"
)

// locking is a client whose Mutate locks the row first, so that its write is the last
// statement of a transaction and may travel with COMMIT.
func (s *scene) locking(transport dialects.DB) *client {
	s.Helper()
	return s.clientOf("accounts", &occ.Options{Contention: hotkey.Policy{Mode: hotkey.Lock}}, transport)
}

func (c *client) mutate() (account, error) {
	return c.Mutate(c.s.Context(), 1, func(a *account) error { a.Balance += 10; return nil })
}

// A last write fails by itself or at COMMIT, once or for good, and its outcome is as
// definite as that of any other.
func TestServerLastWriteFails(t *testing.T) {
	t.Parallel()
	whens := map[string]string{
		"statement": "TRIGGER meddle BEFORE UPDATE ON accounts",
		"commit":    "CONSTRAINT TRIGGER meddle AFTER UPDATE ON accounts DEFERRABLE INITIALLY DEFERRED",
	}
	for when, trigger := range whens {
		for _, code := range []string{"unique_violation", "serialization_failure"} {
			t.Run(when+"/"+code, func(t *testing.T) {
				t.Parallel()
				onBoth(t, func(s *scene) {
					s.exec("CREATE SEQUENCE tries")
					s.exec("CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN " +
						"IF nextval('tries') = 1 THEN RAISE EXCEPTION USING ERRCODE = '" + code + "'; END IF; RETURN NEW; END $$")
					s.exec("CREATE " + trigger + " FOR EACH ROW EXECUTE FUNCTION meddle()")
					c := s.locking(s.open(s.T, s.dsn))
					got, err := c.mutate()
					want := account{ID: 1, Balance: 110, Version: 2}
					if code == "unique_violation" {
						require.ErrorIs(s, err, occ.ErrDuplicate)
						c.attempts(1)
						s.holds(servertest.Held(1))
						got, err = c.mutate()
					}
					require.NoError(s, err, "the connection is sound")
					require.Equal(s, want, got)
					c.attempts(2)
					s.holds(want)
				})
			})
		}
	}
}

// A last write that is swallowed is told from one that is not.
func TestServerLastWriteSwallowed(t *testing.T) {
	t.Parallel()
	onBoth(t, func(s *scene) {
		s.trigger("BEFORE UPDATE ON accounts", "RETURN NULL;")
		c := s.locking(s.open(s.T, s.dsn))
		_, err := c.mutate()
		servertest.Refused(s, err, occ.ErrSuppressed)
		c.attempts(1)
		s.holds(servertest.Held(1))
	})
}

// Where the last write travels with COMMIT, nobody knows what became of it when the
// reply is lost, and it is not sent again.
func TestServerLastWriteLost(t *testing.T) {
	t.Parallel()
	onBothRemote(t, func(r *remote) {
		r.trigger("BEFORE UPDATE ON accounts", "PERFORM pg_advisory_xact_lock(7); RETURN NEW;")
		transport := r.open(r.T, r.far)
		r.warm(transport)
		conn, err := transport.Conn(r.Context())
		require.NoError(r, err)
		_, pipelines := conn.(dialects.Pipeliner)
		conn.Release(false)
		if !pipelines {
			return // a COMMIT of its own was not sent: the transaction runs again
		}
		c := r.locking(transport)
		other := r.hold("SELECT pg_advisory_xact_lock(7)")
		done := servertest.Async(func() error { _, err := c.mutate(); return err })
		other.waiter()
		r.proxy.CutReplies()
		other.rollback()
		err = <-done
		servertest.Ambiguous(r, err, dialects.Autocommit)
		servertest.Classified(r, postgres.New(), err, dialects.Lost, dialects.Autocommit, dialects.Ambiguous)
		c.attempts(1)
		r.once(account{ID: 1, Balance: 110, Version: 2})
	})
}
