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

// replicas trusts replay_lag, which the server keeps counting up while a standby
// replays nothing, but not the last one of a standby that has caught up since, and
// not that of one that has fallen silent. A session that stores what it receives,
// such as a base backup, replays nothing and is left out.
// https://www.postgresql.org/docs/current/monitoring-stats.html#MONITORING-PG-STAT-REPLICATION-VIEW
const replicas = `SELECT coalesce(nullif(application_name, ''), pid::text),
  CASE WHEN replay_lsn >= pg_current_wal_lsn() THEN 0
    ELSE ceil(1000 * extract(epoch FROM greatest(replay_lag, clock_timestamp() - reply_time)))::bigint END
FROM pg_stat_replication WHERE replay_lsn IS NOT NULL AND pg_has_role('pg_read_all_stats', 'USAGE')
UNION ALL SELECT 'the role is not a member of pg_read_all_stats', -1 WHERE NOT pg_has_role('pg_read_all_stats', 'USAGE')
ORDER BY 2 DESC`

// SchemaReplicas asks pg_stat_replication.
func (Dialect) SchemaReplicas() (dialects.SchemaQuery, error) {
	return dialects.SchemaQuery{Text: replicas}, nil
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
