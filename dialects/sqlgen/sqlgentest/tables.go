// Package sqlgentest helps dialects to test the SQL that they write and the
// errors that they classify.
package sqlgentest

import (
	"reflect"

	"github.com/occkit/occkit/dialects"
)

var (
	integer = reflect.TypeFor[int64]()
	text    = reflect.TypeFor[string]()
)

// Shape is a table that differs from the others in what its statements need.
type Shape struct {
	// Name is the name of the golden file.
	Name string
	// Table is the table.
	Table *dialects.Table
}

// Shapes returns tables that together need every form that a statement can
// take.
func Shapes() []Shape {
	id := dialects.Column{Name: "id", Key: true, Type: integer}
	version := dialects.Column{Name: "version", Version: dialects.Counter, Type: integer}
	plain := func(name string) dialects.Column { return dialects.Column{Name: name, Type: text} }
	kind := func(name string, k dialects.VersionKind) dialects.Column {
		return dialects.Column{Name: name, Version: k}
	}
	return []Shape{
		{"counter", table("accounts", id, plain("owner"), plain("balance"), version)},
		{"composite", table("order_lines",
			dialects.Column{Name: "order_id", Key: true, Type: integer},
			dialects.Column{Name: "line", Key: true, Type: integer},
			plain("article"), version)},
		{"schema", &dialects.Table{
			Schema: "billing", Name: "invoices",
			Columns: []dialects.Column{id, plain("total"), version},
		}},
		{"hostile", &dialects.Table{Schema: `sch"e.ma`, Name: "acc`ounts\"; --", Columns: []dialects.Column{
			{Name: "i'd", Key: true, Type: integer}, plain("sel`ect"), plain("? $1 %s"), plain("naï\nve"), version,
		}}},
		{"generated", table("tickets",
			dialects.Column{Name: "id", Key: true, Generated: true, Type: integer},
			plain("title"),
			dialects.Column{Name: "priority", Generated: true, Type: integer},
			dialects.Column{Name: "created_at", ReadOnly: true, Type: text}, version)},
		{"token", table("documents", id, plain("body"), kind("rev", dialects.Token))},
		{"xmin", table("sessions", id, plain("state"), kind("xmin", dialects.Xmin))},
		{"xmin_touch", table("leases",
			dialects.Column{Name: "id", Key: true, Generated: true, Type: integer}, kind("xmin", dialects.Xmin))},
		{"timestamp", table("notes", id, plain("body"), kind("changed_at", dialects.Timestamp))},
		{"touch", table("roots", id, version)},
		{"numbers", table("stock", id,
			dialects.Column{Name: "amount", Type: integer},
			dialects.Column{Name: "high", Type: integer},
			dialects.Column{Name: "low", Type: reflect.TypeFor[*float64]()},
			dialects.Column{Name: "small", Type: reflect.TypeFor[int16]()},
			dialects.Column{Name: "peak", Type: reflect.TypeFor[uint64]()},
			plain("state"), plain("note"), plain("more"),
			dialects.Column{Name: "version", Version: dialects.Counter, Type: reflect.TypeFor[int32]()})},
		{"json", table("settings", id, dialects.Column{Name: "doc", JSON: true, Type: text}, version)},
	}
}

func table(name string, columns ...dialects.Column) *dialects.Table {
	return &dialects.Table{Name: name, Columns: columns}
}
