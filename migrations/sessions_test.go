package migrations_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/migrations"
)

// reading holds a transaction open that has read the table, and nothing more.
func (r *rig) reading() *sql.Tx {
	r.Helper()
	tx, err := r.db.BeginTx(r.Context(), nil)
	require.NoError(r, err)
	r.Cleanup(func() { _ = tx.Rollback() })
	var n int64
	require.NoError(r, tx.QueryRow("SELECT COUNT(*) FROM accounts").Scan(&n))
	return tx
}

// ADD COLUMN IF NOT EXISTS takes its lock even when the column exists. Apply
// looks first: on a table that is ready it needs none.
func TestReadyTableIsNotLocked(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(1)
		r.apply(freshTable)
		r.db.SetMaxOpenConns(2) // the settings below and what follows them share one
		tx := r.reading()
		if r.engine.name == "sqlite" {
			_, err := tx.Exec("UPDATE accounts SET n = 1")
			require.NoError(r, err)
		}
		at := &migrations.Options{MaxWait: time.Nanosecond}
		done, err := r.migrator(at).Apply(r.Context(), []migrations.Table{freshTable})
		require.NoError(r, err)
		require.Empty(r, done[0].Steps)
		for statement, locks := range map[string]bool{
			"ALTER TABLE accounts ADD COLUMN IF NOT EXISTS version bigint NOT NULL DEFAULT 1": r.engine.name == "postgres",
			"ALTER TABLE accounts ADD COLUMN other BIGINT":                                    true,
		} {
			if locks {
				r.exec("%s", map[string]string{
					"postgres": "SET lock_timeout = '1ms'", "mariadb": "SET lock_wait_timeout = 0", "sqlite": "PRAGMA busy_timeout = 1",
				}[r.engine.name])
				_, err = r.db.ExecContext(r.Context(), statement)
				require.Error(r, err, "the transaction is in nobody's way: this proves nothing")
			}
		}
	})
}

// On SQLite in WAL mode a reader is in nobody's way, and keeps what it sees.
func TestReaderOfWAL(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("sqlite"))
	r.fresh(3)
	tx := r.reading()
	_, err := r.migrator(&migrations.Options{MaxWait: time.Nanosecond}).Apply(t.Context(), []migrations.Table{freshTable})
	require.NoError(t, err)
	var version int64
	require.Error(t, tx.QueryRow("SELECT version FROM accounts").Scan(&version), "the reader's snapshot has no such column")
	require.NoError(t, tx.Rollback())
	r.verified(freshTable)
}

// A connection comes back as it was lent, after success and after failure.
func TestSessionIsPutBack(t *testing.T) {
	t.Parallel()
	settings := map[string][]string{
		"postgres": {"SHOW lock_timeout", "SHOW statement_timeout", "SELECT COALESCE(current_setting('occkit.bypass', true), '')"},
		"mariadb": {
			"SELECT @@SESSION.lock_wait_timeout", "SELECT @@SESSION.innodb_lock_wait_timeout", "SELECT @@SESSION.tx_isolation",
			"SELECT COUNT(*) FROM information_schema.METADATA_LOCK_INFO WHERE THREAD_ID = CONNECTION_ID()",
		},
		"sqlite": {"PRAGMA busy_timeout"},
	}
	onEach(t, func(r *rig) {
		r.legacy(1500)
		other := &rig{T: r.T, engine: r.engine, url: r.url, db: dbtest.Open(r, r.driver, r.url)}
		r.db.SetMaxOpenConns(1)
		read := func() (all []string) {
			for _, s := range settings[r.engine.name] {
				var value string
				if r.db.QueryRowContext(r.Context(), s).Scan(&value) != nil {
					continue // MariaDB without the plugin
				}
				all = append(all, value)
			}
			return all
		}
		before := read()
		require.NotEmpty(r, before)
		tx := other.reading()
		_, err := tx.Exec("UPDATE accounts SET n = 1 WHERE id = 1")
		require.NoError(r, err)
		short := &migrations.Options{MaxWait: 50 * time.Millisecond, NowaitFor: 20 * time.Millisecond}
		_, err = r.migrator(short).Apply(r.Context(), []migrations.Table{legacyTable})
		require.ErrorIs(r, err, migrations.ErrLocked)
		require.Equal(r, before, read())
		require.NoError(r, tx.Rollback())
		r.apply(legacyTable)
		require.Equal(r, before, read())
		r.verified(legacyTable)
	})
}

