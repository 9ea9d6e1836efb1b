package mysql

import (
	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

var _ dialects.RowsWriter = Dialect{}

func (d Dialect) rows() sqlgen.ListRows { return sqlgen.ListRows{Generator: d.Generator} }

// LockRows joins the table with a list. It needs MySQL 8.0.19, like the others.
// https://dev.mysql.com/doc/refman/8.4/en/values.html
func (d Dialect) LockRows(t *dialects.Table, n int) (dialects.Statement, error) {
	return d.rows().LockRows(t, n)
}

// UpdateRows joins the table with a list.
func (d Dialect) UpdateRows(t *dialects.Table, n int) (dialects.Statement, error) {
	return d.rows().UpdateRows(t, n)
}

// DeleteRows joins the table with a list.
func (d Dialect) DeleteRows(t *dialects.Table, n int) (dialects.Statement, error) {
	return d.rows().DeleteRows(t, n)
}

// InsertRows inserts a list of rows.
func (d Dialect) InsertRows(t *dialects.Table, n int) (dialects.Statement, error) {
	return d.rows().InsertRows(t, n)
}
