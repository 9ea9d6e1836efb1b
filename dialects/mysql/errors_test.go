package mysql_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"testing"

	gomysql "github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/mysql"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

var classes = map[dialects.Class][]uint16{
	dialects.Conflict:  {1213, 1020, 3101, 1412, 9007, 8002, 8005, 8022, 8028, 8147, 8229},
	dialects.Busy:      {1205, 3572},
	dialects.Replan:    {1615, 1243},
	dialects.Duplicate: {1062, 1586, 1022},
	dialects.Overflow:  {1264, 1690},
	dialects.Rejected: {
		1044, 1045, 1142, 1054, 1064, 1146, 1048, 1305, 1364, 1366, 1406, 1451, 1452, 1644, 3819, 4025,
		8004, 8025, 9500, 1047,
	},
	dialects.Unavailable:   {1290, 1792, 1836, 1040, 1203, 1226},
	dialects.Lost:          {1053, 1152, 1153, 1154, 1155, 1156, 1157, 1158, 1159, 1160, 1161, 1927, 4031, 9001, 9002, 9003, 9004, 9005, 9006},
	dialects.Indeterminate: {1180, 3100},
	dialects.Canceled:      {1317, 1969, 3024},
	dialects.Unknown:       {1105, 1114, 1021, 1030, 3, 1151, 1162, 9000, 9008, 65535},
}

func TestClassifyNumbers(t *testing.T) {
	t.Parallel()
	for class, numbers := range classes {
		for _, number := range numbers {
			sqlgentest.Class(t, mysql.New(), class, &gomysql.MySQLError{Number: number})
		}
	}
}

// Numbers that are not listed are judged by their SQLSTATE, listed ones never.
func TestClassifyStates(t *testing.T) {
	t.Parallel()
	state := func(number uint16, state string) error {
		e := &gomysql.MySQLError{Number: number}
		copy(e.SQLState[:], state)
		return e
	}
	d := mysql.New()
	sqlgentest.Class(t, d, dialects.Rejected,
		state(1136, "21S01"), state(1292, "22007"), state(1217, "23000"), state(1227, "42000"), state(30001, "45000"), state(1698, "28000"))
	sqlgentest.Class(t, d, dialects.Unknown, state(1296, "HY000"), state(30001, "40001"), state(30001, "08S01"))
	sqlgentest.Class(t, d, dialects.Unavailable, state(1226, "42000"))
	sqlgentest.Class(t, d, dialects.Overflow, state(1264, "22003"))
}

func TestClassifyGalera(t *testing.T) {
	t.Parallel()
	sqlgentest.Class(t, mysql.New(), dialects.Unavailable,
		&gomysql.MySQLError{Number: 1047, Message: "WSREP has not yet prepared node for application use"})
	sqlgentest.Class(t, mysql.New(), dialects.Rejected,
		&gomysql.MySQLError{Number: 1047, Message: "Unknown command"})
}

func TestClassifyTransport(t *testing.T) {
	t.Parallel()
	d := mysql.New()
	sqlgentest.Class(t, d, dialects.NotSent, driver.ErrBadConn)
	sqlgentest.Class(t, d, dialects.Lost, gomysql.ErrInvalidConn, gomysql.ErrMalformPkt, gomysql.ErrPktSync,
		gomysql.ErrPktSyncMul, gomysql.ErrBusyBuffer, io.EOF, context.Canceled, context.DeadlineExceeded)
	sqlgentest.Class(t, d, dialects.Rejected, gomysql.ErrPktTooLarge, gomysql.ErrNoTLS, gomysql.ErrUnknownPlugin)
	sqlgentest.Class(t, d, dialects.Unknown, errors.New("Error 1213: Deadlock"))
	require.Equal(t, dialects.Unknown, d.Classify(nil))
}
