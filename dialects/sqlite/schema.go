package sqlite

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

var _ dialects.SchemaChanger = Dialect{}

// facts reads the schema's own tables; pragma_table_list needs SQLite 3.37. Names of columns and tables are compared
// as SQLite compares them, without regard to the case of ASCII letters.
// Arguments, numbered: the table, the column, the history.
const facts = `WITH t AS (SELECT name, type, wr, strict, schema FROM pragma_table_list WHERE schema = 'main' AND lower(name) = lower(?1)),
x AS (SELECT x.* FROM t JOIN pragma_table_xinfo(t.name) AS x),
f AS (
  SELECT 'server' AS kind, sqlite_version() AS name, '' AS value, 0 AS ord
  UNION ALL SELECT 'target', '', 'SQLite ' || sqlite_version() || ', file ' || file, 0 FROM pragma_database_list WHERE name = 'main'
  UNION ALL SELECT 'table', name, type, 0 FROM t
  UNION ALL SELECT 'without rowid', '', '', 0 FROM t WHERE wr
  UNION ALL SELECT 'key', name, type, pk FROM x WHERE pk > 0
  UNION ALL SELECT 'column', name, type, 0 FROM x WHERE lower(name) = lower(?2)
  UNION ALL SELECT 'not null', '', '', 0 FROM x WHERE lower(name) = lower(?2) AND "notnull"
  UNION ALL SELECT 'default', '', dflt_value, 0 FROM x WHERE lower(name) = lower(?2) AND dflt_value IS NOT NULL
  UNION ALL SELECT 'generated', '', '', 0 FROM x WHERE lower(name) = lower(?2) AND hidden > 0
  UNION ALL SELECT 'shadowed', name, '', 0 FROM x WHERE lower(name) IN ('rowid', 'oid', '_rowid_')
  UNION ALL SELECT 'trigger', s.name, s.sql, 0 FROM t JOIN sqlite_schema s ON s.type = 'trigger' AND lower(s.tbl_name) = lower(t.name)
  UNION ALL SELECT 'index', i.name, '', 0 FROM t JOIN pragma_index_list(t.name) AS i JOIN pragma_index_info(i.name) AS c ON lower(c.name) = lower(?2)
  UNION ALL SELECT 'history', name, '', 0 FROM sqlite_schema WHERE type = 'table' AND name = ?3
)
SELECT kind, COALESCE(name, ''), COALESCE(value, '') FROM f ORDER BY kind, ord, name`

// SchemaFacts returns the query of everything that SchemaPlan reads.
func (d Dialect) SchemaFacts(t *dialects.VersionTable) ([]dialects.SchemaQuery, error) {
	if _, err := d.Syntax.QuoteTable(t.Schema, t.Name); err != nil {
		return nil, err
	}
	_, err := d.Syntax.Quote(t.Column)
	return []dialects.SchemaQuery{{Text: facts, Args: []any{t.Name, t.Column, t.History}}}, err
}

