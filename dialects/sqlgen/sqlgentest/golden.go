package sqlgentest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/occkit/occkit/dialects"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Golden compares everything that d writes for each of [Shapes] with the file
// of the shape's name in dir. Run the test with -update to rewrite the files.
func Golden(t *testing.T, d dialects.Dialect, dir string) {
	t.Helper()
	for _, shape := range Shapes() {
		t.Run(shape.Name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(dir, shape.Name+".txtar")
			got := Archive(d, shape.Table)
			if *update {
				require.NoError(t, os.WriteFile(path, txtar.Format(got), 0o644))
			}
			file, err := txtar.ParseFile(path)
			require.NoError(t, err, "run with -update to make the file")
			require.Equal(t, sections(file), sections(got))
		})
	}
}

func sections(a *txtar.Archive) map[string]string {
	m := make(map[string]string, len(a.Files))
	for _, f := range a.Files {
		m[f.Name] = string(f.Data)
	}
	return m
}

// Archive returns every statement that d writes for t, one file each.
func Archive(d dialects.Dialect, t *dialects.Table) *txtar.Archive {
	a := &txtar.Archive{Comment: []byte("SQL of " + d.Name() + ", written by go test -update.\n\n")}
	add := func(name string, s dialects.Statement, err error) {
		a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(format(t, s, err))})
	}
	write := func(name string, f func(*dialects.Table) (dialects.Statement, error)) {
		s, err := f(t)
		add(name, s, err)
	}
	write("select", d.Select)
	write("insert", d.Insert)
	write("update", d.Update)
	write("delete", d.Delete)
	if l, ok := d.(dialects.LockingReader); ok {
		write("select for update", l.SelectForUpdate)
	}
	if m, ok := d.(dialects.MultiReader); ok {
		s, err := m.SelectMany(t, 2)
		add("select many", s, err)
	}
	if f, ok := d.(dialects.Finder); ok {
		s, err := f.Find(t, "WHERE a = ? AND b <> '?' ORDER BY c LIMIT ?")
		add("find", s, err)
	}
	if p, ok := d.(dialects.InPlaceWriter); ok {
		in := inPlace(t)
		s, err := p.InPlaceUpdate(t, in)
		add("update in place", s, err)
		s, err = p.InPlaceCheck(t, in)
		add("check in place", s, err)
	}
	if l, ok := d.(dialects.ShareLocker); ok {
		write("select for share", l.SelectForShare)
	}
	if g, ok := d.(dialects.Guarder); ok {
		guard := func(name string, of func(*dialects.Table) (dialects.Statement, error)) {
			write(name, func(t *dialects.Table) (dialects.Statement, error) {
				s, err := of(t)
				if err != nil {
					return s, err
				}
				return g.GuardWrite(t, s)
			})
		}
		guard("guard update", d.Update)
		guard("guard delete", d.Delete)
		write("guard read", g.GuardRead)
		write("guard absent", g.GuardAbsent)
	}
	if r, ok := d.(dialects.RowsWriter); ok {
		two := func(name string, f func(*dialects.Table, int) (dialects.Statement, error)) {
			write(name, func(t *dialects.Table) (dialects.Statement, error) { return f(t, 2) })
		}
		two("lock rows", r.LockRows)
		two("update rows", r.UpdateRows)
		two("delete rows", r.DeleteRows)
		two("insert rows", r.InsertRows)
	}
	if w, ok := d.(dialects.ArrayWriter); ok {
		for _, form := range arrayWrites {
			form.write.Types = arrayTypes(t)
			s, err := w.ArrayWrite(t, form.write)
			add(form.name, s, err)
		}
	}
	return a
}

var arrayWrites = []struct {
	name  string
	write dialects.ArrayWrite
}{
	{"array update", dialects.ArrayWrite{Verb: dialects.BulkUpdate}},
	{"array update, all", dialects.ArrayWrite{Verb: dialects.BulkUpdate, All: true}},
	{"array update, sure", dialects.ArrayWrite{Verb: dialects.BulkUpdate, All: true, Sure: true}},
	{"array update, sure and plain", dialects.ArrayWrite{Verb: dialects.BulkUpdate, All: true, Sure: true, Plain: true}},
	{"array update, skip", dialects.ArrayWrite{Verb: dialects.BulkUpdate, Skip: true}},
	{"array delete", dialects.ArrayWrite{Verb: dialects.BulkDelete}},
	{"array delete, all", dialects.ArrayWrite{Verb: dialects.BulkDelete, All: true}},
	{"array delete, sure", dialects.ArrayWrite{Verb: dialects.BulkDelete, All: true, Sure: true}},
	{"array insert", dialects.ArrayWrite{Verb: dialects.BulkInsert}},
	{"array insert, all", dialects.ArrayWrite{Verb: dialects.BulkInsert, All: true}},
}

// arrayTypes is what a catalog could say about the columns.
func arrayTypes(t *dialects.Table) []string {
	types := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		switch {
		case c.Version == dialects.Xmin:
		case c.Version == dialects.Token:
			types[i] = "uuid"
		case c.Version == dialects.Timestamp:
			types[i] = "timestamp with time zone"
		case c.JSON:
			types[i] = "jsonb"
		case c.Type == integer:
			types[i] = "bigint"
		default:
			types[i] = "text"
		}
	}
	return types
}

// inPlace changes what can be written, each column by the next operator that fits
// it, under every comparison in turn.
func inPlace(t *dialects.Table) (in dialects.InPlace) {
	for i, c := range t.Columns {
		if !c.Writable() || c.JSON {
			continue
		}
		n := len(in.Changes)
		change := dialects.InPlaceChange{Column: i}
		if c.Type != text {
			change.Op = dialects.InPlaceAdd + dialects.InPlaceOp(n)%3 //nolint:gosec // small
			change.NullIsZero = n >= 3
		}
		in.Changes = append(in.Changes, change)
		in.Conditions = append(in.Conditions, dialects.InPlaceCondition{Column: i, Is: dialects.InPlaceIs(n) % 8}) //nolint:gosec // small
	}
	return in
}

// format writes the text, and below it what is bound and what comes back.
func format(t *dialects.Table, s dialects.Statement, err error) string {
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	var b strings.Builder
	fmt.Fprintln(&b, s.Text)
	if s.Plain != "" {
		fmt.Fprintln(&b, "plain:", s.Plain)
	}
	if len(s.Args) > 0 {
		b.WriteString("args:")
		for _, a := range s.Args {
			fmt.Fprintf(&b, " %s(%q)", sourceNames[a.Source], t.Columns[a.Column].Name)
		}
		b.WriteString("\n")
	}
	if len(s.Returns) > 0 {
		b.WriteString("returns:")
		for _, i := range s.Returns {
			fmt.Fprintf(&b, " %q", t.Columns[i].Name)
		}
		b.WriteString("\n")
	}
	if s.Identity != "" {
		fmt.Fprintf(&b, "identity: %q\n", s.Identity)
	}
	return b.String()
}

var sourceNames = map[dialects.Source]string{
	dialects.Field:    "field",
	dialects.Expected: "expected",
	dialects.Next:     "next",
	dialects.Operand:  "operand",
	dialects.Bound:    "bound",
}
