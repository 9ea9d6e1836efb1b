package sqlgen

import (
	"crypto/sha256"
	"encoding/hex"
	"regexp"
	"strconv"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// ObjectName joins parts to the name of an object that belongs to a column or a
// table. A name that would be too long for the database is cut and told apart
// from others by a hash of what was meant.
func (s Syntax) ObjectName(parts ...string) string {
	name := strings.Join(parts, "_")
	limit := s.Limits.Identifier
	if limit == 0 || len(name) <= limit {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	hash, tail := hex.EncodeToString(sum[:4]), "_"+parts[len(parts)-1]
	head := []byte(name)[:limit-len(hash)-1-len(tail)]
	return strings.ToValidUTF8(string(head), "") + "_" + hash + tail
}

var constant = regexp.MustCompile(`^\(*'?(-?[0-9]+)'?(?:::[a-z ]+)?\)*$`)

// IntegerDefault reads the default of a column as the catalog has it.
func IntegerDefault(expression string) (value int64, ok bool) {
	m := constant.FindStringSubmatch(strings.TrimSpace(strings.ToLower(expression)))
	if m == nil {
		return 0, false
	}
	value, err := strconv.ParseInt(m[1], 10, 64)
	return value, err == nil
}

var length = regexp.MustCompile(`\(([0-9]+)\)`)

// Length returns the length of a type such as varchar(36), or 0 when it has none.
func Length(typ string) int {
	m := length.FindStringSubmatch(typ)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // digits
	return n
}

// TokenLength is the length of a token as text: that of a UUID.
const TokenLength = 36

// Squeeze returns text without what a catalog changes about an expression:
// letter case, white space, parentheses and quotes of names.
func Squeeze(text string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case ' ', '\t', '\n', '\r', '(', ')', '"', '`':
			return -1
		}
		return r
	}, strings.ToLower(text))
}

// Findings collects what is the matter with a table.
type Findings []dialects.SchemaFinding

// Refuse adds a reason to change nothing, if it is one.
func (f *Findings) Refuse(when bool, code, text, remedy string) {
	if when {
		*f = append(*f, dialects.SchemaFinding{Refuse: true, Code: code, Text: text, Remedy: remedy})
	}
}

// Deny adds a reason for which this user cannot change the table, if it is one.
func (f *Findings) Deny(when bool, code, text, remedy string) {
	if when {
		*f = append(*f, dialects.SchemaFinding{Refuse: true, Applying: true, Code: code, Text: text, Remedy: remedy})
	}
}

// Warn adds something to know, if it is so.
func (f *Findings) Warn(when bool, code, text, remedy string) {
	if when {
		*f = append(*f, dialects.SchemaFinding{Code: code, Text: text, Remedy: remedy})
	}
}

// Drift adds something that is not as it was asked for and that no step mends.
func (f *Findings) Drift(when bool, code, text, remedy string) {
	if when {
		*f = append(*f, dialects.SchemaFinding{Drift: true, Code: code, Text: text, Remedy: remedy})
	}
}

// Unfit tells whether there is a reason in the table itself to change nothing.
func (f Findings) Unfit() bool {
	for _, one := range f {
		if one.Refuse && !one.Applying {
			return true
		}
	}
	return false
}
