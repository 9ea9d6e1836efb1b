package migrations_test

import (
	"database/sql"
	"errors"
	"fmt"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/migrations"
)

// finding is a table that does not fit, or fits with a remark.
type finding struct {
	name  string
	setup []string
	table migrations.Table
	// refused or noted is the code that is found.
	refused, noted string
}

func findingsOf(engine string) []finding {
	t := migrations.Table{Name: "t"}
	strict, none := t, t
	strict.Guard, none.Guard = dialects.GuardStrict, dialects.GuardNone
	const plain = "CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, n BIGINT)"
	with := func(column string) []string {
		return []string{"CREATE TABLE t (id BIGINT NOT NULL PRIMARY KEY, " + column + ")"}
	}
	all := []finding{
		{name: "no table", table: t, refused: "no-table"},
		{name: "no key", setup: []string{"CREATE TABLE t (id BIGINT)"}, table: t, refused: "no-key"},
		{name: "view", setup: []string{"CREATE TABLE u (id BIGINT NOT NULL PRIMARY KEY)", "CREATE VIEW t AS SELECT * FROM u"}, table: t, refused: "not-a-table"},
		{name: "text", setup: with("version VARCHAR(20)"), table: t, refused: "type"},
		{name: "key", setup: []string{"CREATE TABLE t (id BIGINT NOT NULL, version BIGINT NOT NULL, PRIMARY KEY (id, version))"}, table: t, refused: "in-key"},
		{name: "nullable", setup: with("version BIGINT"), table: t, noted: "nullable"},
		{name: "indexed", setup: append(with("version BIGINT NOT NULL DEFAULT 1"), "CREATE INDEX i ON t (version)"), table: t, noted: "indexed"},
		{name: "fits", setup: []string{plain}, table: t},
	}
	switch engine {
	case "postgres":
		parent := "CREATE TABLE u (id BIGINT PRIMARY KEY)"
		child := "CREATE TABLE t (id BIGINT PRIMARY KEY, u BIGINT REFERENCES u ON DELETE SET NULL)"
		all = append(all,
			finding{name: "generated", setup: with("n BIGINT, version BIGINT GENERATED ALWAYS AS (n + 1) STORED"), table: t, refused: "generated"},
			finding{name: "identity", setup: with("version BIGINT GENERATED ALWAYS AS IDENTITY"), table: t, refused: "generated"},
			finding{name: "default", setup: with("version BIGINT DEFAULT floor(random() * 10)"), table: t, refused: "default"},
			finding{name: "int32", setup: with("version INT NOT NULL DEFAULT 0"), table: t, noted: "int32"},
			finding{name: "smallint", setup: with("version SMALLINT NOT NULL DEFAULT 0"), table: t, refused: "type"},
			finding{name: "system column", setup: []string{plain}, table: migrations.Table{Name: "t", Column: "xmin"}, refused: "reserved"},
			finding{name: "partition", setup: []string{
				"CREATE TABLE u (id BIGINT PRIMARY KEY) PARTITION BY RANGE (id)", "CREATE TABLE t PARTITION OF u FOR VALUES FROM (0) TO (9)",
			}, table: t, refused: "partition"},
			finding{name: "materialized", setup: []string{"CREATE MATERIALIZED VIEW t AS SELECT 1 AS id"}, table: t, refused: "not-a-table"},
			finding{name: "cascade", setup: []string{parent, child}, table: t, noted: "cascade"},
			finding{name: "strict cascade", setup: []string{parent, child}, table: strict, refused: "strict-cascade"},
			finding{name: "view on it", setup: []string{plain, "CREATE VIEW v AS SELECT * FROM t"}, table: t, noted: "view"},
			finding{name: "partial index", setup: append(with("version BIGINT NOT NULL DEFAULT 1"), "CREATE INDEX i ON t (id) WHERE version > 3"), table: t, noted: "indexed"},
			finding{name: "covering index", setup: append(with("version BIGINT NOT NULL DEFAULT 1"), "CREATE INDEX i ON t (id) INCLUDE (version)"), table: t, noted: "indexed"},
			finding{name: "case", setup: with(`"Version" TEXT`), table: t},
		)
	case "mariadb":
		all = append(all,
			finding{name: "case", setup: with("Version TEXT"), table: t, refused: "type"},
			finding{name: "int32", setup: with("version INT NOT NULL DEFAULT 0"), table: t, noted: "int32"},
			finding{name: "generated", setup: with("n BIGINT, version BIGINT AS (n + 1) STORED"), table: t, refused: "generated"},
			finding{name: "engine", setup: []string{"CREATE TABLE t (id BIGINT PRIMARY KEY) ENGINE=MyISAM"}, table: t, refused: "engine"},
			finding{name: "compressed", setup: []string{"CREATE TABLE t (id BIGINT PRIMARY KEY) ROW_FORMAT=COMPRESSED"}, table: t, refused: "compressed"},
			finding{name: "fulltext", setup: []string{"CREATE TABLE t (id BIGINT PRIMARY KEY, x TEXT, FULLTEXT (x))"}, table: t, refused: "fulltext"},
			finding{name: "system versioned", setup: []string{"CREATE TABLE t (id BIGINT PRIMARY KEY) WITH SYSTEM VERSIONING"}, table: t, refused: "system-versioned"},
			finding{name: "cascade", setup: []string{
				"CREATE TABLE u (id BIGINT PRIMARY KEY)",
				"CREATE TABLE t (id BIGINT PRIMARY KEY, u BIGINT, FOREIGN KEY (u) REFERENCES u (id) ON DELETE SET NULL)",
			}, table: t, noted: "cascade"},
		)
	case "sqlite":
		touch := "CREATE TRIGGER touch AFTER UPDATE ON t BEGIN UPDATE t SET n = 1 WHERE id = NEW.id; END"
		all = append(all,
			finding{name: "case", setup: with("Version TEXT"), table: t, refused: "type"},
			finding{name: "generated", setup: with("n BIGINT, version BIGINT AS (n + 1)"), table: t, refused: "generated"},
			finding{name: "trigger", setup: []string{plain, touch}, table: t, refused: "trigger-writes"},
			finding{name: "trigger, strict", setup: []string{plain, touch}, table: strict, refused: "trigger-writes"},
			finding{name: "trigger, none", setup: []string{plain, touch}, table: none},
			finding{name: "schema", setup: []string{plain}, table: migrations.Table{Schema: "other", Name: "t"}, refused: "schema"},
			finding{name: "no default", setup: with("version INTEGER NOT NULL"), table: t, noted: "no-default"},
		)
	}
	return all
}