// SchemaPlan reads what [Dialect.SchemaFacts] asked for.
func (d Dialect) SchemaPlan(t *dialects.VersionTable, f dialects.SchemaFacts) (dialects.SchemaPlan, error) {
	p := sqlgen.NewPlan(t, f)
	var found sqlgen.Findings
	found.Refuse(t.Schema != "" && t.Schema != "main", "schema", "the schema "+t.Schema+" is not main", "open its file by itself")
	found.Refuse(!p.Exists, "no-table", "there is no table "+t.Name, "check the spelling and the file")
	p.Findings = found
	if found.Unfit() {
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
	p.Table.Schema, p.Table.Name = "main", f.Name("table")
	if f.Has("column") {
		sqlgen.Found(p, dialects.SchemaColumn{
			Name: f.Name("column"), Type: f.Value("column"), Nullable: !f.Has("not null"), Default: f.Value("default"),
		})
	}
}

// writer writes the steps of one table.
type writer struct {
	p   *dialects.SchemaPlan
	f   dialects.SchemaFacts
	key []string // quoted
	// quoted
	table, column string
	quote         func(string) string
	object        func(kind string) string
}

// Table returns the names.
func (w *writer) Table() (table, column string) { return w.table, w.column }

func (d Dialect) writer(p *dialects.SchemaPlan, f dialects.SchemaFacts) (*writer, error) {
	w := &writer{p: p, f: f}
	w.quote = func(name string) string {
		quoted, _ := d.Syntax.Quote(name) // every one was checked, or comes from the catalog
		return quoted
	}
	w.object = func(kind string) string {
		return d.Syntax.ObjectName(p.Table.Name, "occkit", p.Table.Column, kind, "v1")
	}
	for _, k := range p.Key {
		w.key = append(w.key, w.quote(k.Name))
	}
	var err error
	if w.table, err = d.Syntax.QuoteTable("", p.Table.Name); err != nil {
		return nil, err
	}
	w.column, err = d.Syntax.Quote(p.Table.Column)
	return w, err
}

func (w *writer) step(id, observe string, work dialects.SchemaWork, done bool, undo []string, sql ...string) dialects.SchemaStep {
	return dialects.SchemaStep{
		ID: id, SQL: sql, Lock: dialects.LockWrites, LockName: "the database's write lock", Work: work,
		Observe: observe, Undo: undo, Done: done,
	}
}

// zeroToken is the version of rows that were there before their column.
const zeroToken = "'00000000000000000000000000000000'"

func (w *writer) token() bool { return w.p.Table.Kind == dialects.Token }

func (w *writer) initial() string {
	if w.token() {
		return zeroToken
	}
	return strconv.FormatInt(w.p.Initial, 10)
}

// Steps: SQLite can neither give a column a default later nor, before 3.53, make
// it NOT NULL. A column that may be NULL stays so, and a trigger fills it.
// https://www.sqlite.org/lang_altertable.html
func (w *writer) Steps() []dialects.SchemaStep {
	var steps []dialects.SchemaStep
	c := w.p.Column
	if c == nil || !c.Nullable {
		typ := "INTEGER" // STRICT tables have no BIGINT
		if w.token() {
			typ = "TEXT"
		}
		steps = append(steps, w.step("add-column", "pragma_table_xinfo has the column", dialects.WorkInstant, c != nil,
			[]string{fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", w.table, w.column)},
			fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s NOT NULL DEFAULT %s", w.table, w.column, typ, w.initial())))
	}
	if w.fills() {
		steps = append(steps, w.trigger("fill"))
	}
	if c != nil && c.Nullable {
		steps = append(steps, dialects.SchemaStep{
			ID: "backfill", Work: dialects.WorkChunks, LockName: "the database's write lock, for one part",
			Observe: "no row has NULL in the column", Done: w.f.Value("nulls") == "none",
			SQL: []string{fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s IS NULL", w.table, w.column, w.initial(), w.column)},
		})
	}
	if w.p.Table.Guard == dialects.GuardNone {
		return append(steps, w.unwanted()...)
	}
	return append(append(steps, w.unwanted()...), w.guards()...)
}

// fills tells whether new rows need a trigger that gives them a version.
func (w *writer) fills() bool {
	c := w.p.Column
	return w.token() || c != nil && c.Nullable
}

// SchemaAttempt takes the one write lock that there is. Nobody queues behind one
// who waits for it, but a short wait lets the caller look at its context.
func (d Dialect) SchemaAttempt(_ *dialects.SchemaPlan, _ *dialects.SchemaStep, wait time.Duration) (dialects.SchemaAttempt, error) {
	return dialects.SchemaAttempt{
		Settings: []dialects.SessionSetting{{
			Read: "PRAGMA busy_timeout", Set: fmt.Sprintf("PRAGMA busy_timeout = %d", max(wait.Milliseconds(), 50)),
			Restore: "PRAGMA busy_timeout = %s",
		}},
		Begin: "BEGIN IMMEDIATE",
	}, nil
}

// SchemaBlockers returns no query: SQLite does not tell who writes.
func (Dialect) SchemaBlockers(*dialects.SchemaPlan) (dialects.SchemaQuery, error) {
	return dialects.SchemaQuery{}, nil
}

// SchemaReplicas is not known: SQLite has none of its own.
func (Dialect) SchemaReplicas() (dialects.SchemaQuery, error) {
	return dialects.SchemaQuery{}, errors.ErrUnsupported
}

// SchemaChunk writes the statements of one part.
func (d Dialect) SchemaChunk(p *dialects.SchemaPlan, c dialects.SchemaChunk) (dialects.SchemaChunkSQL, error) {
	w, err := d.writer(p, nil)
	if err != nil {
		return dialects.SchemaChunkSQL{}, err
	}
	out := d.Syntax.Chunk(sqlgen.Keyset{Table: w.table, Key: w.key}, w.column+" = "+w.initial(), w.column+" IS NULL", c)
	out.Attempt, err = d.SchemaAttempt(p, nil, 0)
	return out, err
}

// SchemaProbe tries the guard.
func (d Dialect) SchemaProbe(p *dialects.SchemaPlan) (dialects.SchemaProbe, error) {
	w, err := d.writer(p, nil)
	if err != nil {
		return dialects.SchemaProbe{}, err
	}
	jump, regress := w.column+" + 7", w.column+" - 1"
	if w.token() {
		jump, regress = newToken, ""
	}
	probe := d.Syntax.Probe(sqlgen.Keyset{Table: w.table, Key: w.key}, w.column, jump, regress)
	probe.Read = strings.Replace(probe.Read, "SELECT "+w.column, "SELECT CAST("+w.column+" AS TEXT)", 1)
	probe.Begin = "BEGIN IMMEDIATE"
	return probe, nil
}

// SchemaOwn writes the statements of a table of occkit's own.
func (d Dialect) SchemaOwn(_ string, t *dialects.OwnTable) (dialects.OwnSQL, error) {
	return d.Syntax.Own("", t, sqlgen.OwnTypes{Int: "INTEGER", LongText: "TEXT", Text: "TEXT"})
}

// Filled counts all rows of the file.
func (w *writer) Filled() dialects.SchemaQuery {
	return dialects.SchemaQuery{Text: fmt.Sprintf("SELECT 'exact', CAST(COUNT(*) AS TEXT), CAST(COUNT(%s) AS TEXT) FROM %s", w.column, w.table)}
}

// Text is the type of texts.
func (w *writer) Text() string { return "TEXT" }

// SchemaFile is a transaction.
func (Dialect) SchemaFile(*dialects.SchemaPlan, dialects.SchemaWork) (dialects.SchemaFile, error) {
	return dialects.SchemaFile{Begin: "BEGIN IMMEDIATE", Commit: "COMMIT"}, nil
}
