package mariadb_test

import (
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

// MariaDB's own numbers; the table of the family is tested where it is.
func TestClassify(t *testing.T) {
	t.Parallel()
	for number, class := range map[uint16]dialects.Class{
		1020: dialects.Conflict, // innodb_snapshot_isolation
		1213: dialects.Conflict, // Galera's certification as well
		1205: dialects.Busy,     // NOWAIT as well
		1927: dialects.Lost,
		1969: dialects.Canceled,
		4025: dialects.Rejected,
		1180: dialects.Indeterminate,
	} {
		sqlgentest.Class(t, mariadb.New(), class, &mysql.MySQLError{Number: number})
	}
}
