package postgres

import (
	"fmt"
	"slices"
	"strings"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

// GuardCode is the SQLSTATE of a write that the guard refused. Class O is one
// that the standard leaves to implementations; OC000 and OC001 are taken by
// Aurora DSQL. https://www.postgresql.org/docs/current/errcodes-appendix.html
const GuardCode = "OCV01"

// body is what the function of a guard does. The trigger's WHEN clause has seen
// to it that the version did not move up.
func (w *writer) body(m dialects.GuardMode) string {
	kind, move := "must not go back from % to %", fmt.Sprintf("OLD.%[1]s + 1", w.column)
	if w.p.Table.Kind == dialects.Token {
		// The assignment turns it into the type of the column. Tables whose tokens
		// have other types share the function.
		move = "gen_random_uuid()"
	}
	var b strings.Builder
	b.WriteString("\nBEGIN\n")
	if m == dialects.GuardEnforce {
		fmt.Fprintf(&b, "  IF NEW.%[1]s = OLD.%[1]s THEN\n    NEW.%[1]s := %[2]s;\n    RETURN NEW;\n  END IF;\n", w.column, move)
	} else {
		kind = "must move up from %, the write leaves it at %"
	}
	fmt.Fprintf(&b, `  RAISE EXCEPTION 'occkit: the version of a row of %%.%% %[2]s',
      TG_TABLE_SCHEMA, TG_TABLE_NAME, OLD.%[1]s, NEW.%[1]s
    USING ERRCODE = '%[3]s', SCHEMA = TG_TABLE_SCHEMA, TABLE = TG_TABLE_NAME, COLUMN = %[4]s,
      HINT = 'the row has changed since it was read: read it again and decide again';
END
`, w.column, kind, GuardCode, literal(w.p.Table.Column))
	return b.String()
}

// when is the condition under which the function runs at all. A write of
// occkit's own, which moves the version, pays nothing for the guard.
func (w *writer) when() string {
	op := "<="
	if w.p.Table.Kind == dialects.Token {
		op = "="
	}
	return fmt.Sprintf("NEW.%[1]s %[2]s OLD.%[1]s AND current_setting('occkit.bypass', true) IS DISTINCT FROM 'on'", w.column, op)
}

// dollar quotes a function's body with a tag that is not in it.
func dollar(body string) string {
	tag := "$occkit$"
	for i := 0; strings.Contains(body, tag); i++ {
		tag = fmt.Sprintf("$occkit%d$", i)
	}
	return tag + body + tag
}

// guardSteps make the function and the trigger. CREATE OR REPLACE TRIGGER needs
// PostgreSQL 14, and the pair of statements is one transaction.
func (w *writer) guardSteps() []dialects.SchemaStep {
	m := w.p.Table.Guard
	name, body := w.functions[m], w.body(m)
	function := dialects.SchemaStep{
		ID: "function", LockName: "none on the table", Work: dialects.WorkInstant,
		SQL: []string{fmt.Sprintf("CREATE OR REPLACE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql AS %s", name, dollar(body))},
		// A function is shared by the tables whose version has the same name.
		Observe: "pg_proc has the function with this text", Done: w.source(m) == body,
	}
	if w.used(m) == "" {
		function.Undo = []string{"DROP FUNCTION IF EXISTS " + name + "()"}
	}
	state, mode := w.Guard()
	drop := fmt.Sprintf("DROP TRIGGER IF EXISTS %s ON %s", w.trigger, w.table)
	trigger := dialects.SchemaStep{
		ID: "trigger", Lock: dialects.LockAll, LockName: "ACCESS EXCLUSIVE", Work: dialects.WorkInstant,
		SQL: []string{drop, fmt.Sprintf("CREATE TRIGGER %s BEFORE UPDATE ON %s FOR EACH ROW\n  WHEN (%s)\n  EXECUTE FUNCTION %s()",
			w.trigger, w.table, w.when(), name)},
		Observe: "pg_trigger has the trigger, enabled, with this condition and function",
		Undo:    []string{drop}, Done: state == dialects.GuardOK && mode == m,
	}
	if !w.f.Has("trigger") {
		trigger.SQL, trigger.File = trigger.SQL[1:], trigger.SQL
		trigger.Lock, trigger.LockName = dialects.LockWrites, "SHARE ROW EXCLUSIVE"
	}
	return []dialects.SchemaStep{function, trigger}
}

// source is the text of a guard's function, used the number of other tables that
// share it.
func (w *writer) source(m dialects.GuardMode) string { return w.of("function", m) }
func (w *writer) used(m dialects.GuardMode) string   { return w.of("used", m) }

func (w *writer) of(kind string, m dialects.GuardMode) string {
	for _, f := range w.f.All(kind) {
		if f.Name == w.names.function(m) {
			return f.Value
		}
	}
	return ""
}

// Guard compares the trigger with what it should be. What counts is its
// enabling, its kind, its function and its condition: the catalog writes the
// rest in its own way.
func (w *writer) Guard() (dialects.GuardState, dialects.GuardMode) {
	if !w.f.Has("trigger") {
		return dialects.GuardMissing, dialects.GuardNone
	}
	has := w.f.Value("trigger")
	mode := dialects.GuardEnforce
	if strings.Contains(has, w.names.strict) {
		mode = dialects.GuardStrict
	}
	if has[0] == 'D' || has[0] == 'R' {
		return dialects.GuardDisabled, mode
	}
	// 19: BEFORE, ROW, UPDATE. 0: of any column.
	if want := "O19 " + w.regnamespace() + "." + w.names.function(mode) + "0"; has != want {
		return dialects.GuardChanged, mode
	}
	_, condition, _ := strings.Cut(w.f.Value("when"), " WHEN ")
	condition, _, _ = strings.Cut(condition, " EXECUTE ")
	if squeeze(condition) != squeeze(w.when()) || w.source(mode) != w.body(mode) {
		return dialects.GuardChanged, mode
	}
	return dialects.GuardOK, mode
}

// regnamespace is the schema as regnamespace prints it: quoted where it must be.
func (w *writer) regnamespace() string {
	if plain := "O19 " + w.p.Table.Schema + "."; strings.HasPrefix(w.f.Value("trigger"), plain) {
		return w.p.Table.Schema
	}
	return w.schema
}

func squeeze(condition string) string {
	return strings.ReplaceAll(sqlgen.Squeeze(condition), "::text", "")
}

// Unguard removes the trigger, the functions that no other table uses, and the
// constraint of a backfill that was given up.
func (w *writer) Unguard() []dialects.SchemaStep {
	var steps []dialects.SchemaStep
	if w.f.Has("trigger") {
		steps = append(steps, w.exclusive("drop-trigger", "pg_trigger has no such trigger", false, nil,
			fmt.Sprintf("DROP TRIGGER IF EXISTS %s ON %s", w.trigger, w.table)))
	}
	for _, m := range []dialects.GuardMode{dialects.GuardEnforce, dialects.GuardStrict} {
		if w.source(m) == "" || w.used(m) != "" {
			continue
		}
		steps = append(steps, dialects.SchemaStep{
			ID: "drop-function-" + m.String(), LockName: "none on the table", Work: dialects.WorkInstant,
			SQL:     []string{"DROP FUNCTION IF EXISTS " + w.functions[m] + "()"},
			Observe: "pg_proc has no such function",
		})
	}
	return steps
}

func (w *writer) DropColumn() []dialects.SchemaStep {
	var steps []dialects.SchemaStep
	if w.f.Has("check") {
		steps = append(steps, w.exclusive("drop-check", "pg_constraint has no such constraint", false, nil,
			w.alter("DROP CONSTRAINT IF EXISTS %s", w.check)))
	}
	if w.p.Column == nil {
		return steps
	}
	return append(steps, w.exclusive("drop-column", "pg_attribute has no such column", false, nil,
		w.alter("DROP COLUMN IF EXISTS %s", w.column)))
}

func missing(t *dialects.VersionTable) []dialects.SchemaFinding {
	var f sqlgen.Findings
	name := t.Name
	if t.Schema != "" {
		name = t.Schema + "." + name
	}
	f.Refuse(true, "no-table", fmt.Sprintf("there is no table %s", name), "check the spelling, the letter case, the schema and the search_path")
	return f
}

var reserved = []string{"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"}

// findings tell whether the table fits.
func findings(p *dialects.SchemaPlan, f dialects.SchemaFacts) []dialects.SchemaFinding {
	var out sqlgen.Findings
	t, kind := p.Table, f.Name("relkind")
	out.Refuse(kind != "r" && kind != "p", "not-a-table", fmt.Sprintf("%s is not an ordinary or partitioned table (relkind %s)", t.Name, kind),
		"name the table that holds the rows")
	out.Refuse(f.Value("relkind") == "t", "temporary", t.Name+" is a temporary table", "create it with the column")
	out.Refuse(f.Has("partition"), "partition", t.Name+" is a single partition", "name its parent: the column and the trigger reach all partitions")
	out.Refuse(len(p.Key) == 0, "no-key", t.Name+" has no primary key", "add one: a version belongs to a row that can be named")
	out.Refuse(slices.Contains(reserved, t.Column), "reserved", t.Column+" is a system column", "choose another name")
	owner := f.All("owner")
	out.Deny(len(owner) > 0, "not-owner", "the role does not own "+t.Name, "run as its owner ("+f.Name("owner")+") or as a member of that role")
	out.Deny(f.Has("nocreate") && t.Guard != dialects.GuardNone, "no-create", "the role may not create a function in schema "+f.Name("nocreate"),
		"GRANT CREATE ON SCHEMA "+f.Name("nocreate")+", or choose the guard none")
	out.Refuse(t.Guard == dialects.GuardStrict && f.Has("cascade"), "strict-cascade",
		"foreign keys write this table ("+strings.Join(f.Names("cascade"), ", ")+"), and strict would refuse their writes", "choose the guard enforce")
	out.Warn(t.Guard == dialects.GuardEnforce && f.Has("cascade"), "cascade",
		"foreign keys write this table ("+strings.Join(f.Names("cascade"), ", ")+"): their writes move the version too", "nothing, if that is what you want")
	out.Warn(p.Column == nil && f.Has("view"), "view", "views read this table ("+strings.Join(f.Names("view"), ", ")+") and do not gain the column",
		"create them again where they should show it")
	out.Warn(p.Column == nil && f.Has("publication"), "publication", "the table is published ("+strings.Join(f.Names("publication"), ", ")+")",
		"add the column on the subscribers first, or replication stops")
	out.Drift(f.Has("index"), "indexed", "an index holds the version ("+strings.Join(f.Names("index"), ", ")+"): no update of the table is a HOT update any more",
		"drop the index, or leave the version out of it")
	columnFindings(&out, p, f)
	return out
}

func columnFindings(out *sqlgen.Findings, p *dialects.SchemaPlan, f dialects.SchemaFacts) {
	c, t := p.Column, p.Table
	if c == nil {
		return
	}
	token := t.Kind == dialects.Token
	fits := !token && slices.Contains(integers, c.Type) || token && isToken(c.Type)
	out.Refuse(!fits, "type", fmt.Sprintf("column %s has type %s, which does not hold a %s", c.Name, c.Type, t.Kind), "choose another name for the version column")
	out.Refuse(f.Has("generated"), "generated", "column "+c.Name+" is generated or an identity", "choose another name for the version column")
	out.Refuse(slices.ContainsFunc(p.Key, func(k dialects.SchemaColumn) bool { return k.Name == c.Name }), "in-key",
		"column "+c.Name+" is part of the primary key", "choose another name for the version column")
	if !fits || token {
		return
	}
	_, constant := sqlgen.IntegerDefault(c.Default)
	out.Refuse(c.Default != "" && !constant, "default", fmt.Sprintf("column %s has the default %s, so that nobody can tell what NULL stands for", c.Name, c.Default),
		"give it a constant, or choose another name for the version column")
	out.Warn(c.Type == "integer", "int32", "column "+c.Name+" ends at 2,147,483,647", "it is kept: a wider type would rewrite the table; watch max("+c.Name+")")
	out.Warn(c.Nullable, "nullable", "column "+c.Name+" may be NULL, which stands for "+fmt.Sprint(p.Initial)+" until the backfill is through",
		"readers must use coalesce("+c.Name+", "+fmt.Sprint(p.Initial)+") as long as that lasts")
}
