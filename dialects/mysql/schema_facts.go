package mysql

import (
	"errors"

	"github.com/occkit/occkit/dialects"
)

// DDL is how the members of the family differ in changing tables.
type DDL struct {
	// Product is the server's name.
	Product string
	// AddColumn begins a clause that adds a column. Exists says that it does
	// nothing when the column is there.
	AddColumn string
	Exists    bool
	// Instant and Online end an ALTER TABLE that must not write the table, and
	// one that may, with its writers going on. The server refuses what it cannot
	// do that way.
	Instant, Online string
	// CreateTrigger begins the statement that makes a trigger; Replace says that
	// it replaces one of the same name.
	CreateTrigger string
	Replace       bool
	// MinWait is the least lock_wait_timeout, in seconds.
	MinWait int64
	// Isolation is the name of the variable of the isolation level.
	Isolation string
	// Counting begins a SELECT that the server ends after two seconds.
	Counting string
	// Versions is a query of how often the table was changed instantly, with the
	// schema and the table as arguments; empty where there is no limit.
	Versions string
}

// SchemaFacts returns the queries of everything that SchemaPlan reads. They are
// many: in a UNION the character sets of the catalog's tables would have to
// agree.
func (d Dialect) SchemaFacts(t *dialects.VersionTable) ([]dialects.SchemaQuery, error) {
	if _, err := d.Syntax.QuoteTable(t.Schema, t.Name); err != nil {
		return nil, err
	}
	if _, err := d.Syntax.Quote(t.Column); err != nil {
		return nil, err
	}
	const in = "TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND TABLE_NAME = ?"
	const column = " AND LOWER(COLUMN_NAME) = LOWER(?)"
	table, col := []any{t.Schema, t.Name}, []any{t.Schema, t.Name, t.Column}
	queries := []dialects.SchemaQuery{
		{Text: "SELECT 'server', VERSION(), CONCAT('" + d.DDL.Product + " ', VERSION(), ', database ', COALESCE(DATABASE(), ''), ' on ', @@hostname, ':', @@port, ' as ', CURRENT_USER())"},
		{Text: "SELECT 'binlog', CAST(@@log_bin AS CHAR), CAST(@@log_bin_trust_function_creators AS CHAR)"},
		{Text: "SELECT 'table', TABLE_NAME, TABLE_SCHEMA FROM information_schema.TABLES WHERE " + in, Args: table},
		{Text: "SELECT 'kind', TABLE_TYPE, COALESCE(ENGINE, '') FROM information_schema.TABLES WHERE " + in, Args: table},
		{Text: "SELECT 'rows', COALESCE(ROW_FORMAT, ''), COALESCE(CAST(TABLE_ROWS AS CHAR), '') FROM information_schema.TABLES WHERE " + in, Args: table},
		{Text: "SELECT 'key', c.COLUMN_NAME, c.COLUMN_TYPE FROM information_schema.STATISTICS s JOIN information_schema.COLUMNS c USING (TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME)" +
			" WHERE s.INDEX_NAME = 'PRIMARY' AND " + in + " ORDER BY s.SEQ_IN_INDEX", Args: table},
		{Text: "SELECT 'column', COLUMN_NAME, COLUMN_TYPE FROM information_schema.COLUMNS WHERE " + in + column, Args: col},
		{Text: "SELECT 'nullable', IS_NULLABLE, EXTRA FROM information_schema.COLUMNS WHERE " + in + column, Args: col},
		{Text: "SELECT 'default', COALESCE(COLUMN_DEFAULT, 'NULL'), COLUMN_COMMENT FROM information_schema.COLUMNS WHERE " + in + column, Args: col},
		{Text: "SELECT 'index', INDEX_NAME, '' FROM information_schema.STATISTICS WHERE INDEX_NAME <> 'PRIMARY' AND " + in + column, Args: col},
		{Text: "SELECT DISTINCT 'fulltext', INDEX_NAME, '' FROM information_schema.STATISTICS WHERE INDEX_TYPE = 'FULLTEXT' AND " + in, Args: table},
		{Text: "SELECT 'cascade', CONSTRAINT_NAME, '' FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE())" +
			" AND TABLE_NAME = ? AND (DELETE_RULE IN ('SET NULL', 'SET DEFAULT') OR UPDATE_RULE IN ('CASCADE', 'SET NULL', 'SET DEFAULT'))", Args: table},
		{Text: "SELECT 'trigger', TRIGGER_NAME, CONCAT(ACTION_TIMING, ' ', EVENT_MANIPULATION, '\n', ACTION_STATEMENT) FROM information_schema.TRIGGERS" +
			" WHERE EVENT_OBJECT_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND EVENT_OBJECT_TABLE = ?", Args: table},
		{Text: "SELECT 'history', TABLE_NAME, '' FROM information_schema.TABLES WHERE " + in, Args: []any{t.Schema, t.History}},
	}
	if d.DDL.Versions != "" {
		queries = append(queries, dialects.SchemaQuery{Text: d.DDL.Versions, Args: table})
	}
	return append(queries, privileges(t)...), nil
}

