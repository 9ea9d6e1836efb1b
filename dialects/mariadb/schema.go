package mariadb

import (
	"time"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/mysql"
)

var _ dialects.SchemaChanger = Dialect{}

// schema is what MariaDB does: it takes LOCK=NONE together with INSTANT, knows
// IF NOT EXISTS and OR REPLACE, does not wait at all when lock_wait_timeout is 0,
// and counts no instant changes.
// https://mariadb.com/docs/server/reference/sql-statements/data-definition/alter/alter-table
func (d Dialect) schema() mysql.Schema {
	return mysql.Schema{
		Syntax: d.Syntax, Product: "MariaDB", AddColumn: "ADD COLUMN IF NOT EXISTS", Exists: true,
		Instant: ", ALGORITHM=INSTANT, LOCK=NONE", Online: ", ALGORITHM=INPLACE, LOCK=NONE",
		CreateTrigger: "CREATE OR REPLACE TRIGGER", Replace: true, Isolation: "tx_isolation",
	}
}

// SchemaFacts returns the queries of everything that SchemaPlan reads.
func (d Dialect) SchemaFacts(t *dialects.VersionTable) ([]dialects.SchemaQuery, error) {
	return d.schema().SchemaFacts(t)
}

// SchemaPlan reads what [Dialect.SchemaFacts] asked for.
func (d Dialect) SchemaPlan(t *dialects.VersionTable, f dialects.SchemaFacts) (dialects.SchemaPlan, error) {
	return d.schema().SchemaPlan(t, f)
}

// SchemaAttempt bounds the wait for the metadata lock.
func (d Dialect) SchemaAttempt(p *dialects.SchemaPlan, step *dialects.SchemaStep, wait time.Duration) (dialects.SchemaAttempt, error) {
	return d.schema().SchemaAttempt(p, step, wait)
}

// SchemaBlockers asks for the transactions that are open.
func (d Dialect) SchemaBlockers(p *dialects.SchemaPlan) (dialects.SchemaQuery, error) {
	return d.schema().SchemaBlockers(p)
}

// SchemaChunk writes the statements of one part of a backfill.
func (d Dialect) SchemaChunk(p *dialects.SchemaPlan, c dialects.SchemaChunk) (dialects.SchemaChunkSQL, error) {
	return d.schema().SchemaChunk(p, c)
}

// SchemaProbe tries the guard.
func (d Dialect) SchemaProbe(p *dialects.SchemaPlan) (dialects.SchemaProbe, error) {
	return d.schema().SchemaProbe(p)
}

// SchemaOwn writes the statements of a table of occkit's own.
func (d Dialect) SchemaOwn(schema string, t *dialects.OwnTable) (dialects.OwnSQL, error) {
	return d.schema().SchemaOwn(schema, t)
}

// SchemaFile bounds the waits of a file.
func (d Dialect) SchemaFile(p *dialects.SchemaPlan, work dialects.SchemaWork) (dialects.SchemaFile, error) {
	return d.schema().SchemaFile(p, work)
}
