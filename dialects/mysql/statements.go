package mysql

import (
	"errors"
	"fmt"
	"strings"
)

// Begin returns the text that opens a transaction. BEGIN would do the same,
// except inside stored programs, where it opens a block.
func (Dialect) Begin() string { return "START TRANSACTION" }

// escaping are the client character sets in which the second byte of a
// character may be a backtick or a backslash. A quoted name could end its quote
// inside of one.
var escaping = map[string]bool{"big5": true, "cp932": true, "gb18030": true, "gbk": true, "sjis": true}

// SessionCheck returns the query of the settings that checked writes depend on,
// and their judge:
//
//   - autocommit must be on, or a write outside of a transaction would never
//     be committed;
//   - sql_mode must be strict, or a version column that is full stays at its
//     greatest value with a mere warning, and every stale write matches;
//   - character_set_client must not be one in which names cannot be quoted.
func (Dialect) SessionCheck() (query string, judge func(settings string) error) {
	// As text, a switch is 1 on MySQL and ON on MariaDB; as a number it is 1.
	query = "SELECT CONCAT_WS(';', @@session.autocommit + 0, @@session.character_set_client, @@session.sql_mode)"
	return query, judgeSession
}

func judgeSession(settings string) error {
	fields := strings.SplitN(settings, ";", 3)
	if len(fields) != 3 {
		return fmt.Errorf("session settings %q are not autocommit;charset;sql_mode", settings)
	}
	autocommit, charset, mode := fields[0], strings.ToLower(fields[1]), fields[2]
	switch {
	case autocommit != "1":
		return errors.New("autocommit is off, so that writes outside of a transaction would never be committed: " +
			"add autocommit=1 to the DSN")
	case escaping[charset]:
		return fmt.Errorf("character_set_client is %s, in which names cannot be quoted safely: add charset=utf8mb4 to the DSN", charset)
	case !strict(mode):
		return fmt.Errorf("sql_mode is %q without strict mode, so that a full version column would stop moving silently: "+
			"add sql_mode=%%27STRICT_ALL_TABLES%%27 to the DSN", mode)
	}
	return nil
}

func strict(mode string) bool {
	for m := range strings.SplitSeq(strings.ToUpper(mode), ",") {
		if m == "STRICT_TRANS_TABLES" || m == "STRICT_ALL_TABLES" {
			return true
		}
	}
	return false
}
