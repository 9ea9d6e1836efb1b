package sqlgen_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqlgen"
)

var (
	bytes63 = sqlgen.Syntax{Name: "bytes63", QuoteChar: '"', Limits: dialects.Limits{Identifier: 63}}
	chars64 = sqlgen.Syntax{Name: "chars64", QuoteChar: '`', Limits: dialects.Limits{Identifier: 64}, Characters: true, BasicPlane: true}
	endless = sqlgen.Syntax{Name: "endless", QuoteChar: '`'}
)

func TestQuote(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"accounts":       `"accounts"`,
		`acc"ounts; --`:  `"acc""ounts; --"`,
		"acc`ounts":      "\"acc`ounts\"",
		`""`:             `""""""`,
		`a.b`:            `"a.b"`,
		"Übung 🐘":        `"Übung 🐘"`,
		`\"`:             `"\"""`,
		"line\nbreak\t*": "\"line\nbreak\t*\"",
	} {
		got, err := bytes63.Quote(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	got, err := chars64.QuoteTable("a`b", `c"d`)
	require.NoError(t, err)
	require.Equal(t, "`a``b`.`c\"d`", got)
	got, err = chars64.QuoteTable("", "t")
	require.NoError(t, err)
	require.Equal(t, "`t`", got)
}

func TestQuoteRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		syntax sqlgen.Syntax
		name   string
		want   string
	}{
		{bytes63, "", `bytes63: identifier "": the name is empty`},
		{bytes63, "a\x00b", `bytes63: identifier "a\x00b": the name holds a NUL character`},
		{bytes63, "a\xffb", `bytes63: identifier "a\xffb": the name is not valid UTF-8`},
		{bytes63, strings.Repeat("ü", 32), "the name has 64 bytes, the limit is 63"},
		{chars64, strings.Repeat("ü", 65), "the name has 65 characters, the limit is 64"},
		{chars64, "🐘", "the name holds a character above U+FFFF"},
	} {
		_, err := c.syntax.Quote(c.name)
		require.ErrorContains(t, err, c.want)
		_, err = c.syntax.QuoteTable("s", c.name)
		require.ErrorContains(t, err, c.want)
	}
	_, err := chars64.Quote(strings.Repeat("ü", 64))
	require.NoError(t, err)
	_, err = endless.Quote(strings.Repeat("ü", 5000))
	require.NoError(t, err)
}

// FuzzQuote checks that a server which reads the quoted name back sees one
// identifier, which is the name, and nothing behind it.
func FuzzQuote(f *testing.F) {
	for _, name := range []string{"accounts", `acc"ounts; --`, "acc`ounts", `"`, "``", `\`, "\x00", "\xff", "$1 ? %s", "🐘"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, s := range []sqlgen.Syntax{bytes63, chars64, endless} {
			quoted, err := s.Quote(name)
			if err != nil {
				require.True(t, refusable(s, name), "%s refused %q: %v", s.Name, name, err)
				continue
			}
			require.False(t, strings.ContainsRune(quoted, 0))
			got, rest, ok := unquote(quoted, s.QuoteChar)
			require.True(t, ok, "%q does not close", quoted)
			require.Equal(t, name, got)
			require.Empty(t, rest)
		}
	})
}

// refusable tells whether a database has a reason to refuse the name.
func refusable(s sqlgen.Syntax, name string) bool {
	return name == "" || !utf8.ValidString(name) || strings.ContainsRune(name, 0) ||
		s.Limits.Identifier > 0 && len(name) > s.Limits.Identifier ||
		s.BasicPlane && strings.ContainsFunc(name, func(r rune) bool { return r > 0xFFFF })
}

// unquote reads one quoted identifier as a server's scanner does: byte by byte
// up to the first quote that is not doubled.
func unquote(text string, quote byte) (name, rest string, ok bool) {
	if text == "" || text[0] != quote {
		return "", text, false
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		if text[i] != quote {
			b.WriteByte(text[i])
			continue
		}
		if i+1 < len(text) && text[i+1] == quote {
			b.WriteByte(quote)
			i++
			continue
		}
		return b.String(), text[i+1:], true
	}
	return "", "", false
}
