package migrations

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// File is an emitted file.
type File struct{ Name, Text string }

// Emit writes the steps of tables as files for another tool. It looks at the
// tables to know their keys and columns; whether steps are done already makes no
// difference. Equal tables give equal bytes: no clock is in them.
//
// A new column is one file per table. One that exists and may be NULL is several,
// since filling it must not happen under the lock of the statements before.
// Version is the number of the first file; those after it count up.
//
// A file cannot try again when it does not get a lock, cannot fill rows in parts,
// and cannot see what another migrator did: on busy tables use Apply.
func (m *Migrator) Emit(ctx context.Context, tables []Table, format Format, version string) ([]File, error) {
	write, ok := formats[format]
	if !ok {
		return nil, fmt.Errorf("migrations: unknown format %q: choose from %s", format, strings.Join(Formats(), ", "))
	}
	next, ok := new(big.Int).SetString(version, 10)
	if !ok || next.Sign() < 0 {
		return nil, fmt.Errorf("migrations: the version %q is not a number", version)
	}
	var files []File
	err := m.each(ctx, tables, func(conn dialects.Conn, v dialects.VersionTable) error {
		v.Bare = v.Schema == ""
		v.History = ""
		p, err := m.inspect(ctx, conn, v)
		if err == nil {
			err = refusals(&p)
		}
		if err != nil {
			return err
		}
		scripts, err := m.scripts(&p)
		for _, s := range scripts {
			// Leading zeros are kept: tools sort by them.
			s.version = fmt.Sprintf("%0*s", len(version), next.String())
			next.Add(next, big.NewInt(1))
			files = append(files, write(s)...)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return files, nil
}

// script is what one file does.
type script struct {
	version, name string
	header        []string
	up, down      []string
	around        dialects.SchemaFile
}

// scripts cuts the steps into files: steps that change the catalog alone go
// together, every other one goes by itself.
func (m *Migrator) scripts(p *dialects.SchemaPlan) ([]script, error) {
	var groups [][]dialects.SchemaStep
	for i, s := range p.Steps {
		alone := s.Work != dialects.WorkInstant
		if i == 0 || alone || groups[len(groups)-1][0].Work != dialects.WorkInstant {
			groups = append(groups, nil)
		}
		groups[len(groups)-1] = append(groups[len(groups)-1], s)
	}
	var all []script
	for i, group := range groups {
		around, err := m.changer.SchemaFile(p, group[0].Work)
		if err != nil {
			return nil, err
		}
		s := script{name: "occkit_" + plain(p.Table.Name) + "_" + plain(p.Table.Column), around: around}
		if len(groups) > 1 {
			s.name += fmt.Sprintf("_%d_%s", i+1, strings.ReplaceAll(group[0].ID, "-", "_"))
		}
		for _, step := range group {
			sql := step.SQL
			if step.File != nil {
				sql = step.File
			}
			s.up = append(s.up, sql...)
			if undone(p, step.ID) {
				s.down = append(slices.Clone(step.Undo), s.down...)
			}
		}
		s.header = m.header(p, &s, len(groups) > 1)
		all = append(all, s)
	}
	return all, nil
}

// undone tells whether a down file takes a step back. What was done to a column
// that was there before stays done.
func undone(p *dialects.SchemaPlan, id string) bool {
	legacy := slices.ContainsFunc(p.Steps, func(s dialects.SchemaStep) bool { return s.Work == dialects.WorkChunks })
	return !legacy || slices.Contains([]string{"function", "trigger"}, id) || strings.HasPrefix(id, "trigger-")
}

func (m *Migrator) header(p *dialects.SchemaPlan, s *script, legacy bool) []string {
	sum := sha256.Sum256([]byte(strings.Join(s.up, ";\n") + "\n\n" + strings.Join(s.down, ";\n")))
	lines := []string{
		fmt.Sprintf("Written by occmigrate emit for %s: table %s, column %s, guard %s, plan %s.",
			m.dialect.Name(), oneWord(p.Table.Name), oneWord(p.Table.Column), p.Table.Guard, hex.EncodeToString(sum[:8])),
		"It gives up when it does not get its lock at once, and cannot try again by itself:",
		"on a busy table run occmigrate apply instead, which finds this file's work done.",
	}
	if legacy && strings.Contains(s.name, "_backfill") {
		lines = append(lines, "This writes every row in one transaction. On a large table run occmigrate backfill before.")
	}
	return lines
}

// plain is a name for file names.
func plain(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(name))
}

// oneWord keeps a name from ending a comment.
func oneWord(name string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '_'
		}
		return r
	}, name)
}
