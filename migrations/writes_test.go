package migrations_test

import (
	"database/sql"
	"errors"
	"slices"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	modernc "modernc.org/sqlite"

	"github.com/occkit/occkit/dialects"
)

// written is a way to write a row, on a table that apply has prepared, and what
// becomes of row 1, which is at version 1.
type written struct {
	name string
	on   []string // engines; nil: all
	// before comes before apply, do after it, on one connection.
	before, do []string
	// affected is what the last statement reports.
	affected, version int64
}

func writes() []written {
	pg, maria, lite := []string{"postgres"}, []string{"mariadb"}, []string{"sqlite"}
	standard := []string{"postgres", "sqlite"}
	owned := func(reference string) []string {
		return []string{
			"CREATE TABLE owners (id BIGINT NOT NULL PRIMARY KEY)", "ALTER TABLE accounts ADD COLUMN owner BIGINT" + reference,
			"INSERT INTO owners VALUES (7)", "UPDATE accounts SET owner = 7 WHERE id = 1",
		}
	}
	orphan := []string{"DELETE FROM owners"}
	first := func(does string) string {
		return "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.version := " + does + "; RETURN NEW; END'"
	}
	const before = "CREATE TRIGGER accounts_first BEFORE UPDATE ON accounts FOR EACH ROW EXECUTE FUNCTION f()"
	return []written{
		{name: "nothing changes", do: []string{"UPDATE accounts SET n = n WHERE id = 1"}, affected: 1, version: 2},
		{name: "stale", do: []string{"UPDATE accounts SET n = 1, version = version + 1 WHERE id = 1 AND version = 7"}, affected: 0, version: 1},
		{name: "many rows", do: []string{"UPDATE accounts SET n = 1"}, affected: 3, version: 2},
		{name: "upsert", on: standard, do: []string{
			"INSERT INTO accounts (id, n) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET n = 8",
		}, affected: 1, version: 2},
		{name: "upsert of a versioned writer", on: standard, do: []string{
			"INSERT INTO accounts (id, n) VALUES (1, 7) ON CONFLICT (id) DO UPDATE SET n = 8, version = accounts.version + 1",
		}, affected: 1, version: 2},
		{name: "upsert", on: maria, do: []string{
			"INSERT INTO accounts (id, n) VALUES (1, 7) ON DUPLICATE KEY UPDATE n = 8",
		}, affected: 2, version: 2},
		{name: "merge", on: pg, do: []string{
			"MERGE INTO accounts a USING (SELECT 1 AS id) s ON a.id = s.id WHEN MATCHED THEN UPDATE SET n = 8",
		}, affected: 1, version: 2},
		{name: "join", on: standard, do: []string{
			"UPDATE accounts SET n = 8 FROM (SELECT 1 AS id) s WHERE accounts.id = s.id",
		}, affected: 1, version: 2},
		{name: "join", on: maria, do: []string{
			"UPDATE accounts a JOIN (SELECT 1 AS id) s ON a.id = s.id SET a.n = 8",
		}, affected: 1, version: 2},
		// The guard is the last trigger, and judges what the others made of a row.
		{name: "a trigger undoes a versioned write", on: pg, do: []string{
			first("OLD.version"), before, "UPDATE accounts SET n = 1, version = version + 1 WHERE id = 1",
		}, affected: 1, version: 2},
		{name: "a trigger moves the version", on: pg, do: []string{
			first("OLD.version + 4"), before, "UPDATE accounts SET n = 1 WHERE id = 1",
		}, affected: 1, version: 5},
		// While one guard replaces another.
		{name: "two guards", on: pg, do: []string{
			"CREATE TRIGGER zz_occkit_version_v2 BEFORE UPDATE ON accounts FOR EACH ROW WHEN (NEW.version <= OLD.version)" +
				" EXECUTE FUNCTION occkit_enforce_counter_version_v1()", "UPDATE accounts SET n = 1 WHERE id = 1",
		}, affected: 1, version: 2},
		{name: "two guards", on: maria, do: []string{
			"CREATE TRIGGER accounts_occkit_version_v2 BEFORE UPDATE ON accounts FOR EACH ROW" +
				" BEGIN IF NEW.version = OLD.version THEN SET NEW.version = OLD.version + 1; END IF; END",
			"UPDATE accounts SET n = 1 WHERE id = 1",
		}, affected: 1, version: 2},
		// Types that cannot be compared, and columns that are computed later.
		{name: "json and a generated column", on: pg, before: []string{
			"ALTER TABLE accounts ADD COLUMN doc json DEFAULT '{}', ADD COLUMN twice bigint GENERATED ALWAYS AS (n * 2) STORED",
		}, do: []string{"UPDATE accounts SET n = 4, doc = '{\"a\": 1}' WHERE id = 1"}, affected: 1, version: 2},
		{name: "logical replication", on: pg, do: []string{
			"SET session_replication_role = replica", "UPDATE accounts SET n = 1 WHERE id = 1",
		}, affected: 1, version: 1},
		{name: "bypass", on: pg, do: []string{
			"BEGIN; SET LOCAL occkit.bypass = 'on'; UPDATE accounts SET n = 1; COMMIT", "UPDATE accounts SET n = 2 WHERE id = 1",
		}, affected: 1, version: 2},
		{name: "bypass", on: maria, do: []string{
			"SET @occkit_bypass = 1", "UPDATE accounts SET n = 1", "SET @occkit_bypass = NULL", "UPDATE accounts SET n = 2 WHERE id = 1",
		}, affected: 1, version: 2},
		{name: "foreign key", on: standard, before: owned(" REFERENCES owners ON DELETE SET NULL"), do: orphan, affected: 1, version: 2},
		// What no trigger on UPDATE sees, as the package's documentation says.
		{name: "foreign key", on: maria, before: owned(", ADD FOREIGN KEY (owner) REFERENCES owners (id) ON DELETE SET NULL"), do: orphan, affected: 1, version: 1},
		{name: "delete and insert", do: []string{
			"UPDATE accounts SET n = 1", "DELETE FROM accounts WHERE id = 1", "INSERT INTO accounts (id, n) VALUES (1, 5)",
		}, affected: 1, version: 1},
		{name: "replace", on: maria, do: []string{"UPDATE accounts SET n = 1", "REPLACE INTO accounts (id, n) VALUES (1, 5)"}, affected: 2, version: 1},
		{name: "replace", on: lite, do: []string{"UPDATE accounts SET n = 1", "REPLACE INTO accounts (id, n) VALUES (1, 5)"}, affected: 1, version: 1},
	}
}

