package mysql

import (
	"fmt"
	"strings"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

// ddl is what MySQL does. It is written from the documentation of 8.0 and 8.4
// and not run: no server of MySQL could be had. INSTANT and LOCK=NONE exclude
// each other there. https://dev.mysql.com/doc/refman/8.4/en/innodb-online-ddl.html
var ddl = DDL{
	Product: "MySQL", AddColumn: "ADD COLUMN", Instant: ", ALGORITHM=INSTANT",
	Online: ", ALGORITHM=INPLACE, LOCK=NONE", CreateTrigger: "CREATE TRIGGER", MinWait: 1, Isolation: "transaction_isolation",
	Counting: "SELECT /*+ MAX_EXECUTION_TIME(2000) */",
	Versions: "SELECT 'versions', '', CAST(TOTAL_ROW_VERSIONS AS CHAR) FROM information_schema.INNODB_TABLES" +
		" WHERE NAME = CONCAT(COALESCE(NULLIF(?, ''), DATABASE()), '/', ?)",
}

// SchemaPlan reads what [Dialect.SchemaFacts] asked for.
func (d Dialect) SchemaPlan(t *dialects.VersionTable, f dialects.SchemaFacts) (dialects.SchemaPlan, error) {
	p := sqlgen.NewPlan(t, f)
	p.Target = f.Value("server")
	if !p.Exists {
		var none sqlgen.Findings
		none.Refuse(true, "no-table", "there is no table "+t.Name, "check the spelling, the letter case and the database")
		p.Findings = none
		return p, nil
	}
	read(&p, f)
	w, err := d.writer(&p, f)
	if err != nil {
		return p, err
	}
	p.Findings = w.findings()
	sqlgen.Complete(&p, w, f.Has("nulls"))
	return p, nil
}

// read fills in what the facts say about the table.
func read(p *dialects.SchemaPlan, f dialects.SchemaFacts) {
	p.Table.Schema, p.Table.Name = f.Value("table"), f.Name("table")
	if f.Has("column") {
		c := dialects.SchemaColumn{Name: f.Name("column"), Type: f.Value("column"), Nullable: f.Name("nullable") == "YES"}
		if expr := f.Name("default"); !strings.EqualFold(expr, "NULL") {
			c.Default = expr
		}
		sqlgen.Found(p, c)
	}
}

// SchemaAttempt bounds the wait for the metadata lock by lock_wait_timeout, and
// keeps other migrators out with a named lock. DDL commits by itself.
func (d Dialect) SchemaAttempt(p *dialects.SchemaPlan, step *dialects.SchemaStep, wait time.Duration) (dialects.SchemaAttempt, error) {
	// The variable counts in seconds. A wait of less is none, where the server has
	// that: a second would keep others waiting for longer than wait.
	seconds := max(int64(wait/time.Second), d.DDL.MinWait)
	if step.Work == dialects.WorkOnline {
		// The lock is needed again at the end, when the work is done: to give up
		// there at once would be to begin for ever.
		seconds = max(seconds, 1)
	}
	name := d.Syntax.ObjectName("occkit", "migrations", p.Table.Schema)
	return dialects.SchemaAttempt{
		Wait: time.Duration(seconds) * time.Second,
		Settings: []dialects.SessionSetting{{
			Read: "SELECT CAST(@@SESSION.lock_wait_timeout AS CHAR)", Set: fmt.Sprintf("SET SESSION lock_wait_timeout = %d", seconds),
			Restore: "SET SESSION lock_wait_timeout = %s",
		}},
		Mutex:   "SELECT CAST(COALESCE(GET_LOCK(" + literal(name) + ", 0), 0) AS CHAR)",
		Release: "SELECT CAST(RELEASE_LOCK(" + literal(name) + ") AS CHAR)",
	}, nil
}

// SchemaChunk writes the statements of one part. READ COMMITTED locks no gaps,
// and lets go of the rows that have a version already.
// https://dev.mysql.com/doc/refman/8.4/en/innodb-transaction-isolation-levels.html
func (d Dialect) SchemaChunk(p *dialects.SchemaPlan, c dialects.SchemaChunk) (dialects.SchemaChunkSQL, error) {
	w, err := d.writer(p, nil)
	if err != nil {
		return dialects.SchemaChunkSQL{}, err
	}
	out := d.Syntax.Chunk(sqlgen.Keyset{Table: w.table, Key: w.key}, w.column+" = "+w.initial(), w.column+" IS NULL", c)
	out.Attempt = dialects.SchemaAttempt{
		Begin: "START TRANSACTION",
		Settings: []dialects.SessionSetting{{
			Read: "SELECT CAST(@@SESSION.innodb_lock_wait_timeout AS CHAR)", Set: "SET SESSION innodb_lock_wait_timeout = 1",
			Restore: "SET SESSION innodb_lock_wait_timeout = %s",
		}, {
			Read: "SELECT @@SESSION." + d.DDL.Isolation, Set: "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
			Restore: "SET SESSION " + d.DDL.Isolation + " = '%s'",
		}},
	}
	return out, nil
}

// SchemaProbe tries the guard.
func (d Dialect) SchemaProbe(p *dialects.SchemaPlan) (dialects.SchemaProbe, error) {
	w, err := d.writer(p, nil)
	if err != nil {
		return dialects.SchemaProbe{}, err
	}
	jump, regress := w.column+" + 7", w.column+" - 1"
	if w.token() {
		jump, regress = "UUID()", ""
	}
	probe := d.Syntax.Probe(sqlgen.Keyset{Table: w.table, Key: w.key}, w.column, jump, regress)
	probe.Read = strings.Replace(probe.Read, "SELECT "+w.column, "SELECT CAST("+w.column+" AS CHAR)", 1)
	probe.Begin = "START TRANSACTION"
	return probe, nil
}

// SchemaOwn writes the statements of a table of occkit's own.
func (d Dialect) SchemaOwn(schema string, t *dialects.OwnTable) (dialects.OwnSQL, error) {
	return d.Syntax.Own(schema, t, sqlgen.OwnTypes{
		Int: "BIGINT", LongText: "MEDIUMTEXT", Text: "VARCHAR(%d)", Suffix: " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4",
	})
}

// literal quotes a string, whether or not the session's sql_mode lets a
// backslash escape: there is none in it.
func literal(text string) string {
	return "'" + strings.ReplaceAll(strings.ReplaceAll(text, `\`, "/"), "'", "''") + "'"
}

// Filled counts all rows, or gives up: there is no way to look at a sample.
func (w *writer) Filled() dialects.SchemaQuery {
	return dialects.SchemaQuery{Text: fmt.Sprintf("%s 'exact', CAST(COUNT(*) AS CHAR), CAST(COUNT(%s) AS CHAR) FROM %s", w.ddl.Counting, w.column, w.table)}
}

// Text is the type of texts.
func (w *writer) Text() string { return "CHAR" }

// SchemaFile bounds the waits of a file, which cannot try again.
func (d Dialect) SchemaFile(*dialects.SchemaPlan, dialects.SchemaWork) (dialects.SchemaFile, error) {
	return dialects.SchemaFile{
		Before: []string{"SET SESSION lock_wait_timeout = 1"}, After: []string{"SET SESSION lock_wait_timeout = DEFAULT"}, Delimiter: true,
	}, nil
}
