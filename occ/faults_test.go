package occ_test

import (
	"context"
	"database/sql"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
)

// What each operation of this package says when the reply to it is lost after
// the server carried it out. The errors themselves, code by code, are provoked
// in dialects/*/server_*_test.go.
//
//	lost reply to each kind of write          TestFaultsLostReply
//	lost reply to COMMIT of each kind of unit TestFaultsLostCommit
//	lost reply to a read: repeated            TestFaultsLostRead

type faultRow struct {
	ID      int64 `occ:"id,key"`
	Balance int64 `occ:"balance"`
	Version int64 `occ:"version,version"`
}

// faulty is a repository behind a proxy, on one connection: every statement of
// the test has been prepared on it.
type faulty struct {
	*testing.T
	*occ.Repository[faultRow, int64]
	db     *occ.DB
	direct *sql.DB
	proxy  *dbtest.Proxy
	seen   *observe.Counter
	armed  bool // see faultHook
}

// faultyEngines are the servers and transports: the transport through the
// proxy, and plain SQL to see the truth.
var faultyEngines = map[string]struct {
	dialect dialects.Dialect
	driver  string
	tcp     func(testing.TB) string
	open    func(t *testing.T, dsn string) dialects.DB
}{
	"postgres/pgxdb": {postgres.New(), "pgx", dbtest.PostgresTCP, func(t *testing.T, dsn string) dialects.DB {
		config, err := pgxpool.ParseConfig(dsn)
		require.NoError(t, err)
		config.MaxConns = 1
		config.ShouldPing = func(context.Context, pgxpool.ShouldPingParams) bool { return false }
		pool, err := pgxpool.NewWithConfig(t.Context(), config)
		require.NoError(t, err)
		t.Cleanup(pool.Close)
		return pgxdb.New(pool)
	}},
	"postgres/sqldb": {postgres.New(), "pgx", dbtest.PostgresTCP, func(t *testing.T, dsn string) dialects.DB {
		config, err := pgxpool.ParseConfig(dsn)
		require.NoError(t, err)
		pool := stdlib.OpenDB(*config.ConnConfig, stdlib.OptionShouldPing(func(context.Context, stdlib.ShouldPingParams) bool { return false }))
		pool.SetMaxOpenConns(1)
		t.Cleanup(func() { _ = pool.Close() })
		return sqldb.New(pool)
	}},
	"mariadb/sqldb": {mariadb.New(), "mysql", dbtest.MariaDBTCP, func(t *testing.T, dsn string) dialects.DB {
		config, err := mysql.ParseDSN(dsn)
		require.NoError(t, err)
		config.InterpolateParams = true // one message for each statement
		config.Logger = &mysql.NopLogger{}
		connector, err := mysql.NewConnector(config)
		require.NoError(t, err)
		pool := sql.OpenDB(connector)
		pool.SetMaxOpenConns(1)
		t.Cleanup(func() { _ = pool.Close() })
		return sqldb.New(pool)
	}},
}

// eachFaulty runs a test on every engine, with rows 1 to 3 at version 1.
func eachFaulty(t *testing.T, opts *occ.RepositoryOptions, wrap func(*faulty, dialects.DB) dialects.DB, test func(f *faulty)) {
	t.Helper()
	for name, engine := range faultyEngines {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := engine.tcp(t)
			f := &faulty{T: t, seen: new(observe.Counter), direct: dbtest.Open(t, engine.driver, dsn)}
			f.exec("CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL, version bigint NOT NULL)")
			f.exec("INSERT INTO accounts VALUES (1, 100, 1), (2, 100, 1), (3, 100, 1)")
			var far string
			f.proxy, far = dbtest.Through(t, dsn)
			f.db = occ.New(wrap(f, engine.open(t, far)), engine.dialect, &occ.Options{Observer: observe.Func(func(ctx context.Context, e observe.Event) { f.seen.Observe(ctx, e) })})
			var err error
			f.Repository, err = occ.NewRepository[faultRow, int64](f.db, "accounts", opts)
			require.NoError(t, err)
			test(f)
		})
	}
}

