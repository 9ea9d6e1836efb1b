package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/occkit/occkit/dialects"
)

// A guard fails by casting text to a number, since plain SQL has no RAISE. The
// text must not be a constant: constants are folded when the statement is
// planned, inside of a CASE too, and the statement would always fail.
// https://www.postgresql.org/docs/current/functions-conditional.html#FUNCTIONS-CASE
const (
	staleMark = "occkit_stale_"
	guard     = "CASE WHEN %s THEN 1 ELSE ('" + staleMark + "' || count(*))::int END"
)

// GuardWrite counts the rows that the write returns, in the same statement. What it
// returns is selected without relying on that count: which part of the list is
// evaluated first is not defined.
func (Dialect) GuardWrite(_ *dialects.Table, st dialects.Statement) (dialects.Statement, error) {
	one := fmt.Sprintf(guard, "count(*) = 1")
	st.Plain = ""
	if len(st.Returns) == 0 {
		st.Text = fmt.Sprintf("WITH w AS (%s RETURNING 1) SELECT %s FROM w", st.Text, one)
		return st, nil
	}
	names, reads := make([]string, len(st.Returns)), make([]string, len(st.Returns))
	for i := range names {
		names[i] = fmt.Sprintf("r%d", i)
		reads[i] = fmt.Sprintf("(SELECT r%d FROM w LIMIT 1)", i)
	}
	st.Text = fmt.Sprintf("WITH w(%s) AS (%s) SELECT %s, (SELECT %s FROM w)",
		strings.Join(names, ", "), st.Text, strings.Join(reads, ", "), one)
	return st, nil
}

// GuardRead locks the row in a subquery, and compares what it holds then.
func (d Dialect) GuardRead(t *dialects.Table) (dialects.Statement, error) {
	narrow := *t
	narrow.Columns = slices.DeleteFunc(slices.Clone(t.Columns), func(c dialects.Column) bool {
		return !c.Key && c.Version == dialects.NotVersion
	})
	st, err := d.SelectForShare(&narrow)
	if err != nil {
		return st, err
	}
	names := make([]string, len(narrow.Columns))
	for i := range names {
		names[i] = fmt.Sprintf("c%d", i)
	}
	same := fmt.Sprintf("count(*) FILTER (WHERE c%d = %s) = 1", narrow.VersionColumn(), d.Syntax.Placeholder(len(st.Args)+1))
	st.Text = fmt.Sprintf("SELECT %s FROM (%s) AS r(%s)", fmt.Sprintf(guard, same), st.Text, strings.Join(names, ", "))
	st.Args = keyThenExpected(t)
	st.Returns = nil
	return st, nil
}

// GuardAbsent counts the rows with the key.
func (d Dialect) GuardAbsent(t *dialects.Table) (dialects.Statement, error) {
	st, err := d.Select(t)
	if err != nil {
		return st, err
	}
	st.Text = fmt.Sprintf("SELECT %s FROM (%s) AS r", fmt.Sprintf(guard, "count(*) = 0"), st.Text)
	st.Returns = nil
	return st, nil
}

// keyThenExpected are the arguments of a guarded read, in terms of t.
func keyThenExpected(t *dialects.Table) []dialects.Arg {
	var args []dialects.Arg
	for _, i := range t.KeyColumns() {
		args = append(args, dialects.Arg{Source: dialects.Field, Column: i})
	}
	return append(args, dialects.Arg{Source: dialects.Expected, Column: t.VersionColumn()})
}

// Stale recognises the failed cast: the message quotes the text in every
// language.
func (Dialect) Stale(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == "22P02" && strings.Contains(server.Message, staleMark)
}