func TestFindings(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		for _, f := range findingsOf(r.engine.name) {
			r.Run(f.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, r.engine)
				for _, s := range f.setup {
					r.exec("%s", s)
				}
				refused, noted := r.codes(f.table)
				require.Equal(r, f.refused != "", len(refused) > 0, "refused: %v", refused)
				if f.refused == "" {
					if f.noted != "" {
						require.Contains(r, noted, f.noted)
					}
					return
				}
				require.Contains(r, refused, f.refused)
				_, err := r.migrator(nil).Apply(r.Context(), []migrations.Table{f.table})
				require.ErrorIs(r, err, migrations.ErrRefused)
				_, err = r.migrator(nil).Emit(r.Context(), []migrations.Table{f.table}, migrations.Goose, "1")
				require.ErrorIs(r, err, migrations.ErrRefused)
			})
		}
	})
}

// One table that is refused keeps all others from being changed.
func TestRefusalComesBeforeAnyChange(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		r.fresh(1)
		_, err := r.migrator(nil).Apply(r.Context(), []migrations.Table{freshTable, {Name: "missing"}})
		var refused *migrations.RefusedError
		require.ErrorAs(r, err, &refused)
		require.Equal(r, "missing", refused.Table)
		plan, err := r.migrator(nil).Plan(r.Context(), []migrations.Table{freshTable})
		require.NoError(r, err)
		require.Nil(r, plan.Tables[0].Column)
		require.Equal(r, "history", plan.Tables[0].Steps[0].ID)
	})
}

func TestMissingPrivilegesPostgres(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("postgres"))
	r.fresh(1)
	role := r.role()
	r.db.SetMaxOpenConns(1)
	r.exec("SET ROLE %s", role)
	refused, _ := r.codes(freshTable)
	require.ElementsMatch(t, []string{"not-owner", "no-create"}, refused)

	// Who may only read can verify.
	r.exec("RESET ROLE")
	r.apply(freshTable)
	r.exec("SET ROLE %s", role)
	reports, err := r.migrator(nil).Verify(t.Context(), []migrations.Table{freshTable}, migrations.VerifyOptions{NoProbe: true})
	require.NoError(t, err)
	require.Empty(t, reports[0].Findings)
	require.False(t, reports[0].Probed)
}

// role makes a role that may look into the schema; it goes away with the test.
func (r *rig) role() string {
	r.Helper()
	role := fmt.Sprintf("occ_role_%d", r.int("SELECT pg_backend_pid() + 1000000 * (random() * 1000)::int"))
	r.exec("CREATE ROLE %s", role)
	r.Cleanup(func() {
		db, err := sql.Open("pgx", r.url) // the test's own may be in the role
		require.NoError(r, err)
		defer func() { _ = db.Close() }()
		_, err = db.Exec("DROP OWNED BY " + role + "; DROP ROLE " + role)
		require.NoError(r, err)
	})
	r.exec("GRANT USAGE ON SCHEMA %s TO %s", r.text("SELECT current_schema()"), role)
	return role
}

