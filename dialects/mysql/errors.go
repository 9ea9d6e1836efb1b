package mysql

import (
	"database/sql/driver"
	"errors"
	"strings"

	"github.com/go-sql-driver/mysql"

	"github.com/occkit/occkit/dialects"
)

// numbers are the error numbers of MySQL, MariaDB and TiDB that occkit knows.
// Up to 1880 or so they are common to all; above, a number belongs to one.
// https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html
// https://mariadb.com/docs/server/reference/error-codes
// https://docs.pingcap.com/tidb/stable/error-codes
var numbers = map[uint16]dialects.Class{
	1213: dialects.Conflict, // deadlock, and Galera's certification failure
	1020: dialects.Conflict, // MariaDB: record has changed since last read
	3101: dialects.Conflict, // Group Replication rolled back during commit
	1412: dialects.Conflict, // table definition has changed since the snapshot
	8002: dialects.Conflict, // TiDB: SELECT FOR UPDATE met a write conflict
	8005: dialects.Conflict, // TiDB: write conflict, in the words of its docs
	8022: dialects.Conflict, // TiDB: commit failed, rolled back
	8028: dialects.Conflict, // TiDB: schema changed during the transaction
	8147: dialects.Conflict, // TiDB: cannot retry, rolled back
	8229: dialects.Conflict, // TiDB: the transaction took too long
	9007: dialects.Conflict, // TiDB: write conflict

	// The statement is undone; the transaction is open and half done.
	1205: dialects.Busy, // lock wait timeout; MariaDB's NOWAIT as well
	3572: dialects.Busy, // NOWAIT

	1615: dialects.Replan, // prepared statement needs to be re-prepared
	1243: dialects.Replan, // unknown prepared statement

	1022: dialects.Duplicate, // duplicate key in table
	1062: dialects.Duplicate, // duplicate entry
	1586: dialects.Duplicate, // duplicate entry, with the key's name

	1264: dialects.Overflow, // out of range value for column
	1690: dialects.Overflow, // value is out of range in expression

	1044: dialects.Rejected, // access denied to database
	1045: dialects.Rejected, // access denied
	1048: dialects.Rejected, // column cannot be null
	1054: dialects.Rejected, // unknown column
	1064: dialects.Rejected, // syntax
	1142: dialects.Rejected, // command denied
	1146: dialects.Rejected, // no such table
	1305: dialects.Rejected, // no such savepoint: the outer transaction is gone
	1364: dialects.Rejected, // field has no default
	1366: dialects.Rejected, // incorrect value for column
	1406: dialects.Rejected, // data too long
	1451: dialects.Rejected, // foreign key: row is referenced
	1452: dialects.Rejected, // foreign key: no referenced row
	1644: dialects.Rejected, // SIGNAL of a trigger or procedure
	3819: dialects.Rejected, // check constraint
	4025: dialects.Rejected, // MariaDB: check constraint
	8004: dialects.Rejected, // TiDB: transaction too large
	8025: dialects.Rejected, // TiDB: entry too large
	9500: dialects.Rejected, // TiDB: statement not allowed

	1040: dialects.Unavailable, // too many connections
	1203: dialects.Unavailable, // too many connections of the user
	1226: dialects.Unavailable, // resource limit of the user
	1290: dialects.Unavailable, // server runs with --read-only
	1792: dialects.Unavailable, // transaction is read-only
	1836: dialects.Unavailable, // server is in read-only mode

	1053: dialects.Lost, // server shutdown in progress
	1152: dialects.Lost, // 1152 to 1161: the server gave up the connection
	1153: dialects.Lost,
	1154: dialects.Lost,
	1155: dialects.Lost,
	1156: dialects.Lost,
	1157: dialects.Lost,
	1158: dialects.Lost,
	1159: dialects.Lost,
	1160: dialects.Lost,
	1161: dialects.Lost,
	1927: dialects.Lost, // MariaDB: connection was killed
	4031: dialects.Lost, // MySQL: disconnected because of inactivity
	9001: dialects.Lost, // 9001 to 9006: TiDB cannot reach its store
	9002: dialects.Lost,
	9003: dialects.Lost,
	9004: dialects.Lost,
	9005: dialects.Lost,
	9006: dialects.Lost,

	1180: dialects.Indeterminate, // error during COMMIT
	3100: dialects.Indeterminate, // a replication hook failed

	1317: dialects.Canceled, // KILL QUERY
	1969: dialects.Canceled, // MariaDB: max_statement_time
	3024: dialects.Canceled, // max_execution_time

	// Full disks undo a statement, and may leave a COMMIT anywhere.
	3:    dialects.Unknown, // error writing a file
	1021: dialects.Unknown, // disk full
	1030: dialects.Unknown, // error of the storage engine
	1105: dialects.Unknown, // TiDB and Vitess say it for anything
	1114: dialects.Unknown, // table is full
}

// families are the classes of SQLSTATEs, their first two characters, that judge
// the error numbers which are not listed. HY000, which most errors have, proves
// nothing.
var families = map[string]dialects.Class{
	"21": dialects.Rejected, // cardinality violation
	"22": dialects.Rejected, // data exception
	"23": dialects.Rejected, // integrity constraint violation
	"28": dialects.Rejected, // invalid authorization
	"42": dialects.Rejected, // syntax error or access rule violation
	"45": dialects.Rejected, // SIGNAL
}

// Classify tells what an error of MySQL proves.
func (Dialect) Classify(err error) dialects.Class {
	var server *mysql.MySQLError
	switch {
	case errors.As(err, &server):
		return classifyServer(server)
	case errors.Is(err, driver.ErrBadConn):
		// This driver says so only when it wrote nothing, or when the server
		// refused for being read-only (rejectReadOnly).
		return dialects.NotSent
	case isAny(err, mysql.ErrInvalidConn, mysql.ErrMalformPkt, mysql.ErrPktSync, mysql.ErrPktSyncMul, mysql.ErrBusyBuffer):
		return dialects.Lost
	case isAny(err, mysql.ErrPktTooLarge, mysql.ErrNoTLS, mysql.ErrCleartextPassword, mysql.ErrNativePassword,
		mysql.ErrOldPassword, mysql.ErrUnknownPlugin, mysql.ErrOldProtocol):
		return dialects.Rejected
	default:
		return dialects.ClassifyTransport(err)
	}
}

func classifyServer(e *mysql.MySQLError) dialects.Class {
	// Galera: the node has left the primary component. Elsewhere the number
	// means a command that the server does not know.
	if e.Number == 1047 {
		if strings.Contains(e.Message, "WSREP") {
			return dialects.Unavailable
		}
		return dialects.Rejected
	}
	if class, ok := numbers[e.Number]; ok {
		return class
	}
	return families[string(e.SQLState[:2])]
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
