package sqlgentest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"github.com/occkit/occkit/dialects"
)

// SchemaCase is a table as a catalog describes it.
type SchemaCase struct {
	Name  string
	Table dialects.VersionTable
	Facts dialects.SchemaFacts
}

// GoldenSchema compares everything that d writes to change the schema of each
// case with the file of its name in dir. Run the test with -update to rewrite the
// files.
func GoldenSchema(t *testing.T, d interface {
	dialects.Dialect
	dialects.SchemaChanger
}, dir string, cases []SchemaCase,
) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			if c.Table.Column == "" {
				c.Table.Column = "version"
			}
			if c.Table.Kind == dialects.NotVersion {
				c.Table.Kind = dialects.Counter
			}
			c.Table.Name, c.Table.Initial = "accounts", 1
			p, err := d.SchemaPlan(&c.Table, c.Facts)
			require.NoError(t, err)
			got := schemaArchive(t, d, &p)
			path := filepath.Join(dir, c.Name+".txtar")
			if *update {
				require.NoError(t, os.MkdirAll(dir, 0o755))
				require.NoError(t, os.WriteFile(path, txtar.Format(got), 0o644))
			}
			file, err := txtar.ParseFile(path)
			require.NoError(t, err, "run with -update to make the file")
			require.Equal(t, sections(file), sections(got))
		})
	}
}

func schemaArchive(t *testing.T, d interface {
	dialects.Dialect
	dialects.SchemaChanger
}, p *dialects.SchemaPlan,
) *txtar.Archive {
	t.Helper()
	a := &txtar.Archive{Comment: []byte("Schema changes of " + d.Name() + ", written by go test -update.\n\n")}
	add := func(name string, lines ...string) {
		if text := strings.Join(lines, "\n"); text != "" {
			a.Files = append(a.Files, txtar.File{Name: name, Data: []byte(text + "\n")})
		}
	}
	var findings []string
	for _, f := range p.Findings {
		findings = append(findings, fmt.Sprintf("%s refuse=%t drift=%t: %s: %s", f.Code, f.Refuse, f.Drift, f.Text, f.Remedy))
	}
	add("findings", findings...)
	add("guard", string(p.Guard)+" "+p.GuardMode.String())
	for _, s := range p.Steps {
		add("step "+s.ID, describe(s))
		attempt, err := d.SchemaAttempt(p, &s, 0)
		require.NoError(t, err)
		add("lock "+s.ID, fmt.Sprintf("begin %q mutex %q release %q settings %v", attempt.Begin, attempt.Mutex, attempt.Release, attempt.Settings),
			strings.Join(attempt.Lock, "\n"))
	}
	for _, s := range p.Unguard {
		add("unguard "+s.ID, describe(s))
	}
	for _, s := range p.DropColumn {
		add("drop "+s.ID, describe(s))
	}
	if p.Column != nil && len(p.Key) > 0 {
		addRows(t, d, p, add)
	}
	return a
}

// addRows adds the statements that write rows.
func addRows(t *testing.T, d dialects.SchemaChanger, p *dialects.SchemaPlan, add func(name string, lines ...string)) {
	t.Helper()
	add("filled", p.Filled.Text)
	for _, c := range []dialects.SchemaChunk{{First: true, Rows: 10}, {Rows: 10}, {Last: true, Rows: 10}} {
		chunk, err := d.SchemaChunk(p, c)
		require.NoError(t, err)
		add(fmt.Sprintf("chunk first=%t last=%t", c.First, c.Last), fmt.Sprintf("%s\n%v\n%s\n%v", chunk.Find, chunk.FindArgs, chunk.Write, chunk.WriteArgs))
	}
	probe, err := d.SchemaProbe(p)
	require.NoError(t, err)
	add("probe", probe.Begin, probe.Pick, probe.Read, probe.Touch, probe.Jump, probe.Regress)
}

func describe(s dialects.SchemaStep) string {
	text := fmt.Sprintf("done=%t lock=%s work=%s observe=%s", s.Done, s.LockName, s.Work, s.Observe)
	for _, sql := range s.SQL {
		text += "\n" + sql + ";"
	}
	for _, sql := range s.File {
		text += "\nfile: " + sql + ";"
	}
	for _, sql := range s.Undo {
		text += "\nundo: " + sql + ";"
	}
	return text
}

// MySQLSchemas are tables as the catalogs of MySQL and MariaDB describe them.
func MySQLSchemas() []SchemaCase {
	base := dialects.SchemaFacts{
		{Kind: "server", Name: "1", Value: "a database"},
		{Kind: "table", Name: "accounts", Value: "shop"},
		{Kind: "kind", Name: "BASE TABLE", Value: "InnoDB"},
		{Kind: "key", Name: "id", Value: "bigint(20)"},
	}
	with := func(more ...dialects.SchemaFact) dialects.SchemaFacts { return slices.Concat(base, more) }
	nullable := []dialects.SchemaFact{
		{Kind: "column", Name: "Version", Value: "int(11)"}, {Kind: "nullable", Name: "YES", Value: "INVISIBLE"}, {Kind: "default", Name: "NULL", Value: "it's"},
	}
	return []SchemaCase{
		{Name: "enforce", Facts: base},
		{Name: "strict", Table: dialects.VersionTable{Guard: dialects.GuardStrict}, Facts: base},
		{Name: "none", Table: dialects.VersionTable{Guard: dialects.GuardNone}, Facts: base},
		{Name: "token", Table: dialects.VersionTable{Kind: dialects.Token}, Facts: base},
		{Name: "invisible", Table: dialects.VersionTable{Invisible: true}, Facts: base},
		{Name: "legacy", Facts: with(nullable...)},
		{Name: "composite", Facts: with(append(nullable, dialects.SchemaFact{Kind: "key", Name: "line", Value: "varchar(20)"},
			dialects.SchemaFact{Kind: "nulls", Value: "some"})...)},
		{Name: "foreign", Facts: with(dialects.SchemaFact{Kind: "trigger", Name: "accounts_occkit_version_v1", Value: "BEFORE UPDATE\nSET NEW.version = 3"})},
		{Name: "refused", Facts: with(dialects.SchemaFact{Kind: "rows", Name: "Compressed"}, dialects.SchemaFact{Kind: "fulltext", Name: "f"},
			dialects.SchemaFact{Kind: "versions", Value: "60"})},
		{Name: "missing"},
	}
}
