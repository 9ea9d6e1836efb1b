package postgres

import (
	"strings"

	"github.com/occkit/occkit/dialects"
)

// facts is one query, so that looking again while the lock is held costs one
// round trip. Arguments: the table for to_regclass, the column, the trigger, the
// check constraint, the functions of the guards, the name of the history.
const facts = `WITH c AS MATERIALIZED (
  SELECT c.oid, c.relname, c.relkind, c.relpersistence, c.relispartition, c.reltuples, c.relowner, c.relnamespace, n.nspname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1::text)
), a AS MATERIALIZED (
  SELECT a.attrelid, a.attnum, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull, a.attgenerated, a.attidentity,
    pg_get_expr(d.adbin, d.adrelid) AS expr
  FROM c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = $2::text AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
), f AS (
  SELECT kind, name, value, ord FROM (
  SELECT 'server' AS kind, current_setting('server_version')::text AS name, current_setting('server_version_num')::text AS value, 0::bigint AS ord
  UNION ALL SELECT 'target', '', format('PostgreSQL %s, database %s as %s', current_setting('server_version'), current_database(), current_user), 0
  UNION ALL SELECT 'deadlock', '', (SELECT setting FROM pg_settings WHERE name = 'deadlock_timeout'), 0
  UNION ALL SELECT 'table', relname::text, nspname::text, 0 FROM c
  UNION ALL SELECT 'relkind', relkind::text, relpersistence::text, 0 FROM c
  UNION ALL SELECT 'partition', '', '', 0 FROM c WHERE relispartition
  UNION ALL SELECT 'rows', '', greatest(c.reltuples, (SELECT sum(p.reltuples) FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = t.relid))::bigint::text, 0 FROM c
  UNION ALL SELECT 'owner', pg_get_userbyid(relowner)::text, '', 0 FROM c WHERE NOT pg_has_role(relowner, 'USAGE')
  UNION ALL SELECT 'nocreate', nspname::text, '', 0 FROM c WHERE NOT has_schema_privilege(relnamespace, 'CREATE')
  UNION ALL SELECT 'key', k.attname::text, format_type(k.atttypid, k.atttypmod), x.ord
    FROM c JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
    CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS x(att, ord)
    JOIN pg_attribute k ON k.attrelid = c.oid AND k.attnum = x.att
  UNION ALL SELECT 'column', type, CASE WHEN attnotnull THEN 'not null' ELSE '' END, 0 FROM a
  UNION ALL SELECT 'default', '', expr, 0 FROM a WHERE expr IS NOT NULL
  UNION ALL SELECT 'generated', '', '', 0 FROM a WHERE attgenerated::text <> '' OR attidentity::text <> ''
  UNION ALL SELECT 'check', conname::text, CASE WHEN convalidated THEN 'valid' ELSE '' END, 0
    FROM c JOIN pg_constraint ON conrelid = c.oid AND conname = $4::text
  UNION ALL SELECT 'function', proname::text, prosrc, 0 FROM c JOIN pg_proc ON pronamespace = c.relnamespace AND pronargs = 0 AND proname IN ($5::text, $6::text)
  UNION ALL SELECT 'used', p.proname::text, count(*)::text, 0
    FROM c JOIN pg_proc p ON p.pronamespace = c.relnamespace AND p.pronargs = 0 AND p.proname IN ($5::text, $6::text)
    JOIN pg_trigger t ON t.tgfoid = p.oid AND t.tgrelid <> c.oid AND t.tgparentid = 0 GROUP BY 1, 2
  UNION ALL SELECT 'trigger', tgname::text, concat(tgenabled, tgtype, ' ', p.pronamespace::regnamespace, '.', p.proname, cardinality(tgattr::int2[])), 0
    FROM c JOIN pg_trigger ON tgrelid = c.oid AND tgname = $3::text AND NOT tgisinternal JOIN pg_proc p ON p.oid = tgfoid
  UNION ALL SELECT 'when', tgname::text, pg_get_triggerdef(pg_trigger.oid), 0
    FROM c JOIN pg_trigger ON tgrelid = c.oid AND tgname = $3::text AND NOT tgisinternal
  UNION ALL SELECT 'index', i.indexrelid::regclass::text, '', i.indexrelid::bigint FROM a JOIN pg_index i ON i.indrelid = a.attrelid
    WHERE NOT i.indisprimary AND (a.attnum = ANY (i.indkey::int2[]) OR EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass
      AND d.objid = i.indexrelid AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))
  UNION ALL SELECT 'cascade', conname::text, '', pg_constraint.oid::bigint FROM c JOIN pg_constraint ON conrelid = c.oid AND contype = 'f'
    AND (confdeltype IN ('n', 'd') OR confupdtype IN ('c', 'n', 'd'))
  UNION ALL SELECT DISTINCT 'view', r.ev_class::regclass::text, '', 0 FROM c JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid
    AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite r ON r.oid = d.objid WHERE r.ev_class <> c.oid
  UNION ALL SELECT 'publication', pubname::text, '', 0 FROM c JOIN pg_publication_tables p ON p.schemaname = c.nspname AND p.tablename = c.relname
  UNION ALL SELECT 'history', h.relname::text, '', 0 FROM c JOIN pg_class h ON h.relnamespace = c.relnamespace AND h.relname = $7::text
  ) AS all_facts
)
SELECT kind, coalesce(name, ''), coalesce(value, '') FROM f ORDER BY kind, ord, name`

