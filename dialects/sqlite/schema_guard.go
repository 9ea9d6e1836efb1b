package sqlite

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

const newToken = "lower(hex(randomblob(16)))"

// kinds are the triggers of a guard, by the names of their steps.
//
//	guard refuses, before the row is written
//	bump  moves the version afterwards, since a trigger cannot assign to NEW
//	fill  gives new rows a version, where the column has no default
func (w *writer) wanted() []string {
	switch w.p.Table.Guard {
	case dialects.GuardEnforce:
		if w.token() {
			return []string{"bump"} // any other token is a change
		}
		return []string{"guard", "bump"}
	case dialects.GuardStrict:
		return []string{"strict"}
	default:
		return nil
	}
}

// text is the trigger of a kind.
func (w *writer) text(kind string) string {
	c, col := w.p.Column, w.column
	nullable := c != nil && c.Nullable
	var timing, when, do string
	update := func(next string) string {
		return fmt.Sprintf("UPDATE %s SET %s = %s WHERE %s", w.table, col, next, w.same())
	}
	switch kind {
	case "guard", "strict":
		timing = "BEFORE UPDATE"
		when, do = w.refusal(kind, nullable)
	case "bump":
		timing, when = "AFTER UPDATE", fmt.Sprintf("NEW.%[1]s IS OLD.%[1]s", col)
		next := fmt.Sprintf("OLD.%s + 1", col)
		if nullable {
			next = fmt.Sprintf("COALESCE(OLD.%s, %s) + 1", col, w.initial())
		}
		if w.token() {
			next = newToken
		}
		do = update(next)
	case "fill":
		timing, when = "AFTER INSERT", fmt.Sprintf("NEW.%s IS NULL", col)
		next := w.initial()
		if w.token() {
			when, next = fmt.Sprintf("NEW.%[1]s IS NULL OR NEW.%[1]s = %[2]s", col, zeroToken), newToken
		}
		do = update(next)
	}
	return fmt.Sprintf("CREATE TRIGGER %s %s ON %s FOR EACH ROW\nWHEN %s\nBEGIN\n  %s;\nEND", w.quote(w.object(kind)), timing, w.table, when, do)
}

// refusal is when and how a write is refused.
func (w *writer) refusal(kind string, nullable bool) (when, do string) {
	op, why := "<", "must not go back: read the row again and decide again"
	if kind == "strict" {
		op, why = "<=", "must move up with every write"
	}
	if w.token() {
		op = "IS"
	}
	when = fmt.Sprintf("NEW.%[1]s %[2]s OLD.%[1]s", w.column, op)
	if nullable {
		when = fmt.Sprintf("OLD.%[1]s IS NOT NULL AND (NEW.%[1]s IS NULL OR NEW.%[1]s %[2]s OLD.%[1]s)", w.column, op)
	}
	name := strings.ReplaceAll(w.p.Table.Name+"."+w.p.Table.Column, "'", "''")
	return when, fmt.Sprintf("SELECT RAISE(ABORT, 'occkit: %s %s')", name, why)
}

// same finds the row that fired the trigger.
func (w *writer) same() string {
	if !w.f.Has("without rowid") && !w.f.Has("shadowed") {
		return "rowid = NEW.rowid"
	}
	var terms []string
	for _, k := range w.key {
		terms = append(terms, fmt.Sprintf("%[1]s = NEW.%[1]s", k))
	}
	return strings.Join(terms, " AND ")
}

// present is the text of one of the guard's triggers in the schema.
func (w *writer) present(kind string) (text string, ok bool) {
	for _, f := range w.f.All("trigger") {
		if strings.EqualFold(f.Name, w.object(kind)) {
			return f.Value, true
		}
	}
	return "", false
}

func (w *writer) fits(kind string) bool {
	text, ok := w.present(kind)
	return ok && sqlgen.Squeeze(text) == sqlgen.Squeeze(w.text(kind))
}

func (w *writer) drop(kind string) string {
	return "DROP TRIGGER IF EXISTS " + w.quote(w.object(kind))
}

// trigger makes one trigger. A second one that bumps would never come to an end
// where recursive_triggers is on, so the old one goes in the same transaction.
func (w *writer) trigger(kind string) dialects.SchemaStep {
	create, sql := w.text(kind), []string(nil)
	if _, ok := w.present(kind); ok {
		sql = append(sql, w.drop(kind))
	}
	s := w.step("trigger-"+kind, "sqlite_schema has the trigger with this text", dialects.WorkInstant, w.fits(kind),
		[]string{w.drop(kind)}, append(sql, create)...)
	s.File = []string{w.drop(kind), create}
	return s
}

// guards makes what is wanted. Guard comes before bump: alone it refuses, and
// refuses too little at most.
func (w *writer) guards() []dialects.SchemaStep {
	var steps []dialects.SchemaStep
	for _, kind := range w.wanted() {
		steps = append(steps, w.trigger(kind))
	}
	return steps
}

// unwanted removes the triggers of another mode.
func (w *writer) unwanted() []dialects.SchemaStep {
	var steps []dialects.SchemaStep
	for _, kind := range []string{"bump", "guard", "strict"} {
		if _, ok := w.present(kind); ok && !slices.Contains(w.wanted(), kind) {
			steps = append(steps, w.step("drop-"+kind, "sqlite_schema has no such trigger", dialects.WorkInstant, false, nil, w.drop(kind)))
		}
	}
	return steps
}

