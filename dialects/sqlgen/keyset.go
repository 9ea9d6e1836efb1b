package sqlgen

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// Keyset is a table that is walked in the order of its primary key.
type Keyset struct {
	// Table and Key are quoted.
	Table string
	Key   []string
	// Read wraps a key column that is read, Bind the placeholder that it is
	// compared with later. Nil: as they are.
	Read func(column int, name string) string
	Bind func(column int, placeholder string) string
}

func (k Keyset) read(i int) string {
	if k.Read == nil {
		return k.Key[i]
	}
	return k.Read(i, k.Key[i])
}

// bound collects the arguments of one statement.
type bound struct {
	syntax Syntax
	keyset Keyset
	args   []dialects.KeyArg
}

func (b *bound) arg(upto bool, column int) string {
	b.args = append(b.args, dialects.KeyArg{Upto: upto, Column: column})
	p := b.syntax.Placeholder(len(b.args))
	if b.keyset.Bind != nil {
		p = b.keyset.Bind(column, p)
	}
	return p
}

// beyond writes that the key is greater than the last one, or at most the upper
// one. A comparison of rows would say the same in fewer words, and MySQL would
// read the whole table for it; the first column is therefore bounded by itself.
// https://dev.mysql.com/doc/refman/8.4/en/row-constructor-optimization.html
func (b *bound) beyond(upto bool) string {
	sign := ">"
	if upto {
		sign = "<"
	}
	var alternatives []string
	last := len(b.keyset.Key) - 1
	for i := 0; i <= last; i++ {
		var terms []string
		for j := range i {
			terms = append(terms, b.keyset.Key[j]+" = "+b.arg(upto, j))
		}
		op := sign
		if upto && i == last {
			op = "<="
		}
		terms = append(terms, fmt.Sprintf("%s %s %s", b.keyset.Key[i], op, b.arg(upto, i)))
		alternatives = append(alternatives, strings.Join(terms, " AND "))
	}
	if last == 0 {
		return alternatives[0]
	}
	first := fmt.Sprintf("%s %s= %s", b.keyset.Key[0], sign, b.arg(upto, 0))
	return fmt.Sprintf("((%s)) AND %s", strings.Join(alternatives, ") OR ("), first)
}

// Chunk writes the statements of one part of a backfill that sets what set says
// where null holds. A part is counted in rows that are to be filled, so that one
// that begins again passes over what is filled already.
func (s Syntax) Chunk(k Keyset, set, null string, c dialects.SchemaChunk) dialects.SchemaChunkSQL {
	var out dialects.SchemaChunkSQL
	find := bound{syntax: s, keyset: k}
	columns := make([]string, len(k.Key))
	for i := range k.Key {
		// A name of its own: ORDER BY takes names of the result before those of the
		// table, and a key that is read as a text would be sorted as one.
		columns[i] = fmt.Sprintf("%s AS occkit_key_%d", k.read(i), i)
	}
	out.Find = fmt.Sprintf("SELECT %s FROM %s", strings.Join(columns, ", "), k.Table)
	out.Find += " WHERE " + null
	if !c.First {
		out.Find += " AND " + find.beyond(false)
	}
	out.Find += fmt.Sprintf(" ORDER BY %s LIMIT 1 OFFSET %d", strings.Join(k.Key, ", "), max(c.Rows, 1)-1)
	out.FindArgs = find.args

	write := bound{syntax: s, keyset: k}
	where := []string{null}
	if !c.First {
		where = append(where, write.beyond(false))
	}
	if !c.Last {
		where = append(where, write.beyond(true))
	}
	out.Write = fmt.Sprintf("UPDATE %s SET %s WHERE %s", k.Table, set, strings.Join(where, " AND "))
	out.WriteArgs = write.args
	return out
}

// Probe writes the statements that try a guard on one row.
func (s Syntax) Probe(k Keyset, version, jump, regress string) dialects.SchemaProbe {
	columns, match := make([]string, len(k.Key)), make([]string, len(k.Key))
	b := bound{syntax: s, keyset: k}
	for i := range k.Key {
		columns[i] = k.read(i)
		match[i] = k.Key[i] + " = " + b.arg(false, i)
	}
	where := " WHERE " + strings.Join(match, " AND ")
	update := fmt.Sprintf("UPDATE %s SET %s = ", k.Table, version)
	return dialects.SchemaProbe{
		Pick:    fmt.Sprintf("SELECT %s FROM %s LIMIT 1", strings.Join(columns, ", "), k.Table),
		Read:    fmt.Sprintf("SELECT %s FROM %s%s", version, k.Table, where),
		Touch:   update + version + where,
		Jump:    update + jump + where,
		Regress: update + regress + where,
	}
}

// OwnTypes are the types of the columns of occkit's own tables.
type OwnTypes struct {
	Int, LongText string
	// Text has %d where the length stands, if it has one.
	Text string
	// Suffix follows the definition: a character set, an engine.
	Suffix string
}

// Own writes the statements of a table of occkit's own. Its columns' names need
// no quotes: see [dialects.OwnTable].
func (s Syntax) Own(schema string, t *dialects.OwnTable, types OwnTypes) (dialects.OwnSQL, error) {
	table, err := s.QuoteTable(schema, t.Name)
	if err != nil {
		return dialects.OwnSQL{}, err
	}
	var definitions, names, places []string
	for i, c := range t.Columns {
		typ := types.Int
		switch {
		case c.Size < 0:
			typ = types.LongText
		case c.Size > 0:
			typ = strings.Replace(types.Text, "%d", strconv.Itoa(c.Size), 1)
		}
		definitions = append(definitions, "  "+c.Name+" "+typ+" NOT NULL")
		names = append(names, c.Name)
		places = append(places, s.Placeholder(i+1))
	}
	columns := strings.Join(names, ", ")
	return dialects.OwnSQL{
		Create: fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (\n%s,\n  PRIMARY KEY (%s)\n)%s",
			table, strings.Join(definitions, ",\n"), t.Key, types.Suffix),
		Insert: fmt.Sprintf("INSERT INTO %s (%s) VALUES (%s)", table, columns, strings.Join(places, ", ")),
		Latest: fmt.Sprintf("SELECT %s FROM %s WHERE table_name = %s AND column_name = %s ORDER BY %s DESC",
			columns, table, s.Placeholder(1), s.Placeholder(2), t.Key),
	}, nil
}