// SchemaFacts returns the query of everything that SchemaPlan reads.
func (d Dialect) SchemaFacts(t *dialects.VersionTable) ([]dialects.SchemaQuery, error) {
	name, err := d.Syntax.QuoteTable(t.Schema, t.Name)
	if err != nil {
		return nil, err
	}
	if _, err := d.Syntax.Quote(t.Column); err != nil {
		return nil, err
	}
	n := d.names(t)
	return []dialects.SchemaQuery{{Text: facts, Args: []any{
		name, t.Column, n.trigger, n.check, n.enforce, n.strict, t.History,
	}}}, nil
}

// blockers are the sessions that hold a lock on the table or its partitions.
// An autovacuum gives way to whoever has waited for deadlock_timeout, unless it
// runs to prevent a wraparound.
// https://www.postgresql.org/docs/current/routine-vacuuming.html#AUTOVACUUM
const blockers = `SELECT a.pid::text,
  concat_ws(' ', a.usename, nullif('app=' || a.application_name, 'app='), host(a.client_addr)),
  CASE WHEN a.backend_type = 'client backend' THEN coalesce(a.state, '') ELSE left(concat_ws(': ', a.backend_type, a.query), 100) END,
  string_agg(DISTINCT l.mode, ', '), coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::bigint,
  CASE WHEN a.backend_type = 'autovacuum worker' AND a.query NOT LIKE '%to prevent wraparound%'
    THEN (SELECT setting::bigint FROM pg_settings WHERE name = 'deadlock_timeout') ELSE 0 END,
  'SELECT pg_terminate_backend(' || a.pid || ')'
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'relation' AND l.granted AND a.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.relation = to_regclass($1::text) OR l.relation IN (SELECT relid FROM pg_partition_tree(to_regclass($1::text))))
GROUP BY a.pid, a.usename, a.application_name, a.client_addr, a.backend_type, a.state, a.query, a.xact_start
ORDER BY a.xact_start NULLS LAST LIMIT 5`

// SchemaBlockers asks pg_locks. Of other roles' sessions it tells the number
// alone, unless the role may read statistics (pg_read_all_stats).
func (d Dialect) SchemaBlockers(p *dialects.SchemaPlan) (dialects.SchemaQuery, error) {
	name, err := d.Syntax.QuoteTable(p.Table.Schema, p.Table.Name)
	return dialects.SchemaQuery{Text: blockers, Args: []any{name}}, err
}

// names are the names of the objects that belong to a version column.
type names struct{ trigger, check, enforce, strict string }

func (d Dialect) names(t *dialects.VersionTable) names {
	return names{
		// Triggers run in the order of their names: the last one sees what the
		// others made of the row.
		trigger: d.Syntax.ObjectName("zz_occkit", t.Column, "v1"),
		check:   d.Syntax.ObjectName("occkit", t.Column, "not_null"),
		enforce: d.Syntax.ObjectName("occkit_enforce", t.Kind.String(), t.Column, "v1"),
		strict:  d.Syntax.ObjectName("occkit_strict", t.Kind.String(), t.Column, "v1"),
	}
}

func (n names) function(m dialects.GuardMode) string {
	if m == dialects.GuardStrict {
		return n.strict
	}
	return n.enforce
}

// literal quotes a string.
func literal(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
