package migrations

import (
	"slices"
	"strings"
)

// Format is the tool that emitted files are for.
type Format string

// The tools that files are written for. Those for Flyway and Liquibase are
// written from their documentation and were not run.
const (
	Goose         Format = "goose"
	GolangMigrate Format = "golang-migrate"
	Flyway        Format = "flyway"
	Liquibase     Format = "liquibase"
	SQL           Format = "sql"
)

// formats is constant.
var formats = map[Format]func(script) []File{
	Goose: goose, GolangMigrate: golangMigrate, Flyway: flyway, Liquibase: liquibase, SQL: plainSQL,
}

// Formats returns the names that Emit knows.
func Formats() []string {
	var names []string
	for f := range formats {
		names = append(names, string(f))
	}
	slices.Sort(names)
	return names
}

// textFile collects the lines of a file.
type textFile struct{ b strings.Builder }

func (f *textFile) line(lines ...string) {
	for _, l := range lines {
		f.b.WriteString(l + "\n")
	}
}

func (f *textFile) comments(lines []string) {
	for _, l := range lines {
		f.line("-- " + l)
	}
}

// block tells whether a statement holds semicolons.
func block(statement string) bool { return strings.Contains(statement, ";") }

func (s script) wrapped(statements []string) []string {
	if len(statements) == 0 {
		return nil
	}
	return slices.Concat(s.around.Before, statements, s.around.After)
}

// goose: https://pressly.github.io/goose/documentation/annotations/
func goose(s script) []File {
	var f textFile
	if s.around.Begin == "" {
		f.line("-- +goose NO TRANSACTION")
	}
	part := func(name string, statements []string) {
		f.line("-- +goose " + name)
		if name == "Up" {
			f.comments(s.header)
		}
		for _, statement := range s.wrapped(statements) {
			if block(statement) {
				f.line("-- +goose StatementBegin", statement+";", "-- +goose StatementEnd")
			} else {
				f.line(statement + ";")
			}
		}
	}
	part("Up", s.up)
	part("Down", s.down)
	return []File{{Name: s.version + "_" + s.name + ".sql", Text: f.b.String()}}
}

// golangMigrate: the driver for SQLite opens a transaction, that for PostgreSQL
// sends the file as it is, that for MySQL needs multiStatements=true.
func golangMigrate(s script) []File {
	file := func(direction string, statements []string) File {
		var f textFile
		f.comments(s.header)
		transaction := s.around.Begin == "BEGIN" && len(statements) > 0
		if transaction {
			f.line(s.around.Begin + ";")
		}
		for _, statement := range s.wrapped(statements) {
			f.line(statement + ";")
		}
		if transaction {
			f.line(s.around.Commit + ";")
		}
		return File{Name: s.version + "_" + s.name + "." + direction + ".sql", Text: f.b.String()}
	}
	return []File{file("up", s.up), file("down", s.down)}
}

// script in the words of the database's own client.
func (s script) client(statements []string, transaction bool) string {
	var f textFile
	f.comments(s.header)
	if transaction && s.around.Begin != "" && len(statements) > 0 {
		f.line(s.around.Begin + ";")
	}
	for _, statement := range s.wrapped(statements) {
		if block(statement) && s.around.Delimiter {
			f.line("DELIMITER //", statement+"//", "DELIMITER ;")
		} else {
			f.line(statement + ";")
		}
	}
	if transaction && s.around.Begin != "" && len(statements) > 0 {
		f.line(s.around.Commit + ";")
	}
	return f.b.String()
}

// flyway: https://documentation.red-gate.com/fd/migrations-184127470.html
func flyway(s script) []File {
	return []File{
		{Name: "V" + s.version + "__" + s.name + ".sql", Text: s.client(s.up, false)},
		{Name: "U" + s.version + "__" + s.name + ".sql", Text: s.client(s.down, false)},
	}
}

// plainSQL is for the database's own client.
func plainSQL(s script) []File {
	return []File{
		{Name: s.version + "_" + s.name + ".up.sql", Text: s.client(s.up, true)},
		{Name: s.version + "_" + s.name + ".down.sql", Text: s.client(s.down, true)},
	}
}

// liquibase: formatted SQL, one changeset. Statements end with a line of their
// own, since functions and triggers hold semicolons.
// https://docs.liquibase.com/concepts/changelogs/sql-format.html
func liquibase(s script) []File {
	const end = "@@"
	var f textFile
	f.line("--liquibase formatted sql", "", "--changeset occkit:"+s.version+"_"+s.name+" endDelimiter:"+end)
	f.comments(s.header)
	for _, statement := range s.wrapped(s.up) {
		f.line(statement, end)
	}
	for _, statement := range s.wrapped(s.down) {
		for l := range strings.SplitSeq(statement, "\n") {
			f.line("--rollback " + l)
		}
		f.line("--rollback " + end)
	}
	return []File{{Name: s.version + "_" + s.name + ".sql", Text: f.b.String()}}
}
