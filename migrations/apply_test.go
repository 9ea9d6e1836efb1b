package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/migrations"
)

func TestFreshColumn(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(10)
		m, tables := r.migrator(nil), []migrations.Table{freshTable}
		plan, err := m.Plan(r.Context(), tables)
		require.NoError(r, err)
		require.Equal(r, migrations.Changes, plan.Verdict())
		for _, s := range plan.Tables[0].Steps {
			require.Equal(r, dialects.WorkInstant, s.Work, s.ID)
		}
		done := r.apply(freshTable)
		require.Len(r, done[0].Steps, len(plan.Tables[0].Steps))
		require.EqualValues(r, 10, r.int("SELECT SUM(version) FROM accounts"))
		require.Empty(r, r.apply(freshTable)[0].Steps, "a second time there is nothing to do")
		plan, err = m.Plan(r.Context(), tables)
		require.NoError(r, err)
		require.Equal(r, migrations.Nothing, plan.Verdict())
		r.verified(freshTable)
		require.EqualValues(r, 10, r.int("SELECT SUM(version) FROM accounts"), "the probe left no trace")
		r.guarded("version")
	})
}

// guarded tries what the guard enforce promises, on row 1 at version 1.
func (r *rig) guarded(column string) {
	r.Helper()
	at := func(id int) int64 { return r.int("SELECT %s FROM accounts WHERE id = %d", column, id) }
	start := at(1)
	r.exec("UPDATE accounts SET n = n + 1 WHERE id = 1")
	require.Equal(r, start+1, at(1), "a foreign write moves the version")
	r.exec("UPDATE accounts SET n = n + 1, %[1]s = %[1]s + 1 WHERE id = 1 AND %[1]s = %[2]d", column, start+1)
	require.Equal(r, start+2, at(1), "a versioned write is not moved twice")
	r.exec("UPDATE accounts SET n = n + 9, %[1]s = %[1]s + 9 WHERE id = 1", column)
	require.Equal(r, start+11, at(1), "a combined write moves by more than one")
	_, err := r.db.ExecContext(r.Context(), "UPDATE accounts SET "+column+" = "+column+" - 1 WHERE id = 1")
	require.Error(r, err, "a version never goes back")
	require.Equal(r, dialects.Rejected, r.dialect.Classify(err), "the toolkit knows that it was refused: %v", err)
	require.Equal(r, start+11, at(1))
	before := r.int("SELECT SUM(%s) FROM accounts", column)
	rows := r.int("SELECT COUNT(*) FROM accounts")
	r.exec("UPDATE accounts SET n = n + 1")
	require.Equal(r, before+rows, r.int("SELECT SUM(%s) FROM accounts", column), "each row of a write of many")
}

func TestLegacyColumn(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.legacy(5000)
		refused, noted := r.codes(legacyTable)
		require.Empty(r, refused)
		require.Contains(r, noted, "nullable")
		done := r.apply(legacyTable)
		require.EqualValues(r, 4000, done[0].Rows)
		require.Zero(r, r.int("SELECT COUNT(*) FROM accounts WHERE lock_version IS NULL"))
		require.EqualValues(r, 4000+3*1000, r.int("SELECT SUM(lock_version) FROM accounts"), "versions that were there stay")
		r.exec("INSERT INTO accounts (id, n) VALUES (6000, 0)")
		require.EqualValues(r, 1, r.int("SELECT lock_version FROM accounts WHERE id = 6000"))
		require.Empty(r, r.apply(legacyTable)[0].Steps)
		r.verified(legacyTable)
		r.guarded("lock_version")
	})
}

// Rails' lock_version, and the columns of JPA, begin at 0.
func TestDefaultOfExistingColumnIsKept(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.exec("CREATE TABLE accounts (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL, lock_version INT DEFAULT 0)")
		r.exec("INSERT INTO accounts VALUES (1, 0, NULL), (2, 0, 0), (3, 0, 7)")
		r.apply(legacyTable)
		require.EqualValues(r, 7, r.int("SELECT SUM(lock_version) FROM accounts"))
		r.exec("INSERT INTO accounts (id, n) VALUES (4, 0)")
		require.Zero(r, r.int("SELECT lock_version FROM accounts WHERE id = 4"))
		r.verified(legacyTable)
		r.guarded("lock_version")
	})
}

