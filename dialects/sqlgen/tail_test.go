package sqlgen_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/sqlgen"
)

var (
	numbered  = sqlgen.Syntax{Name: "numbered", QuoteChar: '"', Numbered: true}
	backslash = sqlgen.Syntax{Name: "backslash", QuoteChar: '`', Backslash: true}
	plain     = sqlgen.Syntax{Name: "plain", QuoteChar: '`'}
)

func TestPlaceholdersNumbered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"", ""},
		{"WHERE a = ? AND b = ?", "WHERE a = $1 AND b = $2"},
		{"WHERE a = $1 AND b = $2", "WHERE a = $1 AND b = $2"},
		{"WHERE a IN(?,?)OR b>?", "WHERE a IN($1,$2)OR b>$3"},
		{"WHERE a = ?::int LIMIT?", "WHERE a = $1::int LIMIT $2"},

		{"'?' = ?", "'?' = $1"},
		{"'it''s ?' = ?", "'it''s ?' = $1"},
		{`'\' = ?`, `'\' = $1`},
		{`E'\'?' = ?`, `E'\'?' = $1`},
		{`e'\\' = ?`, `e'\\' = $1`},
		{`E'''?' = ?`, `E'''?' = $1`},
		{"E'a'\n'\\'?' = ?", "E'a'\n'\\'?' = $1"},
		{"E'a' -- it's\n '\\'?' = ?", "E'a' -- it's\n '\\'?' = $1"},
		{`E'a' '\' = ?`, `E'a' '\' = $1`},
		{`the'\' = ?`, `the'\' = $1`},
		{`U&'\003F?' = ?`, `U&'\003F?' = $1`},

		{`"a?""?" = ?`, `"a?""?" = $1`},
		{"`? = ?", "`$1 = $2"},
		{"a[?] = ?", "a[$1] = $2"},

		{"-- ?\n?", "-- ?\n$1"},
		{"-- it's ?\r?", "-- it's ?\r$1"},
		{"? -- ?", "$1 -- ?"},
		{"/* ? */ ?", "/* ? */ $1"},
		{"/* /* ? */ ? */ ?", "/* /* ? */ ? */ $1"},
		{"/*/ ? */ ?", "/*/ ? */ $1"},

		{"$$?$$ = ?", "$$?$$ = $1"},
		{"$tag$ ? $$ ? $tag$ = ?", "$tag$ ? $$ ? $tag$ = $1"},
		{"$tägß$?$tägß$ = ?", "$tägß$?$tägß$ = $1"},
		{"a$b$ = ? OR c$b$ = ?", "a$b$ = $1 OR c$b$ = $2"},
		{"a $ ?", "a $ $1"},

		{"doc ?? 'key'", "doc ? 'key'"},
		{"doc ??| ? AND doc ??& $$x$$", "doc ?| $1 AND doc ?& $$x$$"},
		{"doc @?? $1", "doc @? $1"},
		{"a ??? b", "a ?$1 b"},
		{"'??' = \"??\" /* ?? */ -- ??", "'??' = \"??\" /* ?? */ -- ??"},
		{"WHERE naïve = ? AND ä = ?", "WHERE naïve = $1 AND ä = $2"},
	} {
		got, err := numbered.Placeholders(c.in)
		require.NoError(t, err, c.in)
		require.Equal(t, c.want, got)
	}
}

func TestPlaceholdersPositional(t *testing.T) {
	t.Parallel()
	for _, s := range []sqlgen.Syntax{backslash, plain} {
		for _, text := range []string{
			"", "WHERE a = ? AND b = ?", "WHERE a = '??' AND `??` = ?", `WHERE "??" = ?`,
			"-- ?? it's\n?", "/* ?? /* */ ?", "WHERE a = '''??' AND b = ?", "WHERE a = $1 OR b = :b",
		} {
			got, err := s.Placeholders(text)
			require.NoError(t, err, text)
			require.Equal(t, text, got)
		}
		_, err := s.Placeholders("WHERE a ?? b")
		require.ErrorContains(t, err, "?? at byte 8: "+s.Name+" has no use for a literal question mark")
	}
	for _, text := range []string{`'\'??' = ?`, `"\"??" = ?`, "# it's ??\n?"} {
		got, err := backslash.Placeholders(text)
		require.NoError(t, err, text)
		require.Equal(t, text, got)
	}
	got, err := plain.Placeholders("[it's ??] = ?")
	require.NoError(t, err)
	require.Equal(t, "[it's ??] = ?", got)
}

func TestPlaceholdersRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a = ? AND b = $1": "the text mixes ? with $1",
		"a = $2 AND b = ?": "the text mixes ? with $2",
		"doc ? 'key' = $1": "a literal question mark is ??",
		"a = ?1":           "? at byte 4 is followed by a digit",
		"a = 'b ?":         `the quote '\'' at byte 4 is not closed`,
		`a = E'b\'`:        `the quote '\'' at byte 5 is not closed`,
		`"a''`:             `the quote '"' at byte 0 is not closed`,
		"/* /* */ ?":       "the comment at byte 0 is not closed",
		"a = $x$ $y$":      "the dollar quote $x$ is not closed",
	} {
		_, err := numbered.Placeholders(in)
		require.ErrorContains(t, err, want, in)
	}
}

// FuzzPlaceholders checks that whatever the text is, the rewriter ends, and
// that text without question marks comes back as it is.
func FuzzPlaceholders(f *testing.F) {
	for _, text := range []string{"a = ?", "E'\\''", "$$", "$a$?$a$", "/*/**/", "--", "??", "'", "\xff?"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, s := range []sqlgen.Syntax{numbered, backslash, plain} {
			got, err := s.Placeholders(text)
			if err != nil {
				continue
			}
			if !s.Numbered || !strings.Contains(text, "?") {
				require.Equal(t, text, got)
			}
		}
	})
}
