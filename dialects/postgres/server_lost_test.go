package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/dialecttest/servertest"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/occ"
)

var lostRows = []row{
	{"finding 1: reply to COMMIT lost, which pgx calls safe to retry", TestServerLostReplyToCommit},
	{"finding 1: reply to an UPDATE lost, prepared protocol", TestServerLostReplyToUpdate},
	{"finding 1: reply to an UPDATE lost, simple protocol", TestServerLostReplyToSimpleUpdate},
	{"finding 1: database/sql's three executions", TestServerLostReplyToExec},
	{"finding 2: a lost reply is no conflict", TestServerLostReplyToUpdate},
	{"context done during COMMIT, black hole", TestServerBlackholeAtCommit},
	{"context done during an autocommit write, black hole", TestServerBlackholeAtWrite},
	{"context done while connecting: nothing was sent", TestServerBlackholeAtConnect},
}

// remote is a scene whose clients reach the server through a proxy.
type remote struct {
	*scene
	proxy *dbtest.Proxy
	far   string
}

func onBothRemote(t *testing.T, test func(r *remote)) {
	t.Helper()
	for name, open := range openers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, dbtest.PostgresTCP(t), open)
			// A sequence counts statements: it fires without rows as well, and
			// keeps its count when the statement is rolled back.
			s.exec("CREATE SEQUENCE sent")
			s.exec("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM nextval('sent'); RETURN NULL; END $$")
			s.exec("CREATE TRIGGER note BEFORE UPDATE ON accounts FOR EACH STATEMENT EXECUTE FUNCTION note()")
			r := &remote{scene: s}
			r.proxy, r.far = dbtest.Through(t, s.dsn)
			test(r)
		})
	}
}

// warm opens three connections and prepares the update on each, so that a layer
// that repeats a statement finds a connection to do so.
func (r *remote) warm(transport dialects.DB) {
	r.Helper()
	c := r.clientOf("accounts", &occ.Options{}, transport)
	conns := make([]dialects.Conn, 3)
	for i := range conns {
		var err error
		conns[i], err = transport.Conn(r.Context())
		require.NoError(r, err)
	}
	for _, conn := range conns {
		repo := c.In(occ.Join(conn))
		other, err := repo.Get(r.Context(), 2)
		require.NoError(r, err)
		require.NoError(r, repo.Update(r.Context(), &other))
		conn.Release(false)
	}
	r.exec("SELECT setval('sent', 1, false)")
}

// once requires that the server got one update and carried it out.
func (r *remote) once(want account) {
	r.Helper()
	r.proxy.Heal()
	r.holds(want)
	require.Equal(r, 1, value[int](r.scene, "SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int FROM sent"), "statements sent")
}

func TestServerLostReplyToCommit(t *testing.T) {
	t.Parallel()
	onBothRemote(t, func(r *remote) {
		transport := r.open(r.T, r.far)
		r.warm(transport)
		c, mine := r.clientOf("accounts", &occ.Options{}, servertest.BeforeCommit{DB: transport, Do: r.proxy.CutReplies}), account{ID: 1, Balance: 7}
		err := c.Overwrite(r.Context(), &mine, "test")
		servertest.Ambiguous(r, err, dialects.Commit)
		servertest.Classified(r, postgres.New(), c.attempts(1)[0], dialects.Lost, dialects.Commit, dialects.Ambiguous)
		require.Equal(r, account{ID: 1, Balance: 7}, mine)
		r.once(account{ID: 1, Balance: 7, Version: 2})
		r.Logf("pgx calls it safe to retry: %v (%v)", pgconn.SafeToRetry(err), err)
	})
}

// loses runs a write behind a lock, so that it has reached the server for sure
// when its reply is cut.
func (r *remote) loses(params []string, write func(c *client) error) {
	r.Helper()
	transport := r.open(r.T, r.far, params...)
	r.warm(transport)
	c := r.clientOf("accounts", &occ.Options{}, transport)
	other := r.hold("SELECT 1 FROM accounts WHERE id = 1 FOR UPDATE")
	done := servertest.Async(func() error { return write(c) })
	other.waiter()
	r.proxy.CutReplies()
	other.rollback()
	err := <-done
	servertest.Ambiguous(r, err, dialects.Autocommit)
	servertest.Classified(r, postgres.New(), err, dialects.Lost, dialects.Autocommit, dialects.Ambiguous)
	r.Logf("pgx calls it safe to retry: %v (%v)", pgconn.SafeToRetry(err), err)
}

