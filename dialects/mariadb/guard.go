package mariadb

import (
	"errors"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/occkit/occkit/dialects"
)

// A unit of work travels as one compound statement, which needs no stored
// procedure. A guard raises a condition of its own in it.
// https://mariadb.com/docs/server/reference/sql-statements/programmatic-compound-statements/begin-end
const (
	staleMark = "occkit: stale row"
	raise     = "THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = '" + staleMark + "'; END IF"
)

// GuardWrite checks the number of rows that the write matched.
func (Dialect) GuardWrite(_ *dialects.Table, st dialects.Statement) (dialects.Statement, error) {
	st.Text += "; IF ROW_COUNT() <> 1 " + raise
	st.Returns = nil
	return st, nil
}

// GuardRead counts the row under a shared lock, which reads the newest state.
func (d Dialect) GuardRead(t *dialects.Table) (dialects.Statement, error) {
	return d.count(t, true, "<> 1")
}

// GuardAbsent counts the rows with the key under a shared lock. The lock covers
// the gap, so the row stays absent until the end under REPEATABLE READ.
func (d Dialect) GuardAbsent(t *dialects.Table) (dialects.Statement, error) {
	return d.count(t, false, "<> 0")
}

func (d Dialect) count(t *dialects.Table, version bool, failure string) (dialects.Statement, error) {
	if _, err := d.Select(t); err != nil { // the table is checked there
		return dialects.Statement{}, err
	}
	name, err := d.Syntax.QuoteTable(t.Schema, t.Name)
	if err != nil {
		return dialects.Statement{}, err
	}
	var st dialects.Statement
	var where []string
	match := func(source dialects.Source, i int) {
		column, quoteErr := d.Syntax.Quote(t.Columns[i].Name)
		err = errors.Join(err, quoteErr)
		where = append(where, column+" = ?")
		st.Args = append(st.Args, dialects.Arg{Source: source, Column: i})
	}
	for _, i := range t.KeyColumns() {
		match(dialects.Field, i)
	}
	if version {
		match(dialects.Expected, t.VersionColumn())
	}
	st.Text = "SELECT COUNT(*) INTO occkit_n FROM " + name + " WHERE " + strings.Join(where, " AND ") +
		" " + d.Syntax.ShareLock + "; IF occkit_n " + failure + " " + raise
	return st, err
}

// Compound runs parts between START TRANSACTION and COMMIT; any error undoes
// them and is passed on as it is.
func (Dialect) Compound(parts []string) string {
	return "BEGIN NOT ATOMIC DECLARE occkit_n BIGINT; " +
		"DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; RESIGNAL; END; " +
		"START TRANSACTION; " + strings.Join(parts, "; ") + "; COMMIT; END"
}

// Stale recognises the raised condition.
func (Dialect) Stale(err error) bool {
	var server *driver.MySQLError
	return errors.As(err, &server) && server.Number == 1644 && server.Message == staleMark
}
