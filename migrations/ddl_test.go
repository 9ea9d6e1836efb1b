package migrations_test

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/migrations"
)

// witness says what the server did for a step of a plan.
type witness struct {
	rig *rig
	// run runs statements, and returns whether the table was written, or read as a
	// whole, and the strongest lock on it.
	run func(statements ...string) (work dialects.SchemaWork, lock string, err error)
}

// postgresWitness listens to the server's debug messages: it tells when ALTER
// TABLE reads ("verifying") or writes ("rewriting") a table.
func postgresWitness(r *rig) *witness {
	config, err := pgx.ParseConfig(r.url)
	require.NoError(r, err)
	config.RuntimeParams["client_min_messages"] = "debug1"
	var mu sync.Mutex
	var said []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, n.Message)
	}
	db := stdlib.OpenDB(*config)
	r.Cleanup(func() { _ = db.Close() })
	const locks = `SELECT mode FROM pg_locks WHERE locktype = 'relation' AND relation = to_regclass('accounts') AND pid = pg_backend_pid()
		AND mode <> 'AccessShareLock' ORDER BY array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock'], mode) NULLS LAST LIMIT 1`
	return &witness{rig: r, run: func(statements ...string) (work dialects.SchemaWork, lock string, err error) {
		tx, err := db.BeginTx(r.Context(), nil)
		require.NoError(r, err)
		defer func() { _ = tx.Rollback() }()
		said = nil
		for _, s := range statements {
			if _, err := tx.ExecContext(r.Context(), s); err != nil {
				return "", "", err
			}
		}
		work = dialects.WorkInstant
		for _, message := range said {
			switch {
			case strings.HasPrefix(message, "verifying table"):
				work = dialects.WorkScan
			case strings.HasPrefix(message, "rewriting table"):
				work = dialects.WorkRewrite
			}
		}
		_ = tx.QueryRowContext(r.Context(), locks).Scan(&lock) // no row: no lock
		return work, lock, tx.Commit()
	}}
}

// mariadbWitness reads the statement: the server refuses an algorithm that it
// cannot keep to, so that what is written there is what happens.
func mariadbWitness(r *rig) *witness {
	algorithm := regexp.MustCompile(`ALGORITHM=(\w+)`)
	means := map[string]dialects.SchemaWork{"INSTANT": dialects.WorkInstant, "INPLACE": dialects.WorkOnline}
	return &witness{rig: r, run: func(statements ...string) (work dialects.SchemaWork, lock string, err error) {
		work = dialects.WorkInstant
		for _, s := range statements {
			if found := algorithm.FindStringSubmatch(s); found != nil {
				work = means[found[1]]
			} else if strings.HasPrefix(s, "ALTER TABLE") {
				work = dialects.WorkRewrite
			}
			if _, err := r.db.ExecContext(r.Context(), s); err != nil {
				return "", "", err
			}
		}
		return work, "", nil
	}}
}

// sqliteWitness compares the pages of the file: what changes the schema alone
// needs none for each row.
func sqliteWitness(r *rig) *witness {
	r.db.SetMaxOpenConns(1)
	return &witness{rig: r, run: func(statements ...string) (work dialects.SchemaWork, lock string, err error) {
		r.exec("PRAGMA wal_checkpoint(TRUNCATE)")
		for _, s := range statements {
			if _, err := r.db.ExecContext(r.Context(), s); err != nil {
				return "", "", err
			}
		}
		var busy, pages, done int64
		require.NoError(r, r.db.QueryRowContext(r.Context(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &done))
		if work = dialects.WorkInstant; pages > 20 {
			work = dialects.WorkRewrite
		}
		return work, "", nil
	}}
}

func (r *rig) witness() *witness {
	return map[string]func(*rig) *witness{"postgres": postgresWitness, "mariadb": mariadbWitness, "sqlite": sqliteWitness}[r.engine.name](r)
}

// follow does by hand what a plan says, and requires that the work and the lock
// of each step are what the plan said.
func (w *witness) follow(plan func() *migrations.Plan) (ids []string) {
	for {
		p := plan()
		steps := p.Tables[0].Steps
		if len(steps) == 0 {
			return ids
		}
		s := steps[0]
		require.NotContains(w.rig, ids, s.ID, "the catalog does not show it")
		ids = append(ids, s.ID)
		work, lock, err := w.run(s.SQL...)
		require.NoError(w.rig, err, s.SQL)
		if s.Work == dialects.WorkChunks {
			continue // as one statement, it is one
		}
		require.Equal(w.rig, s.Work, work, "%s: %v", s.ID, s.SQL)
		if w.rig.engine.name == "postgres" {
			says := strings.ToLower(strings.ReplaceAll(s.Lock, " ", "")) + "lock"
			if s.Lock == "none on the table" {
				says = ""
			}
			require.Equal(w.rig, says, strings.ToLower(lock), s.ID)
		}
	}
}

// What a plan says of its steps is what the server does: up, down, and up again.
func TestPlanIsTrue(t *testing.T) {
	t.Parallel()
	for name, table := range map[string]migrations.Table{"fresh": freshTable, "legacy": legacyTable} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(r *rig) {
				if name == "fresh" {
					r.fresh(20_000)
				} else {
					r.legacy(20_000)
				}
				w, m, tables := r.witness(), r.migrator(&migrations.Options{NoHistory: true}), []migrations.Table{table}
				for range 2 {
					ids := w.follow(func() *migrations.Plan {
						p, err := m.Plan(r.Context(), tables)
						require.NoError(r, err)
						return p
					})
					require.NotEmpty(r, ids)
					r.verified(table)
					r.exec("UPDATE accounts SET n = n + 1") // SQLite stores a new column in rows that are written later
					back := w.follow(func() *migrations.Plan {
						p, err := m.RevertPlan(r.Context(), tables, migrations.RevertOptions{DropColumn: name == "fresh"})
						require.NoError(r, err)
						return p
					})
					require.NotEmpty(r, back)
					if name == "fresh" {
						require.Equal(r, "drop-column", back[len(back)-1], "the guard goes first")
					}
				}
			})
		})
	}
}

