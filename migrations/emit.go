package migrations

import (
	"context"
	"errors"
)

// Format is the tool that emitted files are for.
type Format string

// File is an emitted file.
type File struct{ Name, Text string }

// Emit writes files.
func (m *Migrator) Emit(_ context.Context, _ []Table, _ Format, _ string) ([]File, error) {
	return nil, errors.ErrUnsupported
}