func TestStrictAndNone(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(2)
		strict, none := freshTable, freshTable
		strict.Guard, none.Guard = dialects.GuardStrict, dialects.GuardNone
		r.apply(strict)
		r.verified(strict)
		_, err := r.db.ExecContext(r.Context(), "UPDATE accounts SET n = n + 1")
		require.Error(r, err)
		require.Equal(r, dialects.Rejected, r.dialect.Classify(err))
		r.exec("UPDATE accounts SET n = n + 1, version = version + 1 WHERE id = 1")
		r.exec("UPDATE accounts SET n = n + 1, version = version + 5 WHERE id = 1")
		require.EqualValues(r, 7, r.int("SELECT version FROM accounts WHERE id = 1"))

		r.apply(freshTable) // strict becomes enforce
		r.verified(freshTable)
		r.exec("UPDATE accounts SET n = n + 1 WHERE id = 1")
		require.EqualValues(r, 8, r.int("SELECT version FROM accounts WHERE id = 1"))

		r.apply(none)
		r.verified(none)
		r.exec("UPDATE accounts SET n = n + 1 WHERE id = 1")
		require.EqualValues(r, 8, r.int("SELECT version FROM accounts WHERE id = 1"))
		require.Empty(r, r.apply(none)[0].Steps)
	})
}

func TestTokenColumn(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(3)
		token := freshTable
		token.Kind = dialects.Token
		r.apply(token)
		require.Empty(r, r.apply(token)[0].Steps)
		r.verified(token)
		r.exec("INSERT INTO accounts (id, n) VALUES (7, 0), (8, 0)")
		require.EqualValues(r, 2, r.int("SELECT COUNT(DISTINCT version) FROM accounts WHERE id > 6"), "new rows have tokens of their own")
		r.exec("UPDATE accounts SET n = n + 1")
		require.EqualValues(r, 5, r.int("SELECT COUNT(DISTINCT version) FROM accounts"), "and so has every row that was written")
		require.NoError(r, r.migrator(nil).Revert(r.Context(), []migrations.Table{token}, migrations.RevertOptions{}))
	})
}

func TestCompositeKeyAndSeveralTables(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.exec("CREATE TABLE details (shop VARCHAR(20) NOT NULL, no BIGINT NOT NULL, sub BIGINT NOT NULL, version BIGINT, PRIMARY KEY (shop, no, sub))")
		r.fill("details (shop, no, sub)", "CASE g % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b''c' ELSE 'd' END, g % 40, g", 5000)
		r.fresh(3)
		done := r.apply(migrations.Table{Name: "details"}, freshTable)
		require.Len(r, done, 2)
		require.EqualValues(r, 5000, done[0].Rows)
		require.Zero(r, r.int("SELECT COUNT(*) FROM details WHERE version IS NULL"))
		r.verified(migrations.Table{Name: "details"})
		r.verified(freshTable)
	})
}

func TestHostileNames(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		quote := "\"%s\""
		if r.engine.name == "mariadb" {
			quote = "`%s`"
		}
		table := migrations.Table{Name: `or'der; DROP`, Column: `ver sion$occkit$`}
		r.exec("CREATE TABLE "+quote+" (id BIGINT NOT NULL PRIMARY KEY)", table.Name)
		r.exec("INSERT INTO "+quote+" VALUES (1)", table.Name)
		r.apply(table)
		require.Empty(r, r.apply(table)[0].Steps)
		r.verified(table)
		require.NoError(r, r.migrator(nil).Revert(r.Context(), []migrations.Table{table}, migrations.RevertOptions{DropColumn: true}))
	})
}

func TestRevert(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(3)
		r.apply(freshTable)
		r.exec("UPDATE accounts SET n = 1, version = 40 WHERE id = 1")
		m, tables := r.migrator(nil), []migrations.Table{freshTable}

		// By default the versions stay, and no trigger is left.
		require.NoError(r, m.Revert(r.Context(), tables, migrations.RevertOptions{}))
		r.exec("UPDATE accounts SET n = 2")
		require.EqualValues(r, 40, r.int("SELECT MAX(version) FROM accounts"))
		require.NoError(r, m.Revert(r.Context(), tables, migrations.RevertOptions{}), "twice")

		drop := migrations.RevertOptions{DropColumn: true}
		require.ErrorIs(r, m.Revert(r.Context(), tables, drop), migrations.ErrVersionsInUse)
		drop.Force = true
		require.NoError(r, m.Revert(r.Context(), tables, drop))
		r.exec("UPDATE accounts SET n = 3")
		_, err := r.db.ExecContext(r.Context(), "SELECT version FROM accounts")
		require.Error(r, err, "the column is gone")

		// No version comes back.
		r.apply(freshTable)
		require.Greater(r, r.int("SELECT MIN(version) FROM accounts"), int64(40))
		r.exec("INSERT INTO accounts (id, n) VALUES (9, 0)")
		require.Greater(r, r.int("SELECT version FROM accounts WHERE id = 9"), int64(40))
		r.verified(freshTable)
	})
}
