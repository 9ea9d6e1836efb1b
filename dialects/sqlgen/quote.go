package sqlgen

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Quote returns name as a quoted identifier. It refuses what the database
// cannot hold under exactly that name: the empty name, NUL, invalid UTF-8, and
// names that are too long, which PostgreSQL would cut off silently.
func (s Syntax) Quote(name string) (string, error) {
	if err := s.checkName(name); err != nil {
		return "", fmt.Errorf("%s: identifier %s: %w", s.Name, abbreviate(name), err)
	}
	return s.quote(name), nil
}

// QuoteTable returns the quoted name of a table, qualified by schema unless
// that is empty.
func (s Syntax) QuoteTable(schema, name string) (string, error) {
	table, err := s.Quote(name)
	if err != nil || schema == "" {
		return table, err
	}
	qualifier, err := s.Quote(schema)
	if err != nil {
		return "", err
	}
	return qualifier + "." + table, nil
}

// Placeholder returns the placeholder of the n-th bound parameter, counted
// from 1.
func (s Syntax) Placeholder(n int) string {
	if s.Numbered {
		return "$" + strconv.Itoa(n)
	}
	return "?"
}

// quote quotes a name that was checked.
func (s Syntax) quote(name string) string {
	q := string(s.QuoteChar)
	return q + strings.ReplaceAll(name, q, q+q) + q
}

func (s Syntax) checkName(name string) error {
	switch {
	case name == "":
		return errors.New("the name is empty")
	case !utf8.ValidString(name):
		return errors.New("the name is not valid UTF-8")
	case strings.ContainsRune(name, 0):
		return errors.New("the name holds a NUL character")
	case s.BasicPlane && strings.ContainsFunc(name, supplementary):
		return errors.New("the name holds a character above U+FFFF")
	}
	length, unit := len(name), "bytes"
	if s.Characters {
		length, unit = utf8.RuneCountInString(name), "characters"
	}
	if limit := s.Limits.Identifier; limit > 0 && length > limit {
		return fmt.Errorf("the name has %d %s, the limit is %d", length, unit, limit)
	}
	return nil
}

func supplementary(r rune) bool { return r > 0xFFFF }

// abbreviate keeps hostile names from flooding messages.
func abbreviate(name string) string {
	const most = 100
	if len(name) <= most {
		return strconv.Quote(name)
	}
	return strconv.Quote(name[:most]) + "..."
}
