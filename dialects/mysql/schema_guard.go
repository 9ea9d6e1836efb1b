package mysql

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

// GuardNumber is the error number of a write that the guard refused; its
// SQLSTATE is 45000, that of SIGNAL.
const GuardNumber = 31001

// writer writes the steps of one table.
type writer struct {
	ddl DDL
	p   *dialects.SchemaPlan
	f   dialects.SchemaFacts
	key []string // quoted
	// quoted
	table, column, trigger string
	name                   string // the trigger's, unquoted
}

// Table returns the names.
func (w *writer) Table() (table, column string) { return w.table, w.column }

func (d Dialect) writer(p *dialects.SchemaPlan, f dialects.SchemaFacts) (*writer, error) {
	w := &writer{ddl: d.DDL, p: p, f: f, name: d.Syntax.ObjectName(p.Table.Name, "occkit", p.Table.Column, "v1")}
	var err error
	quote := func(schema, name string) (quoted string) {
		if err == nil {
			quoted, err = d.Syntax.QuoteTable(schema, name)
		}
		return quoted
	}
	for _, k := range p.Key {
		w.key = append(w.key, quote("", k.Name))
	}
	schema := p.Table.Schema
	if p.Table.Bare {
		schema = ""
	}
	w.table, w.trigger = quote(schema, p.Table.Name), quote(schema, w.name)
	w.column = quote("", p.Table.Column)
	return w, err
}

func (w *writer) token() bool { return w.p.Table.Kind == dialects.Token }

func (w *writer) initial() string {
	if w.token() {
		return "'00000000-0000-0000-0000-000000000000'"
	}
	return strconv.FormatInt(w.p.Initial, 10)
}

func (w *writer) alter(id, observe string, work dialects.SchemaWork, done bool, undo, clause string) dialects.SchemaStep {
	end := w.ddl.Instant
	if work == dialects.WorkOnline {
		end = w.ddl.Online
	}
	s := dialects.SchemaStep{
		ID: id, SQL: []string{"ALTER TABLE " + w.table + " " + clause + end}, Lock: dialects.LockAll,
		LockName: "metadata lock", Work: work, Observe: observe, Done: done,
	}
	if undo != "" {
		s.Undo = []string{"ALTER TABLE " + w.table + " " + undo}
	}
	return s
}

func (w *writer) Steps() []dialects.SchemaStep {
	steps := w.columnSteps()
	if w.p.Table.Guard == dialects.GuardNone {
		return append(steps, w.Unguard()...)
	}
	return append(steps, w.guardStep())
}

func (w *writer) columnSteps() []dialects.SchemaStep {
	c := w.p.Column
	if c != nil && c.Nullable {
		return w.legacy()
	}
	typ, invisible := "BIGINT", ""
	if w.token() {
		typ = "CHAR(36) CHARACTER SET ascii COLLATE ascii_bin"
	}
	if w.p.Table.Invisible {
		invisible = " INVISIBLE"
	}
	add := w.alter("add-column", "information_schema.COLUMNS has the column", dialects.WorkInstant, c != nil, "DROP COLUMN "+w.column+w.ddl.Instant,
		fmt.Sprintf("%s %s %s NOT NULL%s DEFAULT %s", w.ddl.AddColumn, w.column, typ, invisible, w.initial()))
	if !w.ddl.Exists {
		add.File = w.unlessThere(add.SQL[0])
	}
	steps := []dialects.SchemaStep{add}
	done := c != nil && c.Default != "" && (!w.token() || strings.Contains(c.Default, "("))
	if w.token() || c != nil && c.Default == "" {
		value := w.initial()
		if w.token() {
			value = "(UUID())"
		}
		steps = append(steps, w.alter("set-default", "information_schema.COLUMNS has a default", dialects.WorkInstant, done,
			"ALTER COLUMN "+w.column+" DROP DEFAULT", fmt.Sprintf("ALTER COLUMN %s SET DEFAULT %s", w.column, value)))
	}
	return steps
}

