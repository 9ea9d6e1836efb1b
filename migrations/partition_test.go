package migrations_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/migrations"
)

func TestPartitionedTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("postgres"))
	r.exec("CREATE TABLE accounts (id BIGINT NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (id)) PARTITION BY RANGE (id)")
	r.exec("CREATE TABLE accounts_a PARTITION OF accounts FOR VALUES FROM (0) TO (100)")
	r.exec("CREATE TABLE accounts_b PARTITION OF accounts FOR VALUES FROM (100) TO (200)")
	r.exec("INSERT INTO accounts SELECT g, 0 FROM generate_series(1, 150) g")
	r.apply(freshTable)
	require.Empty(t, r.apply(freshTable)[0].Steps)
	r.verified(freshTable)
	r.guarded("version")
	// Moving a row between partitions is an update too.
	was := r.int("SELECT version FROM accounts WHERE id = 2")
	r.exec("UPDATE accounts SET id = 160 WHERE id = 2")
	require.Equal(t, was+1, r.int("SELECT version FROM accounts_b WHERE id = 160"))
	// A partition that is added later has the guard.
	r.exec("CREATE TABLE accounts_c PARTITION OF accounts FOR VALUES FROM (200) TO (300)")
	r.exec("INSERT INTO accounts VALUES (250, 0)")
	r.exec("UPDATE accounts SET n = 1 WHERE id = 250")
	require.EqualValues(t, 2, r.int("SELECT version FROM accounts WHERE id = 250"))
	require.NoError(t, r.migrator(nil).Revert(t.Context(), []migrations.Table{freshTable}, migrations.RevertOptions{DropColumn: true, Force: true}))
}

// A legacy column of a partitioned table is filled through the parent.
func TestPartitionedLegacyTable(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("postgres"))
	r.exec("CREATE TABLE accounts (id BIGINT NOT NULL, n BIGINT NOT NULL, lock_version BIGINT, PRIMARY KEY (id)) PARTITION BY HASH (id)")
	r.exec("CREATE TABLE accounts_a PARTITION OF accounts FOR VALUES WITH (MODULUS 2, REMAINDER 0)")
	r.exec("CREATE TABLE accounts_b PARTITION OF accounts FOR VALUES WITH (MODULUS 2, REMAINDER 1)")
	r.exec("INSERT INTO accounts SELECT g, 0 FROM generate_series(1, 3000) g")
	require.EqualValues(t, 3000, r.apply(legacyTable)[0].Rows)
	r.verified(legacyTable)
	r.guarded("lock_version")
}

// Tables without rowid, and STRICT ones, have other rules.
func TestOddSQLiteTables(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"WITHOUT ROWID", "STRICT", "STRICT, WITHOUT ROWID"} {
		for _, legacy := range []bool{false, true} {
			t.Run(suffix, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, engineNamed("sqlite"))
				table, column := freshTable, ""
				if legacy {
					table, column = legacyTable, "lock_version INTEGER, "
				}
				r.exec("CREATE TABLE accounts (id INTEGER NOT NULL, n INTEGER NOT NULL, %s PRIMARY KEY (id)) %s", column, suffix)
				r.exec("INSERT INTO accounts (id, n) VALUES (1, 0), (2, 0)")
				r.apply(table)
				r.verified(table)
				for _, recursive := range []string{"ON", "OFF"} {
					r.db.SetMaxOpenConns(1)
					r.exec("PRAGMA recursive_triggers = %s", recursive)
					if legacy {
						r.guarded("lock_version")
					} else {
						r.guarded("version")
					}
				}
			})
		}
	}
}