// Statements that pools have prepared go on, but for SELECT * on PostgreSQL,
// which fails once per connection.
func TestPreparedStatements(t *testing.T) {
	t.Parallel()
	for _, columns := range []string{"id, n", "*"} {
		t.Run(columns, func(t *testing.T) {
			t.Parallel()
			onEach(t, func(r *rig) {
				r.fresh(1)
				place, want := "?", 0
				if r.engine.name == "postgres" {
					if place = "$1"; columns == "*" {
						want = 3
					}
				}
				read := func(c *sql.Conn) error {
					rows, err := c.QueryContext(r.Context(), "SELECT "+columns+" FROM accounts WHERE id = "+place, 1)
					if err == nil {
						rows.Next()
						err = errors.Join(rows.Err(), rows.Close())
					}
					return err
				}
				conns := make([]*sql.Conn, 3)
				for i := range conns {
					var err error
					conns[i], err = r.db.Conn(r.Context())
					require.NoError(r, err)
					require.NoError(r, read(conns[i]))
				}
				r.apply(freshTable)
				failed := 0
				for _, c := range conns {
					if err := read(c); err != nil {
						require.ErrorContains(r, err, "0A000")
						failed++
					}
					require.NoError(r, read(c), "the second time")
					require.NoError(r, c.Close())
				}
				require.Equal(r, want, failed)
			})
		})
	}
}

// INSERT without a column list goes on working on PostgreSQL alone, and on
// MariaDB when the column is invisible.
func TestInsertWithoutColumns(t *testing.T) {
	t.Parallel()
	for _, invisible := range []bool{false, true} {
		t.Run(fmt.Sprintf("invisible=%t", invisible), func(t *testing.T) {
			t.Parallel()
			onEach(t, func(r *rig) {
				table := freshTable
				table.Invisible = invisible
				r.fresh(1)
				_, noted := r.codes(table)
				r.apply(table)
				_, err := r.db.ExecContext(r.Context(), "INSERT INTO accounts VALUES (9, 0)")
				works := r.engine.name == "postgres" || r.engine.name == "mariadb" && invisible
				require.Equal(r, works, err == nil, "%v", err)
				if works {
					require.NotContains(r, noted, "insert-list")
				} else {
					require.Contains(r, noted, "insert-list")
				}
				r.verified(table)
			})
		})
	}
}

// With a binary log, MariaDB lets only some users make triggers, and says so when
// the column is there already. The plan says it before.
func TestTriggerNeedsTrust(t *testing.T) {
	t.Parallel()
	server := dbtest.StartMariaDB(t, "--log-bin=log")
	r := &rig{T: t, engine: engineNamed("mariadb"), url: server.DSN()}
	r.db = dbtest.Open(t, "mysql", r.url)
	r.fresh(1)
	r.exec("CREATE USER plain@localhost IDENTIFIED BY 'x'")
	r.exec("GRANT ALL ON %s.* TO plain@localhost", r.text("SELECT DATABASE()"))
	config, err := mysql.ParseDSN(r.url)
	require.NoError(t, err)
	config.User, config.Passwd = "plain", "x"
	plain := &rig{T: t, engine: r.engine, url: config.FormatDSN()}
	plain.db = dbtest.Open(t, "mysql", plain.url)
	for _, grant := range []string{"USAGE", "BINLOG ADMIN"} { // not enough
		r.exec("GRANT %s ON *.* TO plain@localhost", grant)
		_, err = dbtest.Open(t, "mysql", plain.url).ExecContext(t.Context(), "CREATE TRIGGER x BEFORE UPDATE ON accounts FOR EACH ROW SET NEW.n = 1")
		var refused *mysql.MySQLError
		require.ErrorAs(t, err, &refused)
		require.EqualValues(t, 1419, refused.Number)
		codes, _ := plain.codes(freshTable)
		require.Equal(t, []string{"binlog"}, codes, grant)
	}
	r.exec("SET GLOBAL log_bin_trust_function_creators = 1")
	plain.apply(freshTable)
	plain.verified(freshTable)
}