func (w *writer) Unguard() []dialects.SchemaStep {
	var steps []dialects.SchemaStep
	for _, kind := range []string{"bump", "guard", "strict"} {
		if _, ok := w.present(kind); ok {
			steps = append(steps, w.step("drop-"+kind, "sqlite_schema has no such trigger", dialects.WorkInstant, false, nil, w.drop(kind)))
		}
	}
	return steps
}

func (w *writer) DropColumn() []dialects.SchemaStep {
	var steps []dialects.SchemaStep
	if _, ok := w.present("fill"); ok {
		steps = append(steps, w.step("drop-fill", "sqlite_schema has no such trigger", dialects.WorkInstant, false, nil, w.drop("fill")))
	}
	if w.p.Column == nil {
		return steps
	}
	return append(steps, w.step("drop-column", "pragma_table_xinfo has no such column", dialects.WorkRewrite, false, nil,
		fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", w.table, w.column)))
}

// Guard compares the triggers with what they should be.
func (w *writer) Guard() (dialects.GuardState, dialects.GuardMode) {
	count := 0
	mode := dialects.GuardNone
	for kind, means := range map[string]dialects.GuardMode{"bump": dialects.GuardEnforce, "strict": dialects.GuardStrict} {
		if _, ok := w.present(kind); ok {
			count++
			mode = means
		}
	}
	_, guard := w.present("guard")
	if count == 0 && !guard {
		return dialects.GuardMissing, dialects.GuardNone
	}
	want := *w
	p := *w.p
	p.Table.Guard = mode
	want.p = &p
	fits := count == 1 && guard == slices.Contains(want.wanted(), "guard")
	for _, kind := range want.wanted() {
		fits = fits && want.fits(kind)
	}
	if !fits {
		return dialects.GuardChanged, mode
	}
	return dialects.GuardOK, mode
}

// findings tell whether the table fits.
func (w *writer) findings() []dialects.SchemaFinding {
	var out sqlgen.Findings
	p, f := w.p, w.f
	kind := f.Value("table")
	out.Refuse(kind != "table", "not-a-table", p.Table.Name+" is a "+kind, "name the table that holds the rows")
	out.Refuse(len(p.Key) == 0, "no-key", p.Table.Name+" has no primary key", "add one: a version belongs to a row that can be named")
	out.Warn(p.Column == nil, "insert-list", "INSERT INTO "+p.Table.Name+" VALUES (...) without a column list will fail", "name the columns there")
	if p.Table.Guard != dialects.GuardNone {
		others := w.writers()
		out.Refuse(len(others) > 0, "trigger-writes", "another trigger updates the row ("+strings.Join(others, ", ")+
			"): the version would move twice, and what RETURNING says would be wrong",
			"choose the guard none, or let that trigger set the version as well")
	}
	if c := p.Column; c != nil {
		out.Refuse(!w.token() && !integerType(c.Type) || w.token() && integerType(c.Type), "type",
			fmt.Sprintf("column %s has type %s, which does not hold a %s", c.Name, c.Type, p.Table.Kind), "choose another name for the version column")
		out.Refuse(f.Has("generated"), "generated", "column "+c.Name+" is generated", "choose another name for the version column")
		out.Refuse(slices.ContainsFunc(p.Key, func(k dialects.SchemaColumn) bool { return k.Name == c.Name }), "in-key",
			"column "+c.Name+" is part of the primary key", "choose another name for the version column")
		_, constant := sqlgen.IntegerDefault(c.Default)
		out.Refuse(!w.token() && c.Default != "" && !constant && !strings.EqualFold(c.Default, "null"), "default",
			fmt.Sprintf("column %s has the default %s", c.Name, c.Default), "choose another name for the version column")
		out.Warn(!c.Nullable && c.Default == "", "no-default", "column "+c.Name+" is NOT NULL without a default, which SQLite cannot add",
			"let every INSERT name a version, as occkit does")
		out.Warn(c.Nullable, "nullable", "column "+c.Name+" may be NULL, and SQLite cannot change that together with a default",
			"it stays so; a trigger gives new rows a version")
	}
	out.Drift(f.Has("index"), "indexed", "an index holds the version ("+strings.Join(f.Names("index"), ", ")+"), so that every update writes it too",
		"drop the index, or leave the version out of it")
	return out
}

func integerType(typ string) bool { return strings.Contains(strings.ToUpper(typ), "INT") }

// writers are the triggers of others, on UPDATE, that update the same table.
func (w *writer) writers() []string {
	own := []string{w.object("bump"), w.object("guard"), w.object("strict"), w.object("fill")}
	table := "[`\"\\[]?" + regexp.QuoteMeta(w.p.Table.Name) + "[`\"\\]]?"
	head := regexp.MustCompile(`(?is)\bUPDATE\b[^;]*?\bON\b`)
	writes := regexp.MustCompile(`(?is)\bBEGIN\b.*\bUPDATE\s+(?:OR\s+\w+\s+)?` + table + `\s+SET\b`)
	var found []string
	for _, f := range w.f.All("trigger") {
		if !slices.Contains(own, f.Name) && head.MatchString(f.Value) && writes.MatchString(f.Value) {
			found = append(found, f.Name)
		}
	}
	return found
}
