package migrations_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/migrations"
)

func openShop() *sql.DB {
	pool, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		panic(err)
	}
	pool.SetMaxOpenConns(1)
	_, err = pool.Exec(`CREATE TABLE accounts (id INTEGER PRIMARY KEY, balance INTEGER);
		INSERT INTO accounts VALUES (42, 500)`)
	if err != nil {
		panic(err)
	}
	return pool
}

func ExampleMigrator() {
	ctx, pool := context.Background(), openShop()
	defer func() { _ = pool.Close() }()
	m, err := migrations.New(sqldb.New(pool), sqlite.New(), nil)
	if err != nil {
		panic(err)
	}
	tables := []migrations.Table{{Name: "accounts"}}

	plan, err := m.Plan(ctx, tables)
	if err != nil {
		panic(err)
	}
	for _, step := range plan.Tables[0].Steps {
		fmt.Println(step.ID, step.Work)
	}
	if _, err := m.Apply(ctx, tables); err != nil {
		panic(err)
	}
	// Code that knows nothing of versions moves them all the same.
	_, _ = pool.Exec("UPDATE accounts SET balance = balance - 100")
	var version int64
	_ = pool.QueryRow("SELECT version FROM accounts WHERE id = 42").Scan(&version)
	fmt.Println("version", version)

	reports, err := m.Verify(ctx, tables, migrations.VerifyOptions{})
	fmt.Println(len(reports[0].Findings), reports[0].Probed, err)
	// Output:
	// history instant
	// add-column instant
	// trigger-guard instant
	// trigger-bump instant
	// version 2
	// 0 true <nil>
}

// A table that does not fit is left alone, and the error says what to do.
func ExampleRefusedError() {
	ctx, pool := context.Background(), openShop()
	defer func() { _ = pool.Close() }()
	_, _ = pool.Exec("CREATE TABLE log (line TEXT)")
	m, err := migrations.New(sqldb.New(pool), sqlite.New(), nil)
	if err != nil {
		panic(err)
	}
	_, err = m.Apply(ctx, []migrations.Table{{Name: "log"}})
	fmt.Println(errors.Is(err, migrations.ErrRefused))
	fmt.Println(err)
	// Output:
	// true
	// migrations: log: refused, nothing was changed: log has no primary key: add one: a version belongs to a row that can be named
}

func ExampleMigrator_Emit() {
	ctx, pool := context.Background(), openShop()
	defer func() { _ = pool.Close() }()
	m, err := migrations.New(sqldb.New(pool), sqlite.New(), nil)
	if err != nil {
		panic(err)
	}
	strict := migrations.Table{Name: "accounts", Guard: dialects.GuardStrict}
	files, err := m.Emit(ctx, []migrations.Table{strict}, migrations.Goose, "20261125120000")
	if err != nil {
		panic(err)
	}
	fmt.Println(files[0].Name)
	fmt.Print(files[0].Text)
	// Output:
	// 20261125120000_occkit_accounts_version.sql
	// -- +goose Up
	// -- Written by occmigrate emit for sqlite: table accounts, column version, guard strict, plan a7086299c64425c5.
	// -- It gives up when it does not get its lock at once, and cannot try again by itself:
	// -- on a busy table run occmigrate apply instead, which finds this file's work done.
	// ALTER TABLE `accounts` ADD COLUMN `version` INTEGER NOT NULL DEFAULT 1;
	// DROP TRIGGER IF EXISTS `accounts_occkit_version_strict_v1`;
	// -- +goose StatementBegin
	// CREATE TRIGGER `accounts_occkit_version_strict_v1` BEFORE UPDATE ON `accounts` FOR EACH ROW
	// WHEN NEW.`version` <= OLD.`version`
	// BEGIN
	//   SELECT RAISE(ABORT, 'occkit: accounts.version must move up with every write');
	// END;
	// -- +goose StatementEnd
	// -- +goose Down
	// DROP TRIGGER IF EXISTS `accounts_occkit_version_strict_v1`;
	// ALTER TABLE `accounts` DROP COLUMN `version`;
}
