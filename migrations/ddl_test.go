package migrations_test

import (
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/migrations"
)

// What a plan says of its steps is what the server does: up, down, and up again.
func TestPlanIsTrue(t *testing.T) {
	t.Parallel()
	const rows = 20_000
	token, strict := freshTable, freshTable
	token.Kind, strict.Guard = dialects.Token, dialects.GuardStrict
	for _, c := range []struct {
		name   string
		table  migrations.Table
		setup  func(*rig)
		legacy bool
	}{
		{name: "fresh", table: freshTable, setup: func(r *rig) { r.fresh(rows) }},
		{name: "strict", table: strict, setup: func(r *rig) { r.fresh(rows) }},
		{name: "token", table: token, setup: func(r *rig) { r.fresh(rows) }},
		{name: "legacy", table: legacyTable, setup: func(r *rig) { r.legacy(rows) }, legacy: true},
		{name: "partitioned legacy", table: legacyTable, setup: func(r *rig) {
			if r.engine.name != "postgres" {
				r.Skip("migrations does not know partitions there")
			}
			r.exec("CREATE TABLE accounts (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, lock_version INT) PARTITION BY HASH (id)")
			r.exec("CREATE TABLE accounts_a PARTITION OF accounts FOR VALUES WITH (MODULUS 1, REMAINDER 0)")
			r.fill("accounts (id, n)", "g, 0", rows)
		}, legacy: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(r *rig) {
				c.setup(r)
				w, m, tables := r.witness(), r.migrator(&migrations.Options{NoHistory: true}), []migrations.Table{c.table}
				for range 2 {
					ids := w.follow(func() (*migrations.Plan, error) { return m.Plan(r.Context(), tables) })
					require.NotEmpty(r, ids)
					r.verified(c.table)
					write := "UPDATE accounts SET n = n + 1" // SQLite stores a new column in rows that are written later
					if c.table.Guard == dialects.GuardStrict {
						write += ", version = version + 1"
					}
					r.exec("%s", write)
					back := w.follow(func() (*migrations.Plan, error) {
						return m.RevertPlan(r.Context(), tables, migrations.RevertOptions{DropColumn: !c.legacy})
					})
					require.NotEmpty(r, back)
					if !c.legacy {
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
