package sqlgen

import (
	"errors"
	"fmt"
	"strings"
)

// Placeholders rewrites a caller's SQL, in which ? is a bound parameter and ??
// a literal question mark, into the database's own spelling. Question marks in
// strings, quoted identifiers and comments are left alone.
//
// With numbered placeholders, text without a bare ? may hold $1, $2, ...
// itself; mixing the two is an error. Elsewhere ?? is an error: there is no
// operator with a question mark, and the driver would take it for a parameter.
func (s Syntax) Placeholders(text string) (string, error) {
	r := rewriter{syntax: s, text: text}
	for r.pos < len(text) {
		end, err := s.token(text, r.pos)
		if err != nil {
			return "", err
		}
		if err := r.take(text[r.pos:end]); err != nil {
			return "", err
		}
		r.pos = end
	}
	if r.marks > 0 && r.native != "" {
		return "", fmt.Errorf("the text mixes ? with %s: use one of them (a literal question mark is ??)", r.native)
	}
	return r.out.String(), nil
}

// rewriter copies text token by token.
type rewriter struct {
	syntax Syntax
	text   string
	pos    int
	out    strings.Builder
	// marks counts the bare question marks; native is the first $n.
	marks  int
	native string
}

func (r *rewriter) take(token string) error {
	switch {
	case token == "??":
		if !r.syntax.Numbered {
			return fmt.Errorf("?? at byte %d: %s has no use for a literal question mark outside of quotes", r.pos, r.syntax.Name)
		}
		r.out.WriteByte('?')
	case token == "?":
		return r.mark()
	default:
		if r.syntax.Numbered && r.native == "" && len(token) > 1 && token[0] == '$' && digit(token[1]) {
			r.native = token
		}
		r.out.WriteString(token)
	}
	return nil
}

func (r *rewriter) mark() error {
	if !r.syntax.Numbered {
		r.out.WriteByte('?')
		return nil
	}
	if next := r.pos + 1; next < len(r.text) && digit(r.text[next]) {
		return fmt.Errorf("? at byte %d is followed by a digit: write ?, or $1 and so on", r.pos)
	}
	// A $ directly behind a word would belong to that word.
	if r.pos > 0 && wordByte(r.text[r.pos-1]) {
		r.out.WriteByte(' ')
	}
	r.marks++
	r.out.WriteString(r.syntax.Placeholder(r.marks))
	return nil
}

// token returns the end of the token that starts at i: a quoted thing, a
// comment, a word, a parameter, a doubled question mark, or a single byte.
func (s Syntax) token(text string, i int) (end int, err error) {
	rest := text[i:]
	switch c := text[i]; {
	case c == '\'' || c == '"' || c == '`' && !s.Numbered:
		return closing(text, i, c, s.Backslash && c != '`')
	case c == '[' && !s.Numbered && !s.Backslash:
		return closing(text, i, ']', false)
	case strings.HasPrefix(rest, "--"), c == '#' && s.Backslash:
		return lineEnd(text, i), nil
	case strings.HasPrefix(rest, "/*"):
		return s.commentEnd(text, i)
	case c == '$' && s.Numbered:
		return dollarEnd(text, i)
	case strings.HasPrefix(rest, "??"):
		return i + 2, nil
	case wordStart(c):
		end = wordEnd(text, i)
		if s.Numbered && strings.EqualFold(text[i:end], "e") && strings.HasPrefix(text[end:], "'") {
			return escapeStringEnd(text, end)
		}
		return end, nil
	default:
		return i + 1, nil
	}
}

// closing returns the end of the quoted text that opens at i. A doubled quote
// inside it stands for itself.
func closing(text string, i int, quote byte, backslash bool) (int, error) {
	for j := i + 1; j < len(text); j++ {
		switch {
		case backslash && text[j] == '\\':
			j++
		case text[j] != quote:
		case j+1 < len(text) && text[j+1] == quote:
			j++
		default:
			return j + 1, nil
		}
	}
	return 0, fmt.Errorf("the quote %q at byte %d is not closed", text[i], i)
}

// escapeStringEnd returns the end of a string with backslash escapes. Such a
// string goes on in the next quoted part when only white space with a line
// break, and comments, stand between.
func escapeStringEnd(text string, i int) (int, error) {
	for {
		end, err := closing(text, i, '\'', true)
		if err != nil {
			return 0, err
		}
		next := continuation(text, end)
		if next < 0 {
			return end, nil
		}
		i = next
	}
}

// continuation returns where the quoted part that continues a string opens,
// or -1.
func continuation(text string, i int) int {
	broken := false
	for i < len(text) {
		switch c := text[i]; {
		case strings.IndexByte(" \t\f\v", c) >= 0:
			i++
		case c == '\n' || c == '\r':
			broken = true
			i++
		case strings.HasPrefix(text[i:], "--"):
			i = lineEnd(text, i)
		case c == '\'' && broken:
			return i
		default:
			return -1
		}
	}
	return -1
}

// lineEnd returns where the line that holds byte i ends.
func lineEnd(text string, i int) int {
	if n := strings.IndexAny(text[i:], "\r\n"); n >= 0 {
		return i + n
	}
	return len(text)
}

// commentEnd returns the end of the block comment at i. Comments nest where
// placeholders are numbered, which is PostgreSQL.
func (s Syntax) commentEnd(text string, i int) (int, error) {
	depth := 0
	for j := i; j+1 < len(text); {
		switch pair := text[j : j+2]; {
		case pair == "/*" && (depth == 0 || s.Numbered):
			depth++
			j += 2
		case pair == "*/":
			depth--
			j += 2
		default:
			j++
		}
		if depth == 0 {
			return j, nil
		}
	}
	return 0, fmt.Errorf("the comment at byte %d is not closed", i)
}

// dollarEnd returns the end of a parameter ($1), of a string in dollar quotes
// ($tag$...$tag$), or of a lone dollar sign.
func dollarEnd(text string, i int) (int, error) {
	j := i + 1
	for j < len(text) && digit(text[j]) {
		j++
	}
	if j > i+1 {
		return j, nil
	}
	for j < len(text) && wordByte(text[j]) && text[j] != '$' {
		j++
	}
	if j == len(text) || text[j] != '$' {
		return i + 1, nil
	}
	tag := text[i : j+1]
	body := strings.Index(text[j+1:], tag)
	if body < 0 {
		return 0, errors.New("the dollar quote " + tag + " is not closed")
	}
	return j + 1 + body + len(tag), nil
}

func wordEnd(text string, i int) int {
	for i < len(text) && wordByte(text[i]) {
		i++
	}
	return i
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

func wordStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c >= 0x80
}

func wordByte(c byte) bool { return wordStart(c) || digit(c) || c == '$' }
