package sqlgen

import (
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
)

// check tells whether statements for t can be written at all.
func (g Generator) check(t *dialects.Table) error {
	if err := g.checkTable(t); err != nil {
		return fmt.Errorf("%s: table %s: %w", g.Syntax.Name, abbreviate(t.Name), err)
	}
	return nil
}

func (g Generator) checkTable(t *dialects.Table) error {
	if _, err := g.Syntax.QuoteTable(t.Schema, t.Name); err != nil {
		return err
	}
	if limit := g.Syntax.Columns; limit > 0 && len(t.Columns) > limit {
		return fmt.Errorf("%d columns, the limit is %d", len(t.Columns), limit)
	}
	if limit := g.Syntax.Limits.Params; limit > 0 && len(t.Columns)+1 > limit {
		return fmt.Errorf("%d columns need more than the %d parameters of a statement", len(t.Columns), limit)
	}
	keys, versions := 0, 0
	seen := make(map[string]bool, len(t.Columns))
	for _, c := range t.Columns {
		if seen[c.Name] {
			return fmt.Errorf("two columns are named %s", abbreviate(c.Name))
		}
		seen[c.Name] = true
		if err := g.checkColumn(c); err != nil {
			return fmt.Errorf("column %s: %w", abbreviate(c.Name), err)
		}
		if c.Key {
			keys++
		}
		if c.Version != dialects.NotVersion {
			versions++
		}
	}
	switch {
	case keys == 0:
		return errors.New("no key column")
	case versions != 1:
		return fmt.Errorf("%d version columns, want exactly one", versions)
	}
	return nil
}

func (g Generator) checkColumn(c dialects.Column) error {
	if err := g.Syntax.checkName(c.Name); err != nil {
		return err
	}
	if c.Key && c.Version != dialects.NotVersion {
		return errors.New("a column cannot be both key and version")
	}
	switch c.Version {
	case dialects.NotVersion, dialects.Counter, dialects.Token, dialects.Timestamp:
		return nil
	case dialects.Xmin:
		if g.Syntax.Xmin.Read == "" {
			return fmt.Errorf("%s does not version rows by xmin, which is PostgreSQL's own: %w", g.Syntax.Name, errors.ErrUnsupported)
		}
		if c.Name != "xmin" {
			return errors.New(`a version of kind xmin is the system column and must be named "xmin"`)
		}
		return nil
	default:
		return fmt.Errorf("version kind %d: %w", c.Version, errors.ErrUnsupported)
	}
}