func (r *rig) text(query string) (s string) {
	r.Helper()
	require.NoError(r, r.db.QueryRowContext(r.Context(), query).Scan(&s))
	return s
}

func TestMissingPrivilegesMariaDB(t *testing.T) {
	t.Parallel()
	r := newRig(t, engineNamed("mariadb"))
	r.fresh(1)
	user := fmt.Sprintf("occ_%d", r.int("SELECT CAST(UUID_SHORT() %% 1000000000 AS SIGNED)"))
	r.exec("CREATE USER %s@localhost IDENTIFIED BY 'x'", user)
	t.Cleanup(func() {
		db, err := sql.Open("mysql", r.url)
		require.NoError(t, err)
		defer func() { _ = db.Close() }()
		_, err = db.Exec("DROP USER " + user + "@localhost")
		require.NoError(t, err)
	})
	r.exec("GRANT SELECT, UPDATE ON %s.* TO %s@localhost", r.text("SELECT DATABASE()"), user)
	config, err := mysql.ParseDSN(r.url)
	require.NoError(t, err)
	config.User, config.Passwd = user, "x"
	r.db = dbtest.Open(t, "mysql", config.FormatDSN())
	refused, _ := r.codes(freshTable)
	require.Equal(t, []string{"privileges"}, refused)
}

func TestVerifyFindsDrift(t *testing.T) {
	t.Parallel()
	spoil := map[string]map[string][]string{
		"postgres": {
			"trigger disabled": {"ALTER TABLE accounts DISABLE TRIGGER zz_occkit_version_v1"},
			"trigger gone":     {"DROP TRIGGER zz_occkit_version_v1 ON accounts"},
			"body changed":     {"CREATE OR REPLACE FUNCTION occkit_enforce_counter_version_v1() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"},
			"condition changed": {
				"DROP TRIGGER zz_occkit_version_v1 ON accounts",
				"CREATE TRIGGER zz_occkit_version_v1 BEFORE UPDATE ON accounts FOR EACH ROW WHEN (NEW.version < OLD.version) EXECUTE FUNCTION occkit_enforce_counter_version_v1()",
			},
			"index":        {"CREATE INDEX i ON accounts (id) INCLUDE (version)"},
			"default gone": {"ALTER TABLE accounts ALTER COLUMN version DROP DEFAULT"},
			"null allowed": {"ALTER TABLE accounts ALTER COLUMN version DROP NOT NULL"},
		},
		"mariadb": {
			"trigger gone": {"DROP TRIGGER accounts_occkit_version_v1"},
			"body changed": {"CREATE OR REPLACE TRIGGER accounts_occkit_version_v1 BEFORE UPDATE ON accounts FOR EACH ROW SET NEW.version = 3"},
			"index":        {"CREATE INDEX i ON accounts (version)"},
			"default gone": {"ALTER TABLE accounts ALTER COLUMN version DROP DEFAULT"},
			"null allowed": {"ALTER TABLE accounts MODIFY COLUMN version BIGINT NULL DEFAULT 1"},
		},
		"sqlite": {
			"bump gone":  {"DROP TRIGGER accounts_occkit_version_bump_v1"},
			"guard gone": {"DROP TRIGGER accounts_occkit_version_guard_v1"},
			"body changed": {
				"DROP TRIGGER accounts_occkit_version_guard_v1",
				"CREATE TRIGGER accounts_occkit_version_guard_v1 BEFORE UPDATE ON accounts WHEN 0 BEGIN SELECT 1; END",
			},
			"index": {"CREATE INDEX i ON accounts (version)"},
		},
	}
	onEach(t, func(r *rig) {
		for name, statements := range spoil[r.engine.name] {
			r.Run(name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t, r.engine)
				r.fresh(2)
				r.apply(freshTable)
				r.verified(freshTable)
				for _, s := range statements {
					r.exec("%s", s)
				}
				reports, err := r.migrator(nil).Verify(r.Context(), []migrations.Table{freshTable}, migrations.VerifyOptions{})
				require.NoError(r, err)
				require.NotEmpty(r, reports[0].Findings)
				if name == "index" {
					return // dropping it is the owner's decision
				}
				r.apply(freshTable)
				r.verified(freshTable)
			})
		}
	})
}

// The dialect of another package that cannot do this is refused in words.
func TestDialectWithoutTheAbility(t *testing.T) {
	t.Parallel()
	_, err := migrations.New(sqldb.New(nil), struct{ dialects.Dialect }{engines()[0].dialect}, nil)
	require.True(t, errors.Is(err, errors.ErrUnsupported), "%v", err)
}