// The forms that are never written: what they cost shows that the witnesses see
// it.
func TestDearForms(t *testing.T) {
	t.Parallel()
	rewrite, scan := dialects.WorkRewrite, dialects.WorkScan
	for _, c := range []struct {
		on, sql string
		work    dialects.SchemaWork
		refused uint16 // MariaDB's error
	}{
		{on: "postgres", sql: "ALTER TABLE accounts ADD COLUMN v bigint NOT NULL DEFAULT (random() * 10)::bigint", work: rewrite},
		{on: "postgres", sql: "ALTER TABLE accounts ADD COLUMN v bigint NOT NULL DEFAULT 1 CHECK (v > 0)", work: scan},
		{on: "postgres", sql: "ALTER TABLE accounts ALTER COLUMN lock_version SET NOT NULL", work: scan},
		{on: "postgres", sql: "ALTER TABLE accounts ALTER COLUMN lock_version TYPE bigint", work: rewrite},
		{on: "mariadb", sql: "ALTER TABLE accounts MODIFY lock_version BIGINT", work: rewrite},
		{on: "mariadb", sql: "ALTER TABLE accounts MODIFY lock_version BIGINT, ALGORITHM=INPLACE", refused: 1846},
		{on: "mariadb", sql: "ALTER TABLE accounts MODIFY lock_version INT NOT NULL DEFAULT 1, ALGORITHM=INSTANT", refused: 1845},
		{on: "mariadb", sql: "ALTER TABLE accounts ADD COLUMN v BIGINT, ALGORITHM=COPY, LOCK=NONE", refused: 1846},
		{on: "sqlite", sql: "ALTER TABLE accounts DROP COLUMN lock_version", work: rewrite},
	} {
		t.Run(c.on, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, engineNamed(c.on))
			r.legacy(20_000)
			r.exec("UPDATE accounts SET lock_version = 1 WHERE lock_version IS NULL")
			work, _, err := r.witness().run(c.sql)
			if c.refused != 0 {
				var refused *mysql.MySQLError
				require.ErrorAs(t, err, &refused)
				require.Equal(t, c.refused, refused.Number, "%v", err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.work, work)
		})
	}
}

// Updates stay HOT after apply, and do not with the version in an index, of which
// verify warns.
func TestUpdatesStayHOT(t *testing.T) {
	t.Parallel()
	for index, hot := range map[string]int64{
		"": 50, "(version)": 0, "(id) INCLUDE (version)": 0, "(id) WHERE version > 100": 0, "((version + 1))": 0,
	} {
		t.Run(index, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, engineNamed("postgres"))
			r.fresh(3)
			r.apply(freshTable)
			if index != "" {
				r.exec("CREATE INDEX ON accounts %s", index)
				_, noted := r.codes(freshTable)
				require.Contains(t, noted, "indexed")
			}
			tx, err := r.db.BeginTx(t.Context(), nil)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			for i := range 50 {
				_, err = tx.ExecContext(t.Context(), fmt.Sprintf("UPDATE accounts SET n = n + 1 WHERE id = %d", i%3+1))
				require.NoError(t, err)
			}
			var all, kept int64
			require.NoError(t, tx.QueryRowContext(t.Context(),
				"SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relid = 'accounts'::regclass").Scan(&all, &kept))
			require.Equal(t, []int64{50, hot}, []int64{all, kept})
		})
	}
}

// A view that shows the column keeps it: the guard goes, the error says why, and
// revert goes on when the view is gone.
func TestRevertUnderAView(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("postgres"))
	r.fresh(2)
	r.exec("CREATE VIEW before AS SELECT * FROM accounts")
	r.apply(freshTable)
	_, err := r.db.ExecContext(t.Context(), "SELECT version FROM before")
	require.Error(t, err, "a view does not gain the column")
	r.exec("CREATE VIEW after AS SELECT * FROM accounts")
	revert := func() error {
		return r.migrator(nil).Revert(t.Context(), []migrations.Table{freshTable}, migrations.RevertOptions{DropColumn: true})
	}
	require.ErrorContains(t, revert(), "2BP01")
	r.exec("UPDATE accounts SET n = 1")
	require.EqualValues(t, 2, r.int("SELECT SUM(version) FROM accounts"), "the guard is gone")
	r.exec("DROP VIEW after")
	require.NoError(t, revert())
}

// A column that was dropped past occmigrate leaves a guard that fails every write
// on MariaDB, and that PostgreSQL and SQLite do not let go. Apply mends it.
func TestColumnDroppedByHand(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(2)
		r.apply(freshTable)
		_, err := r.db.ExecContext(r.Context(), "ALTER TABLE accounts DROP COLUMN version")
		if r.engine.name != "mariadb" {
			require.Error(r, err)
			r.verified(freshTable)
			return
		}
		require.NoError(r, err)
		_, err = r.db.ExecContext(r.Context(), "UPDATE accounts SET n = 1")
		var unknown *mysql.MySQLError
		require.ErrorAs(r, err, &unknown)
		require.EqualValues(r, 1054, unknown.Number)
		r.apply(freshTable)
		r.verified(freshTable)
		r.exec("ALTER TABLE accounts DROP COLUMN version")
		require.NoError(r, r.migrator(nil).Revert(r.Context(), []migrations.Table{freshTable}, migrations.RevertOptions{}))
		r.exec("UPDATE accounts SET n = 1")
	})
}
