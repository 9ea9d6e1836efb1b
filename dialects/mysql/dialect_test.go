package mysql_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/mysql"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

func TestStatements(t *testing.T) {
	t.Parallel()
	sqlgentest.Golden(t, mysql.New(), "testdata")
}

func TestSessionCheck(t *testing.T) {
	t.Parallel()
	query, judge := mysql.New().SessionCheck()
	require.Contains(t, query, "@@session.autocommit + 0")
	for _, settings := range []string{
		"1;utf8mb4;STRICT_TRANS_TABLES",
		"1;latin1;ANSI,STRICT_ALL_TABLES,NO_ZERO_DATE",
		"1;utf8mb3;strict_trans_tables",
	} {
		require.NoError(t, judge(settings))
	}
	for settings, want := range map[string]string{
		"0;utf8mb4;STRICT_TRANS_TABLES": "add autocommit=1 to the DSN",
		"OFF;utf8mb4;STRICT_ALL_TABLES": "add autocommit=1 to the DSN",
		"1;utf8mb4;":                    "add sql_mode=%27STRICT_ALL_TABLES%27 to the DSN",
		"1;utf8mb4;ANSI,NOT_STRICT_ALL": "without strict mode",
		"1;gbk;STRICT_TRANS_TABLES":     "add charset=utf8mb4 to the DSN",
		"1":                             "are not autocommit;charset;sql_mode",
		"":                              "are not autocommit;charset;sql_mode",
	} {
		require.ErrorContains(t, judge(settings), want)
	}
}
