package occ_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/occkit/occkit"

// edges are the imports that are allowed between the module's packages, tests
// aside. A path stands for itself; with /... for itself and everything below.
// An edge that is not here is a decision: make it on the design's page
// "Import directions" first, then here.
var edges = []struct{ from, to string }{
	// The contract, what implements it, and the core that is built on it.
	{"dialects/sqlgen/...", "dialects/..."},
	{"dialects/...", "dialects"},
	{"dialects/...", "dialects/sqlgen"},
	{"dialects/mariadb", "dialects/mysql"}, // families embed
	{"occ", "dialects"},
	{"occ", "occ/retry"},
	{"occ", "occ/observe"},
	{"occ", "occ/hotkey"},
	{"occ", "occ/hotkey"},
	{"occ", "occ/ledger"},
	{"occ/ledger", "dialects"},

	// What is built on both.
	{"migrations/...", "migrations/..."},
	{"migrations/...", "occ/..."},
	{"migrations/...", "dialects"},
	{"migrations/...", "dialects/sqlgen"},
	{"bench/...", "bench/..."},
	{"bench/...", "occ/..."},
	{"bench/...", "dialects"},
	{"bench/...", "dialects/sqldb"},
	{"bench/...", "dialects/pgxdb"},

	// For tests, ours and other people's.
	{"dialects/dialecttest/...", "..."},
	{"dialects/dbtest/...", "dialects/..."},
	{"occ/occtest/...", "..."},

	// Command lines alone know databases by name.
	{"dialects/named/...", "dialects/..."},
	{"bench/cmd/...", "..."},
	{"migrations/cmd/...", "..."},
}

// commandLines may import the databases by name; nothing else may.
var commandLines = []string{"bench/cmd/...", "migrations/cmd/...", "dialects/named/...", "dialects/dialecttest/..."}

// drivers are never compiled into a program that imports occ alone.
var drivers = []string{"github.com/jackc/", "github.com/go-sql-driver/", "modernc.org/", "github.com/mattn/", "database/sql"}

// within tells whether a package's path in the module is meant by a pattern.
func within(pkg, pattern string) bool {
	prefix, tree := strings.CutSuffix(pattern, "...")
	prefix = strings.TrimSuffix(prefix, "/")
	return pkg == prefix || tree && (prefix == "" || strings.HasPrefix(pkg, prefix+"/"))
}

func withinAny(pkg string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return within(pkg, p) })
}

// listed is what go list tells of a package.
type listed struct {
	ImportPath                string
	Dir                       string
	Imports                   []string
	GoFiles, CgoFiles         []string
	IgnoredGoFiles            []string
	TestGoFiles, XTestGoFiles []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-e", "-json"}, args...)...)
	cmd.Dir, cmd.Stderr = "..", &stderr
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &stderr)
	var pkgs []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return pkgs
		}
		require.NoError(t, err)
		pkgs = append(pkgs, p)
	}
}

// modules are the modules outside of the standard library that occ and the
// packages behind it import. Each is a decision, see the commit that added it.
var modules = map[string][]string{
	"occ":         {"github.com/google/uuid"},
	"occ/retry":   {"github.com/cenkalti/backoff/v4", "github.com/sony/gobreaker/v2"},
	"occ/observe": nil,
	"dialects":    nil,
}

func TestFewModulesBehindOcc(t *testing.T) {
	t.Parallel()
	for pkg, allowed := range modules {
		for _, p := range goList(t, "./"+pkg) {
			for _, imported := range p.Imports {
				first, _, _ := strings.Cut(imported, "/")
				if !strings.Contains(first, ".") || strings.HasPrefix(imported, module+"/") {
					continue
				}
				require.Contains(t, allowed, imported, "%s imports a module that is not in the table", pkg)
			}
		}
	}
}

func TestNoDriverBehindOcc(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, "-deps", "./occ", "./occ/retry", "./occ/observe", "./dialects") {
		require.NotEqual(t, "testing", p.ImportPath, "occ compiles testing in")
		for _, driver := range drivers {
			// database/sql/driver holds interfaces and no driver registry.
			require.False(t, p.ImportPath == driver || strings.HasSuffix(driver, "/") && strings.HasPrefix(p.ImportPath, driver),
				"occ compiles %s in: whoever imports occ chooses the driver, occ does not", p.ImportPath)
		}
	}
	for _, p := range goList(t, "./dialects") {
		for _, imported := range p.Imports {
			first, _, _ := strings.Cut(imported, "/")
			require.NotContains(t, first, ".", "dialects imports %s: the contract needs the standard library alone", imported)
		}
	}
}

