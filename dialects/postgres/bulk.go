package postgres

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/occkit/occkit/dialects"
)

var _ dialects.ArrayWriter = Dialect{}

// columnTypes finds the types to which text has to be cast before it is assigned
// to a column. They carry no length: a cast to varchar(5) cuts silently, where
// the assignment of a varchar fails. For the same reason a domain is looked
// through; the assignment checks it. -1, unlike NULL, makes format_type spell
// the type without a length as one that has none.
// https://www.postgresql.org/docs/current/functions-info.html
const columnTypes = `WITH RECURSIVE base AS (` +
	`SELECT attname, atttypid AS typ FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped` +
	` UNION ALL SELECT attname, typbasetype FROM base JOIN pg_type ON pg_type.oid = typ WHERE typtype = 'd')` +
	` SELECT attname::text, format_type(typ, -1) FROM base JOIN pg_type ON pg_type.oid = typ WHERE typtype <> 'd'`

// ArrayTypes asks the catalog.
func (d Dialect) ArrayTypes(t *dialects.Table) (query string, args []any, err error) {
	name, err := d.Syntax.QuoteTable(t.Schema, t.Name)
	return columnTypes, []any{name}, err
}

// ArrayWrite returns a statement that unnests arrays of text and casts their
// elements, so that every column type works that has a text form, arrays
// included, and every driver.
func (d Dialect) ArrayWrite(t *dialects.Table, w dialects.ArrayWrite) (dialects.Statement, error) {
	if _, err := d.Select(t); err != nil { // the table is checked there
		return dialects.Statement{}, err
	}
	for i, typ := range w.Types {
		if typ == "" && t.Columns[i].Version != dialects.Xmin {
			return dialects.Statement{}, fmt.Errorf("postgres: table %s has no column %s", t.Name, t.Columns[i].Name)
		}
	}
	b := &arrays{dialect: d, table: t, ArrayWrite: w}
	switch w.Verb {
	case dialects.BulkInsert:
		return b.insert()
	default:
		if w.Sure {
			return b.sure()
		}
		return b.write()
	}
}

// partialMark is what a statement fails with instead of writing some rows only.
// See guard.go for why it must not be a constant.
const partialMark = "occkit_partial_"

// Partial recognises the failed cast.
func (Dialect) Partial(err error) bool {
	var server *pgconn.PgError
	return errors.As(err, &server) && server.Code == "22P02" && strings.Contains(server.Message, partialMark)
}

// arrays builds one statement.
type arrays struct {
	dialects.ArrayWrite
	dialect Dialect
	table   *dialects.Table
	args    []dialects.Arg
	names   []string // of args, as columns of the input
}

// input returns the expression of an argument, as a column of alias.
func (b *arrays) input(alias string, source dialects.Source, i int) string {
	arg := dialects.Arg{Source: source, Column: i}
	n := slices.Index(b.args, arg)
	if n < 0 {
		n = len(b.args)
		b.args = append(b.args, arg)
		b.names = append(b.names, fmt.Sprintf("i%d", n))
	}
	cast := ""
	if typ := b.Types[i]; typ != "" && !plainTypes[typ] {
		cast = "::" + typ
	}
	return alias + "." + b.names[n] + cast
}

// plainTypes are types of which an array holds values and nothing else: arrays of
// arrays are flattened, and a type's own rules for its arrays are unknown. Arrays
// of these are read as such, which costs less than to cast each text.
var plainTypes = map[string]bool{
	"bigint": true, "integer": true, "smallint": true, "boolean": true, "double precision": true, "real": true,
	"numeric": true, "uuid": true, "date": true, "timestamp with time zone": true, "timestamp without time zone": true,
}

// unnest is the input as a table: one column for each of the first n arguments, and
// the number of the row.
func (b *arrays) unnest(n int) string {
	placeholders := make([]string, n)
	for i := range placeholders {
		typ := b.Types[b.args[i].Column]
		if !plainTypes[typ] {
			typ = "text"
		}
		placeholders[i] = fmt.Sprintf("$%d::%s[]", i+b.first(), typ)
	}
	return fmt.Sprintf("unnest(%s) WITH ORDINALITY AS i(%s, o)", strings.Join(placeholders, ", "), strings.Join(b.names[:n], ", "))
}

// count is the placeholder of the number of rows. It comes first because it is
// needed before the number of arguments is known.
func (b *arrays) count() string { return "$1::bigint" }

// first is the number of the first array.
func (b *arrays) first() int {
	if b.All {
		return 2
	}
	return 1
}

func (b *arrays) quote(i int) string {
	name, _ := b.dialect.Syntax.Quote(b.table.Columns[i].Name) // the table was checked
	return name
}

func (b *arrays) tableName() string {
	name, _ := b.dialect.Syntax.QuoteTable(b.table.Schema, b.table.Name) // as above
	return name
}

// read is the expression that reads a column of the table, whose alias is t.
func (b *arrays) read(i int) string {
	if b.table.Columns[i].Version == dialects.Xmin {
		return xmin
	}
	return "t." + b.quote(i)
}

// same is the predicate of a checked write, between t and the input.
func (b *arrays) same() string {
	i := b.table.VersionColumn()
	expected := b.input("i", dialects.Expected, i)
	if b.table.Columns[i].Version == dialects.Xmin {
		return fmt.Sprintf(xminMatch, expected)
	}
	return b.read(i) + " = " + expected
}

// list joins what item returns for some columns.
func list(columns []int, separator string, item func(i int) string) string {
	parts := make([]string, len(columns))
	for n, i := range columns {
		parts[n] = item(i)
	}
	return strings.Join(parts, separator)
}
