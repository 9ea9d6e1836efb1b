package mariadb

import "github.com/occkit/occkit/dialects/mysql"

// ddl is what MariaDB does: it takes LOCK=NONE together with INSTANT, knows
// IF NOT EXISTS and OR REPLACE, does not wait at all when lock_wait_timeout is 0,
// and counts no instant changes.
// https://mariadb.com/docs/server/reference/sql-statements/data-definition/alter/alter-table
var ddl = mysql.DDL{
	Product: "MariaDB", AddColumn: "ADD COLUMN IF NOT EXISTS", Exists: true,
	Instant: ", ALGORITHM=INSTANT, LOCK=NONE", Online: ", ALGORITHM=INPLACE, LOCK=NONE",
	CreateTrigger: "CREATE OR REPLACE TRIGGER", Replace: true, Isolation: "tx_isolation",
	Counting: "SET STATEMENT max_statement_time = 2 FOR SELECT",
}