// privileges are those that the user was granted directly. What comes through a
// role is not listed; then nothing is concluded.
func privileges(t *dialects.VersionTable) []dialects.SchemaQuery {
	const me = "GRANTEE = CONCAT('''', SUBSTRING_INDEX(CURRENT_USER(), '@', 1), '''@''', SUBSTRING_INDEX(CURRENT_USER(), '@', -1), '''')"
	return []dialects.SchemaQuery{
		{Text: "SELECT 'role', COALESCE(CURRENT_ROLE(), 'NONE'), ''"},
		{Text: "SELECT 'privilege', PRIVILEGE_TYPE, '' FROM information_schema.USER_PRIVILEGES WHERE " + me},
		{Text: "SELECT 'privilege', PRIVILEGE_TYPE, '' FROM information_schema.SCHEMA_PRIVILEGES WHERE " + me +
			" AND COALESCE(NULLIF(?, ''), DATABASE()) LIKE TABLE_SCHEMA", Args: []any{t.Schema}},
		{Text: "SELECT 'privilege', PRIVILEGE_TYPE, '' FROM information_schema.TABLE_PRIVILEGES WHERE " + me +
			" AND TABLE_SCHEMA = COALESCE(NULLIF(?, ''), DATABASE()) AND TABLE_NAME = ?", Args: []any{t.Schema, t.Name}},
	}
}

// blockers are transactions that have been open for a while. Which of them hold
// the table's metadata lock only a plugin would tell.
const blockers = `SELECT CAST(t.trx_mysql_thread_id AS CHAR), CONCAT(p.USER, '@', p.HOST), CONCAT(p.COMMAND, ' ', COALESCE(p.STATE, '')),
  CONCAT('an open transaction that changed ', t.trx_rows_modified, ' rows'), CAST(TIMESTAMPDIFF(SECOND, t.trx_started, NOW()) AS SIGNED), CAST(0 AS SIGNED),
  CONCAT('KILL ', t.trx_mysql_thread_id)
FROM information_schema.INNODB_TRX t JOIN information_schema.PROCESSLIST p ON p.ID = t.trx_mysql_thread_id
WHERE t.trx_mysql_thread_id <> CONNECTION_ID() AND t.trx_started < NOW() - INTERVAL 1 SECOND ORDER BY t.trx_started LIMIT 5`

// SchemaReplicas is not known: only a replica can tell how far it is behind.
func (Dialect) SchemaReplicas() (dialects.SchemaQuery, error) {
	return dialects.SchemaQuery{}, errors.ErrUnsupported
}

// SchemaBlockers asks for the transactions that are open. It needs the privilege
// PROCESS.
func (Dialect) SchemaBlockers(*dialects.SchemaPlan) (dialects.SchemaQuery, error) {
	return dialects.SchemaQuery{Text: blockers}, nil
}