func TestWrites(t *testing.T) {
	t.Parallel()
	for _, w := range writes() {
		for _, e := range engines() {
			if w.on != nil && !slices.Contains(w.on, e.name) {
				continue
			}
			t.Run(w.name+"/"+e.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, e)
				r.db.SetMaxOpenConns(1) // settings are the session's
				r.fresh(3)
				for _, s := range w.before {
					r.exec("%s", s)
				}
				r.apply(freshTable)
				var last sql.Result
				for _, s := range w.do {
					var err error
					last, err = r.db.ExecContext(t.Context(), s)
					require.NoError(t, err, s)
				}
				n, err := last.RowsAffected()
				require.NoError(t, err)
				require.Equal(t, w.affected, n, "rows affected")
				require.Equal(t, w.version, r.int("SELECT version FROM accounts WHERE id = 1"))
			})
		}
	}
}

// RETURNING has the new version, but for foreign writes on SQLite, whose trigger
// comes after it.
func TestReturning(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		if r.engine.name == "mariadb" {
			r.Skip("it has no UPDATE ... RETURNING")
		}
		r.fresh(1)
		r.apply(freshTable)
		foreign := map[string]int64{"postgres": 2, "sqlite": 1}[r.engine.name]
		require.Equal(r, foreign, r.int("UPDATE accounts SET n = 1 RETURNING version"))
		require.EqualValues(r, 3, r.int("UPDATE accounts SET n = 2, version = version + 1 RETURNING version"))
		require.EqualValues(r, 3, r.int("SELECT version FROM accounts"))
	})
}

