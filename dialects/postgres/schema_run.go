package postgres

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

// SchemaAttempt takes a step's lock with NOWAIT, or waits for it no longer than
// told. Settings are local to the transaction, so that poolers which lend
// connections per transaction do not mix them up.
func (d Dialect) SchemaAttempt(p *dialects.SchemaPlan, step *dialects.SchemaStep, wait time.Duration) (dialects.SchemaAttempt, error) {
	table, err := d.Syntax.QuoteTable(p.Table.Schema, p.Table.Name)
	if err != nil {
		return dialects.SchemaAttempt{}, err
	}
	a := dialects.SchemaAttempt{
		Begin: "BEGIN ISOLATION LEVEL READ COMMITTED",
		Mutex: "SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended(" +
			literal("occkit:migrations:"+p.Table.Schema) + ", 0)) THEN '1' ELSE '0' END",
	}
	a.Wait = wait
	limit := max(wait, time.Millisecond) // 0 would mean no limit
	a.Lock = append(a.Lock, fmt.Sprintf("SET LOCAL lock_timeout = '%dms'", limit.Milliseconds()))
	if modes := [...]string{"", "SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE", "ACCESS EXCLUSIVE"}; modes[step.Lock] != "" {
		statement := fmt.Sprintf("LOCK TABLE %s IN %s MODE", table, modes[step.Lock])
		if wait == 0 {
			statement += " NOWAIT"
		}
		a.Lock = append(a.Lock, statement)
	}
	if step.Lock == dialects.LockSchema || step.Lock == dialects.LockNone {
		a.Lock = append(a.Lock, "SET LOCAL statement_timeout = 0") // reads the table, and keeps nobody out
	}
	return a, nil
}

// SchemaChunk compares keys as the texts that they were read as, cast back to
// the type of the column, so that every driver can bind every type.
func (d Dialect) SchemaChunk(p *dialects.SchemaPlan, c dialects.SchemaChunk) (dialects.SchemaChunkSQL, error) {
	k, column, err := d.keyset(p)
	if err != nil {
		return dialects.SchemaChunkSQL{}, err
	}
	value := strconv.FormatInt(p.Initial, 10)
	if p.Table.Kind == dialects.Token {
		value = tokenOf(p.Column.Type)
	}
	out := d.Syntax.Chunk(k, column+" = "+value, column+" IS NULL", c)
	// A part that waits for one row keeps its other rows from their writers.
	out.Attempt = dialects.SchemaAttempt{
		Begin: "BEGIN ISOLATION LEVEL READ COMMITTED",
		Lock:  []string{"SET LOCAL lock_timeout = '100ms'", "SET LOCAL occkit.bypass = 'on'"},
	}
	return out, nil
}

func (d Dialect) keyset(p *dialects.SchemaPlan) (k sqlgen.Keyset, column string, err error) {
	if k.Table, err = d.Syntax.QuoteTable(p.Table.Schema, p.Table.Name); err != nil {
		return k, "", err
	}
	for _, c := range p.Key {
		name, err := d.Syntax.Quote(c.Name)
		if err != nil {
			return k, "", err
		}
		k.Key = append(k.Key, name)
	}
	k.Read = func(_ int, name string) string { return name + "::text" }
	k.Bind = func(i int, place string) string { return place + "::text::" + p.Key[i].Type }
	column, err = d.Syntax.Quote(p.Table.Column)
	return k, column, err
}

// SchemaProbe tries the guard.
func (d Dialect) SchemaProbe(p *dialects.SchemaPlan) (dialects.SchemaProbe, error) {
	k, column, err := d.keyset(p)
	jump, regress := column+" + 7", column+" - 1"
	if p.Table.Kind == dialects.Token {
		jump, regress = tokenOf(p.Column.Type), ""
	}
	probe := d.Syntax.Probe(k, column, jump, regress)
	probe.Read = strings.Replace(probe.Read, "SELECT "+column, "SELECT "+column+"::text", 1)
	probe.Begin = d.Begin()
	return probe, err
}

// SchemaOwn writes the statements of a table of occkit's own.
func (d Dialect) SchemaOwn(schema string, t *dialects.OwnTable) (dialects.OwnSQL, error) {
	return d.Syntax.Own(schema, t, sqlgen.OwnTypes{Int: "bigint", LongText: "text", Text: "varchar(%d)"})
}

// SchemaFile bounds the waits of a file, which cannot try again. Settings are
// local to the transaction that the file is run in.
func (Dialect) SchemaFile(_ *dialects.SchemaPlan, work dialects.SchemaWork) (dialects.SchemaFile, error) {
	limit := "5s"
	if work != dialects.WorkInstant {
		limit = "0"
	}
	return dialects.SchemaFile{
		Begin: "BEGIN", Commit: "COMMIT",
		Before: []string{"SET LOCAL lock_timeout = '200ms'", "SET LOCAL statement_timeout = '" + limit + "'"},
	}, nil
}