// unlessThere runs a statement only if the column is missing, without a
// procedure.
func (w *writer) unlessThere(statement string) []string {
	return []string{
		fmt.Sprintf("SET @occkit = IF((SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND COLUMN_NAME = %s) = 0, %s, 'DO 0')",
			literal(w.p.Table.Name), literal(w.p.Table.Column), literal(statement)),
		"PREPARE occkit FROM @occkit", "EXECUTE occkit", "DEALLOCATE PREPARE occkit",
	}
}

func (w *writer) legacy() []dialects.SchemaStep {
	c := w.p.Column
	definition := c.Type + " NOT NULL DEFAULT " + w.initial()
	if strings.Contains(w.f.Value("nullable"), "INVISIBLE") {
		definition = c.Type + " NOT NULL INVISIBLE DEFAULT " + w.initial()
	}
	if comment := w.f.Value("default"); comment != "" {
		definition += " COMMENT " + literal(comment)
	}
	return []dialects.SchemaStep{
		w.alter("set-default", "information_schema.COLUMNS has a default", dialects.WorkInstant, c.Default != "",
			"ALTER COLUMN "+w.column+" DROP DEFAULT", fmt.Sprintf("ALTER COLUMN %s SET DEFAULT %s", w.column, w.initial())),
		{
			ID: "backfill", Work: dialects.WorkChunks, LockName: "the rows of one part",
			Observe: "no row has NULL in the column", Done: w.f.Value("nulls") == "none",
			SQL: []string{fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s IS NULL", w.table, w.column, w.initial(), w.column)},
		},
		w.alter("set-not-null", "information_schema.COLUMNS says NOT NULL", dialects.WorkOnline, false,
			"MODIFY COLUMN "+w.column+" "+c.Type+" NULL DEFAULT "+w.initial(), "MODIFY COLUMN "+w.column+" "+definition),
	}
}

// body is what the trigger does for one row.
func (w *writer) body(m dialects.GuardMode) string {
	signal := fmt.Sprintf("SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = %d, MESSAGE_TEXT = ", GuardNumber)
	message := "the version must not go back: read the row again and decide again"
	move, test := fmt.Sprintf("OLD.%s + 1", w.column), "<"
	if w.token() {
		move = "UUID()"
	}
	var inner string
	switch {
	case m == dialects.GuardStrict:
		if test = "<="; w.token() {
			test = "="
		}
		inner = fmt.Sprintf("IF NEW.%[1]s %[2]s OLD.%[1]s THEN\n      %[3]s'occkit: the version must move up with every write';", w.column, test, signal)
	case w.token():
		inner = fmt.Sprintf("IF NEW.%[1]s = OLD.%[1]s THEN\n      SET NEW.%[1]s = %[2]s;", w.column, move)
	default:
		inner = fmt.Sprintf("IF NEW.%[1]s = OLD.%[1]s THEN\n      SET NEW.%[1]s = %[2]s;\n    ELSEIF NEW.%[1]s < OLD.%[1]s THEN\n      %[3]s'occkit: %[4]s';",
			w.column, move, signal, message)
	}
	return "BEGIN\n  IF @occkit_bypass IS NULL THEN\n    " + inner + "\n    END IF;\n  END IF;\nEND"
}

func (w *writer) guardStep() dialects.SchemaStep {
	state, mode := w.Guard()
	create := fmt.Sprintf("%s %s BEFORE UPDATE ON %s FOR EACH ROW\n%s", w.ddl.CreateTrigger, w.trigger, w.table, w.body(w.p.Table.Guard))
	drop := "DROP TRIGGER IF EXISTS " + w.trigger
	step := dialects.SchemaStep{
		ID: "trigger", SQL: []string{create}, Lock: dialects.LockAll, LockName: "metadata lock", Work: dialects.WorkInstant,
		Observe: "information_schema.TRIGGERS has the trigger with this text", Undo: []string{drop},
		Done: state == dialects.GuardOK && mode == w.p.Table.Guard,
	}
	if !w.ddl.Replace {
		step.File = []string{drop, create}
		if w.f.Has("trigger") && state != dialects.GuardMissing {
			step.SQL = step.File
		}
	}
	return step
}

// Guard compares the trigger with what it should be.
func (w *writer) Guard() (dialects.GuardState, dialects.GuardMode) {
	for _, f := range w.f.All("trigger") {
		if !strings.EqualFold(f.Name, w.name) {
			continue
		}
		for _, m := range []dialects.GuardMode{dialects.GuardEnforce, dialects.GuardStrict} {
			if sqlgen.Squeeze(f.Value) == sqlgen.Squeeze("BEFORE UPDATE\n"+w.body(m)) {
				return dialects.GuardOK, m
			}
		}
		return dialects.GuardChanged, dialects.GuardEnforce
	}
	return dialects.GuardMissing, dialects.GuardNone
}

// Unguard removes the trigger: before the column, or every UPDATE would fail.
func (w *writer) Unguard() []dialects.SchemaStep {
	if state, _ := w.Guard(); state == dialects.GuardMissing {
		return nil
	}
	return []dialects.SchemaStep{{
		ID: "drop-trigger", SQL: []string{"DROP TRIGGER IF EXISTS " + w.trigger}, Lock: dialects.LockAll, LockName: "metadata lock",
		Work: dialects.WorkInstant, Observe: "information_schema.TRIGGERS has no such trigger",
	}}
}

func (w *writer) DropColumn() []dialects.SchemaStep {
	if w.p.Column == nil {
		return nil
	}
	return []dialects.SchemaStep{w.alter("drop-column", "information_schema.COLUMNS has no such column", dialects.WorkInstant, false, "",
		"DROP COLUMN "+w.column)}
}

// findings tell whether the table fits.
func (w *writer) findings() []dialects.SchemaFinding {
	var out sqlgen.Findings
	p, f := w.p, w.f
	kind, engine := f.Name("kind"), f.Value("kind")
	versioned := kind == "SYSTEM VERSIONED"
	out.Refuse(kind != "BASE TABLE" && !versioned, "not-a-table", p.Table.Name+" is a "+strings.ToLower(kind), "name the table that holds the rows")
	out.Refuse(!strings.EqualFold(engine, "InnoDB") && engine != "", "engine", p.Table.Name+" is stored by "+engine+", which undoes nothing when a statement fails",
		"ALTER TABLE ... ENGINE=InnoDB, in a quiet hour")
	out.Refuse(len(p.Key) == 0, "no-key", p.Table.Name+" has no primary key", "add one: a version belongs to a row that can be named")
	if p.Column == nil {
		const elsewhere = "add the column with gh-ost --include-triggers or pt-online-schema-change, or with ALGORITHM=INPLACE in a quiet hour, then run this again"
		out.Refuse(versioned, "system-versioned", p.Table.Name+" keeps its history (system versioning)", "SET system_versioning_alter_history=KEEP and add the column by hand, then run this again")
		out.Refuse(strings.EqualFold(f.Name("rows"), "Compressed"), "compressed", p.Table.Name+" is compressed: a column cannot be added instantly", elsewhere)
		out.Refuse(f.Has("fulltext"), "fulltext", p.Table.Name+" has a full-text index: a column cannot be added instantly", elsewhere)
		versions, _ := strconv.Atoi(f.Value("versions"))
		out.Refuse(versions >= 60, "row-versions", fmt.Sprintf("%s was changed instantly %d times, of 64", p.Table.Name, versions), "rebuild it first: OPTIMIZE TABLE, or gh-ost")
	}
	out.Warn(p.Column == nil && !p.Table.Invisible, "insert-list", "INSERT INTO "+p.Table.Name+" VALUES (...) without a column list will fail",
		"name the columns there, or add the column with --invisible")
	out.Warn(p.Table.Guard != dialects.GuardNone && !f.Has("trigger"), "online-tools", "tools that copy the table need to be told of its trigger",
		"gh-ost: --include-triggers; pt-online-schema-change: --preserve-triggers")
	cascade := f.Has("cascade")
	out.Warn(cascade && p.Table.Guard != dialects.GuardNone, "cascade", "foreign keys write this table ("+strings.Join(f.Names("cascade"), ", ")+
		") without firing triggers: their writes do not move the version", "change those columns with UPDATE statements, or live with it")
	out.Drift(f.Has("index"), "indexed", "an index holds the version ("+strings.Join(f.Names("index"), ", ")+"), so that every update writes it too",
		"drop the index, or leave the version out of it")
	w.mayFindings(&out)
	w.columnFindings(&out)
	return out
}

// mayFindings tell whether the user may do what there is to do.
func (w *writer) mayFindings(out *sqlgen.Findings) {
	f, may := w.f, w.f.Names("privilege")
	need := []string{"ALTER", "SELECT", "UPDATE"}
	if w.p.Table.Guard != dialects.GuardNone {
		need = append(need, "TRIGGER")
	}
	if w.p.Table.History != "" {
		need = append(need, "CREATE", "INSERT")
	}
	lacks := slices.DeleteFunc(need, func(n string) bool { return slices.Contains(may, n) })
	out.Deny(len(lacks) > 0 && f.Has("role") && f.Name("role") == "NONE", "privileges", "the user lacks "+strings.Join(lacks, ", "), "GRANT them on the table's database")
	on := func(v string) bool { return v == "1" || strings.EqualFold(v, "ON") }
	super := slices.Contains(may, "SUPER") || slices.Contains(may, "SET_USER_ID")
	out.Deny(w.p.Table.Guard != dialects.GuardNone && on(f.Name("binlog")) && !on(f.Value("binlog")) && !super, "binlog",
		"the binary log is on, and the user has no SUPER: the server would refuse to create the trigger (error 1419)",
		"SET GLOBAL log_bin_trust_function_creators = 1, or choose the guard none")
}

func (w *writer) columnFindings(out *sqlgen.Findings) {
	c, f := w.p.Column, w.f
	if c == nil {
		return
	}
	typ := strings.ToLower(c.Type)
	fits := strings.HasPrefix(typ, "bigint") || strings.HasPrefix(typ, "int")
	if w.token() {
		fits = typ == "uuid" || strings.Contains(typ, "char(") && sqlgen.Length(typ) >= sqlgen.TokenLength
	}
	out.Refuse(!fits, "type", fmt.Sprintf("column %s has type %s, which does not hold a %s", c.Name, c.Type, w.p.Table.Kind), "choose another name for the version column")
	extra := strings.ToLower(f.Value("nullable"))
	out.Refuse(strings.Contains(extra, "generated") && !strings.Contains(extra, "default_generated") || strings.Contains(extra, "auto_increment"),
		"generated", "column "+c.Name+" is generated", "choose another name for the version column")
	out.Refuse(slices.ContainsFunc(w.p.Key, func(k dialects.SchemaColumn) bool { return strings.EqualFold(k.Name, c.Name) }), "in-key",
		"column "+c.Name+" is part of the primary key", "choose another name for the version column")
	if !fits || w.token() {
		return
	}
	_, constant := sqlgen.IntegerDefault(c.Default)
	out.Refuse(c.Default != "" && !constant, "default", fmt.Sprintf("column %s has the default %s", c.Name, c.Default),
		"give it a constant, or choose another name for the version column")
	out.Warn(strings.HasPrefix(typ, "int"), "int32", "column "+c.Name+" ends at 2,147,483,647", "it is kept: a wider type would rewrite the table; watch max("+c.Name+")")
	out.Warn(c.Nullable, "nullable", fmt.Sprintf("column %s may be NULL, which stands for %d until the backfill is through", c.Name, w.p.Initial),
		fmt.Sprintf("readers must use COALESCE(%s, %d) as long as that lasts", c.Name, w.p.Initial))
}
