package postgres

import (
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Array returns the text form of an array of text, whose elements have the text
// form of typ: the one thing that every driver sends as it is.
// https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO
func (Dialect) Array(typ string, values []any) (any, error) {
	buf := make([]byte, 0, 8+16*len(values))
	buf = append(buf, '{')
	for i, v := range values {
		if i > 0 {
			buf = append(buf, ',')
		}
		var err error
		if buf, err = appendElement(buf, typ, v); err != nil {
			return nil, fmt.Errorf("element %d: %w", i+1, err)
		}
	}
	return string(append(buf, '}')), nil
}

// appendElement appends one value. Numbers need no quotes.
func appendElement(buf []byte, typ string, v any) ([]byte, error) {
	v, err := plain(v)
	if err != nil {
		return buf, err
	}
	switch v := v.(type) {
	case nil:
		return append(buf, "NULL"...), nil
	case string:
		return appendQuoted(buf, v), nil
	case int64:
		return strconv.AppendInt(buf, v, 10), nil
	case uint64:
		return strconv.AppendUint(buf, v, 10), nil
	case float64:
		return appendFloat(buf, v), nil
	case bool:
		return strconv.AppendBool(buf, v), nil
	case []byte:
		return appendBytes(buf, typ, v), nil
	case time.Time:
		return appendTime(buf, v), nil
	default:
		return buf, fmt.Errorf("a %T has no text form", v)
	}
}

// plain asks a value that knows itself how drivers see it.
func plain(v any) (any, error) {
	valuer, ok := v.(driver.Valuer)
	if !ok {
		return v, nil
	}
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && p.IsNil() {
		return nil, nil //nolint:nilnil // nil is SQL's NULL; database/sql does the same
	}
	v, err := valuer.Value()
	if err != nil {
		return nil, err
	}
	return driver.DefaultParameterConverter.ConvertValue(v)
}

// appendQuoted quotes text: commas and braces, the empty string and the word
// NULL mean themselves in quotes.
func appendQuoted(buf []byte, s string) []byte {
	buf = append(buf, '"')
	for {
		i := strings.IndexAny(s, `"\`)
		if i < 0 {
			break
		}
		buf = append(append(buf, s[:i]...), '\\', s[i])
		s = s[i+1:]
	}
	return append(append(buf, s...), '"')
}

func appendFloat(buf []byte, f float64) []byte {
	switch {
	case math.IsInf(f, 1):
		return append(buf, "Infinity"...)
	case math.IsInf(f, -1):
		return append(buf, "-Infinity"...)
	default:
		return strconv.AppendFloat(buf, f, 'g', -1, 64) // NaN as well
	}
}

// appendBytes appends bytes: in hex where the column holds bytes, as the text
// that they are elsewhere (json, text). A uuid may come as its 16 bytes.
func appendBytes(buf []byte, typ string, b []byte) []byte {
	switch {
	case typ == "bytea":
		return append(hex.AppendEncode(append(buf, `"\\x`...), b), '"')
	case typ == "uuid" && len(b) == 16:
		return hex.AppendEncode(buf, b)
	default:
		return appendQuoted(buf, string(b))
	}
}

// appendTime appends the wall clock, its zone, and microseconds: what is finer
// is cut, as pgx does when it binds a single value. Columns without a time zone
// take the wall clock. The year before 1 is 1 BC, which Go calls 0.
func appendTime(buf []byte, t time.Time) []byte {
	era := ""
	year, month, day := t.Date()
	if year <= 0 {
		year, era = 1-year, " BC"
	}
	buf = fmt.Appendf(buf, `"%04d-%02d-%02d`, year, month, day)
	buf = t.AppendFormat(buf, " 15:04:05.000000-07:00:00")
	return append(append(buf, era...), '"')
}