// A write that the guard refuses is known by its code.
func TestRefusedWriteIsNamed(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(1)
		r.apply(freshTable)
		_, err := r.db.ExecContext(r.Context(), "UPDATE accounts SET version = 0 WHERE id = 1")
		var pg *pgconn.PgError
		var maria *mysql.MySQLError
		var lite *modernc.Error
		switch {
		case errors.As(err, &pg):
			require.Equal(r, [3]string{"OCV01", "accounts", "version"}, [3]string{pg.Code, pg.TableName, pg.ColumnName})
			require.Equal(r, r.text("SELECT current_schema()"), pg.SchemaName)
			require.Contains(r, pg.Hint, "read it again")
		case errors.As(err, &maria):
			require.EqualValues(r, 31001, maria.Number)
			require.Equal(r, "45000", string(maria.SQLState[:]))
		case errors.As(err, &lite):
			require.Equal(r, 1811, lite.Code(), "SQLITE_CONSTRAINT_TRIGGER")
		}
		require.ErrorContains(r, err, "occkit: ")
	})
}

// A role that may write some columns alone is seen by the guard, and cannot get
// past it.
func TestWriterNeedsNoPrivileges(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("postgres"))
	r.fresh(1)
	r.apply(freshTable)
	r.exec("REVOKE ALL ON FUNCTION occkit_enforce_counter_version_v1() FROM PUBLIC")
	role := r.role()
	r.exec("GRANT SELECT, UPDATE (n) ON accounts TO %s", role)
	r.db.SetMaxOpenConns(1)
	r.exec("SET ROLE %s", role)
	r.exec("UPDATE accounts SET n = 1")
	require.EqualValues(t, 2, r.int("SELECT version FROM accounts"))
	for _, s := range []string{
		"UPDATE accounts SET n = 2, version = version + 1", "ALTER TABLE accounts DISABLE TRIGGER zz_occkit_version_v1", "SET session_replication_role = replica",
	} {
		_, err := r.db.ExecContext(t.Context(), s)
		var pg *pgconn.PgError
		require.ErrorAs(t, err, &pg, s)
		require.Equal(t, "42501", pg.Code, s)
	}
}

// The condition of PostgreSQL's trigger keeps versioned writes out of its
// function.
func TestVersionedWritesPayNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("postgres"))
	r.fresh(5)
	r.apply(freshTable)
	tx, err := r.db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	defer func() { _ = tx.Rollback() }()
	for _, s := range []string{"SET LOCAL track_functions = 'all'", "UPDATE accounts SET version = version + 1", "UPDATE accounts SET n = 1 WHERE id = 1"} {
		_, err = tx.ExecContext(t.Context(), s)
		require.NoError(t, err)
	}
	var calls int64
	require.NoError(t, tx.QueryRowContext(t.Context(), "SELECT calls FROM pg_stat_xact_user_functions").Scan(&calls))
	require.EqualValues(t, 1, calls)
}

// What is advised to who has a trigger on SQLite that updates the row again: let
// it set the version too, and choose the guard none.
func TestTriggerThatSetsTheVersionToo(t *testing.T) {
	t.Parallel()
	for _, recursive := range []string{"ON", "OFF"} {
		t.Run(recursive, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, engineNamed("sqlite"))
			r.db.SetMaxOpenConns(1)
			r.exec("PRAGMA recursive_triggers = %s", recursive)
			r.fresh(1)
			r.exec("ALTER TABLE accounts ADD COLUMN touched INTEGER NOT NULL DEFAULT 0")
			none := freshTable
			none.Guard = dialects.GuardNone
			r.apply(none)
			r.exec("CREATE TRIGGER touch AFTER UPDATE ON accounts WHEN NEW.touched IS OLD.touched" +
				" BEGIN UPDATE accounts SET version = OLD.version + 1, touched = OLD.touched + 1 WHERE rowid = NEW.rowid; END")
			r.verified(none)
			r.exec("UPDATE accounts SET n = 1")
			require.EqualValues(t, 2, r.int("SELECT version FROM accounts"))
			require.EqualValues(t, 3, r.int("UPDATE accounts SET n = 2, version = version + 1 WHERE version = 2 RETURNING version"))
			require.EqualValues(t, 3, r.int("SELECT version FROM accounts"))
			refused, _ := r.codes(freshTable)
			require.Equal(t, []string{"trigger-writes"}, refused)
		})
	}
}