func TestServerLostReplyToUpdate(t *testing.T) {
	t.Parallel()
	onBothRemote(t, func(r *remote) {
		mine := account{ID: 1, Balance: 7, Version: 1}
		r.loses(nil, func(c *client) error {
			defer c.attempts(1)
			return c.Update(r.Context(), &mine)
		})
		require.Equal(r, account{ID: 1, Balance: 7, Version: 1}, mine)
		r.once(account{ID: 1, Balance: 7, Version: 2})
	})
}

func TestServerLostReplyToSimpleUpdate(t *testing.T) {
	t.Parallel()
	onBothRemote(t, func(r *remote) {
		r.loses([]string{"exec_mode", "simple"}, func(c *client) error {
			defer c.attempts(1)
			_, err := c.Mutate(r.Context(), 1, func(a *account) error { a.Balance += 10; return nil })
			return err
		})
		r.once(account{ID: 1, Balance: 110, Version: 2})
	})
}

// A statement without arguments and without a version predicate would show
// every execution in the row.
func TestServerLostReplyToExec(t *testing.T) {
	t.Parallel()
	onBothRemote(t, func(r *remote) {
		r.loses(nil, func(c *client) error {
			return c.db.Exec(r.Context(), "UPDATE accounts SET balance = balance + 1, version = version + 1 WHERE id = 1")
		})
		r.once(account{ID: 1, Balance: 101, Version: 2})
	})
}

func TestServerBlackholeAtCommit(t *testing.T) {
	t.Parallel()
	onBothRemote(t, func(r *remote) {
		transport := r.open(r.T, r.far, "application_name", "swallowed")
		opts := &occ.Options{CommitTimeout: 100 * time.Millisecond}
		c, mine := r.clientOf("accounts", opts, servertest.BeforeCommit{DB: transport, Do: r.proxy.Blackhole}), account{ID: 1, Balance: 7}
		start := time.Now()
		err := c.Overwrite(r.Context(), &mine, "test")
		require.Less(r, time.Since(start), 3*time.Second, "the caller's context has no end; CommitTimeout has")
		servertest.Ambiguous(r, err, dialects.Commit)
		c.attempts(1)
		r.holds(servertest.Held(1)) // and yet it is on its way:
		r.proxy.Heal()
		r.until("SELECT (count(*) = 0)::int FROM pg_stat_activity WHERE application_name = 'swallowed' AND datname = current_database()")
		got := value[int](r.scene, "SELECT version FROM accounts WHERE id = 1")
		require.Contains(r, []int{1, 2}, got)
		r.Logf("the late COMMIT was applied: %v", got == 2)
	})
}

func TestServerBlackholeAtWrite(t *testing.T) {
	t.Parallel()
	onBothRemote(t, func(r *remote) {
		transport := r.open(r.T, r.far)
		r.warm(transport)
		c, mine := r.clientOf("accounts", &occ.Options{}, transport), servertest.Held(1)
		first := servertest.Held(2)
		first.Version = value[int64](r.scene, "SELECT version FROM accounts WHERE id = 2")
		require.NoError(r, c.Touch(r.Context(), &first), "a repository's first write is preceded by a question")
		c.errs = nil
		r.proxy.Blackhole()
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		start := time.Now()
		err := c.Update(ctx, &mine)
		require.Less(r, time.Since(start), 3*time.Second)
		servertest.Ambiguous(r, err, dialects.Autocommit)
		require.ErrorIs(r, err, context.DeadlineExceeded)
		c.attempts(1)
		require.Equal(r, servertest.Held(1), mine)
	})
}

func TestServerBlackholeAtConnect(t *testing.T) {
	t.Parallel()
	onBothRemote(t, func(r *remote) {
		c, mine := r.clientOf("accounts", &occ.Options{}, r.open(r.T, r.far)), servertest.Held(1)
		r.proxy.Blackhole()
		ctx, cancel := context.WithTimeout(r.Context(), 100*time.Millisecond)
		defer cancel()
		err := c.Update(ctx, &mine)
		require.ErrorIs(r, err, context.DeadlineExceeded)
		require.NotErrorIs(r, err, occ.ErrAmbiguous)
		r.proxy.Heal()
		require.NoError(r, c.Update(r.Context(), &mine))
	})
}
