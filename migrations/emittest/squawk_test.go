package emittest

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/migrations"
)

// squawk returns the rules that the linter finds broken in files. It is looked
// for in OCCKIT_SQUAWK and in the PATH; .ci/run provides it.
func squawk(t *testing.T, args ...string) []string {
	t.Helper()
	path := os.Getenv("OCCKIT_SQUAWK")
	if path == "" {
		var err error
		if path, err = exec.LookPath("squawk"); err != nil {
			t.Skip("no squawk: npm install squawk-cli, and set OCCKIT_SQUAWK to node_modules/.bin/squawk")
		}
	}
	out, err := exec.CommandContext(t.Context(), path, append([]string{"--pg-version", "15", "--reporter", "gcc"}, args...)...).CombinedOutput()
	rule := regexp.MustCompile(`: (?:warning|error): ([a-z-]+) `)
	var rules []string
	for _, found := range rule.FindAllStringSubmatch(string(out), -1) {
		rules = append(rules, found[1])
	}
	if err != nil && len(rules) == 0 {
		t.Fatalf("squawk: %v\n%s", err, out)
	}
	return rules
}

// The linter finds nothing in what brings a table up, and that a column is
// dropped in what takes it down.
func TestSquawk(t *testing.T) {
	t.Parallel()
	for _, format := range []migrations.Format{migrations.SQL, migrations.GolangMigrate, migrations.Flyway} {
		for name, kind := range map[string]dialects.VersionKind{"fresh": dialects.Counter, "legacy": dialects.Counter, "token": dialects.Token} {
			t.Run(string(format)+"/"+name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t, engines()[0], format, name == "legacy", kind)
				all, err := filepath.Glob(filepath.Join(s.dir, "*.sql"))
				require.NoError(t, err)
				var args []string
				if format == migrations.Flyway {
					args = append(args, "--assume-in-transaction") // that of Flyway
				}
				for _, file := range all {
					found := squawk(t, append(args, file)...)
					base := filepath.Base(file)
					if strings.HasPrefix(base, "U") || strings.HasSuffix(base, ".down.sql") {
						require.Subset(t, []string{"ban-drop-column"}, found, base)
						continue
					}
					require.Empty(t, found, base)
				}
			})
		}
	}
}

// The one finding that is suppressed is there when a file is seen alone, and not
// when the files before it are seen with it.
func TestSquawkSeesOneFile(t *testing.T) {
	t.Parallel()
	s := newScene(t, engines()[0], migrations.SQL, true, dialects.Counter)
	names, err := filepath.Glob(filepath.Join(s.dir, "*.up.sql"))
	require.NoError(t, err)
	require.NotEmpty(t, names)
	write := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(strings.ReplaceAll(text, "-- squawk-ignore", "-- ignored:")), 0o600))
		return path
	}
	var together string
	var alone []string
	for _, name := range names {
		text, err := os.ReadFile(name)
		require.NoError(t, err)
		together += string(text)
		alone = append(alone, squawk(t, write("alone.sql", string(text)))...)
	}
	require.Equal(t, []string{"adding-not-nullable-field"}, alone)
	require.Empty(t, squawk(t, write("together.sql", together)))
}