func (f *faulty) exec(text string) {
	f.Helper()
	_, err := f.direct.ExecContext(f.Context(), text)
	require.NoError(f, err)
}

// rows returns what the table holds under a key.
func (f *faulty) rows(id int64) (found []faultRow) {
	f.Helper()
	rows, err := f.direct.QueryContext(f.Context(), "SELECT id, balance, version FROM accounts ORDER BY id")
	require.NoError(f, err)
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var r faultRow
		require.NoError(f, rows.Scan(&r.ID, &r.Balance, &r.Version))
		if r.ID == id {
			found = append(found, r)
		}
	}
	require.NoError(f, rows.Err())
	return found
}

// faultyWrites are the ways to write, and what each makes of row 1 (the insert:
// of row 10), when it is carried out once.
var faultyWrites = map[string]struct {
	write func(f *faulty, a *faultRow, cut func()) error
	id    int64
	after []faultRow
}{
	"insert": {func(f *faulty, a *faultRow, cut func()) error {
		a.ID += 9
		defer func() { a.ID -= 9 }()
		cut()
		return f.Insert(f.Context(), a)
	}, 10, []faultRow{{10, 7, 1}}},
	"update": {func(f *faulty, a *faultRow, cut func()) error { cut(); return f.Update(f.Context(), a) }, 1, []faultRow{{1, 7, 2}}},
	"patch":  {func(f *faulty, a *faultRow, cut func()) error { cut(); return f.Patch(f.Context(), a, "balance") }, 1, []faultRow{{1, 7, 2}}},
	"touch":  {func(f *faulty, a *faultRow, cut func()) error { cut(); return f.Touch(f.Context(), a) }, 1, []faultRow{{1, 100, 2}}},
	"delete": {func(f *faulty, a *faultRow, cut func()) error { cut(); return f.Delete(f.Context(), a) }, 1, nil},
	"mutate": {func(f *faulty, a *faultRow, cut func()) error {
		_, err := f.Mutate(f.Context(), a.ID, func(a *faultRow) error { a.Balance += 10; cut(); return nil })
		return err
	}, 1, []faultRow{{1, 110, 2}}},
}

// ambiguousOnce requires that one attempt was made and that its outcome is said
// to be unknown, in every way that a program can ask.
func (f *faulty) ambiguousOnce(err error, op string, phase dialects.Phase) {
	f.Helper()
	var ambiguous *occ.AmbiguousError
	require.ErrorAs(f, err, &ambiguous)
	require.Equal(f, op, ambiguous.Op)
	require.Equal(f, phase.String(), ambiguous.Phase)
	for _, other := range []error{occ.ErrConflict, occ.ErrExhausted, occ.ErrUnavailable, occ.ErrGone, occ.ErrSuppressed, occ.ErrDuplicate} {
		require.NotErrorIs(f, err, other)
	}
	for kind, n := range map[observe.Kind]int64{
		observe.Attempt: 1, observe.Ambiguous: 1, observe.Retry: 0, observe.Conflict: 0, observe.Exhausted: 0, observe.Overwrite: 0,
	} {
		require.Equal(f, n, f.seen.Count(kind), kind.String())
	}
}

// faultPlain is the transport as it is.
func faultPlain(_ *faulty, d dialects.DB) dialects.DB { return d }

func TestFaultsLostReply(t *testing.T) {
	t.Parallel()
	for name, w := range faultyWrites {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachFaulty(t, nil, faultPlain, func(f *faulty) {
				spare := faultRow{ID: 2, Balance: 7, Version: 1}
				require.NoError(f, w.write(f, &spare, func() {}))
				f.seen = new(observe.Counter)
				mine := faultRow{ID: 1, Balance: 7, Version: 1}
				err := w.write(f, &mine, f.proxy.CutReplies)
				f.ambiguousOnce(err, name, dialects.Autocommit)
				require.Equal(f, faultRow{ID: 1, Balance: 7, Version: 1}, mine, "nothing is known, so nothing moves")
				require.Equal(f, w.after, f.rows(w.id), "applied once")

				f.proxy.Heal() // the broken connection must not come back
				_, err = f.Get(f.Context(), 3)
				require.NoError(f, err)
			})
		})
	}
}