// newEdges returns the imports between the module's packages that the table
// does not hold.
func newEdges(pkgs []listed) []string {
	var found []string
	for _, p := range pkgs {
		from := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imported := range p.Imports {
			to, ours := strings.CutPrefix(imported, module+"/")
			if !ours {
				continue
			}
			allowed := slices.ContainsFunc(edges, func(e struct{ from, to string }) bool { return within(from, e.from) && within(to, e.to) })
			if to == "dialects/named" && !withinAny(from, commandLines) || strings.HasSuffix(to, "test") && !strings.Contains(from, "test") {
				allowed = false
			}
			if !allowed {
				found = append(found, from+" imports "+to)
			}
		}
	}
	return found
}

func TestImportDirections(t *testing.T) {
	t.Parallel()
	pkgs := goList(t, "./...")
	require.Greater(t, len(pkgs), 10)
	require.Empty(t, newEdges(pkgs), "new edges: is the direction right? Then add them to the table in arch_test.go")

	// The rule itself is tested: these must be found.
	wrong := map[string]string{
		"occ": "dialects/postgres", "dialects": "occ", "dialects/sqlite": "dialects/mysql", "occ/retry": "dialects",
		"bench": "dialects/named", "bench/strategy": "dialects/postgres", "migrations": "dialects/dbtest",
		"dialects/sqldb": "occ", "occ/observe": "occ", "dialects/pgxdb": "dialects/postgres",
	}
	for from, to := range wrong {
		require.NotEmpty(t, newEdges([]listed{{ImportPath: module + "/" + from, Imports: []string{module + "/" + to}}}), "%s imports %s", from, to)
	}
}

func TestOnlyTestsImportTesting(t *testing.T) {
	t.Parallel()
	for _, p := range goList(t, "./...") {
		rel := strings.TrimPrefix(p.ImportPath, module)
		if slices.ContainsFunc(strings.Split(rel, "/"), func(s string) bool { return strings.HasSuffix(s, "test") }) {
			continue
		}
		for _, imported := range p.Imports {
			require.False(t, imported == "testing" || strings.HasPrefix(imported, "testing/") || strings.HasPrefix(imported, "github.com/stretchr/testify"),
				"%s imports %s: only _test files and packages whose name ends in test do", p.ImportPath, imported)
		}
	}
}

// names are the databases that only dialects/ may tell apart.
var names = []string{"postgres", "postgresql", "pgx", "mysql", "mariadb", "sqlite", "sqlite3", "cockroach", "cockroachdb", "tidb", "yugabyte"}

// comparisons returns where a file compares something with a database's name.
func comparisons(fset *token.FileSet, file *ast.File) []string {
	var found []string
	check := func(exprs ...ast.Expr) {
		for _, e := range exprs {
			lit, ok := e.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				continue
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && slices.Contains(names, strings.ToLower(text)) {
				found = append(found, fmt.Sprintf("%s compares with %s", fset.Position(lit.Pos()), lit.Value))
			}
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.BinaryExpr:
			if n.Op == token.EQL || n.Op == token.NEQ {
				check(n.X, n.Y)
			}
		case *ast.CaseClause:
			check(n.List...)
		case *ast.CallExpr: // strings.EqualFold, HasPrefix, Contains ...
			if sel, ok := n.Fun.(*ast.SelectorExpr); ok && fmt.Sprint(sel.X) == "strings" {
				check(n.Args...)
			}
		}
		return true
	})
	return found
}

func TestNoDialectIsKnownByName(t *testing.T) {
	t.Parallel()
	fset := token.NewFileSet()
	root, err := filepath.Abs("..")
	require.NoError(t, err)
	parsed := 0
	require.NoError(t, filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (rel == "dialects" || name == "testdata" || name != "." && strings.HasPrefix(name, ".") && rel != ".") {
			return filepath.SkipDir
		}
		if entry.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(fset, file, nil, 0)
		if err != nil {
			return err
		}
		parsed++
		require.Empty(t, comparisons(fset, f), "what databases can do is an ability that the core asserts on, see dialects.go")
		return nil
	}))
	require.Greater(t, parsed, 20)

	// The rule itself is tested: this must be found, thrice.
	const wrong = `package p; func f(d interface{ Name() string }) bool {
		switch d.Name() { case "mysql", "mariadb": return true }
		return d.Name() == "postgres" || d.Name() != "other" }`
	f, err := parser.ParseFile(fset, "wrong.go", wrong, 0)
	require.NoError(t, err)
	require.Len(t, comparisons(fset, f), 3)
}
