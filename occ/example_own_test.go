package occ_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

// The transaction is the caller's own; Retry repeats it as a whole.
func ExampleJoin() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	must(pool.Exec("CREATE TABLE audit (account INTEGER, version INTEGER)"))
	db := occ.New(sqldb.New(pool), sqlite.New(), nil)
	accounts := must(occ.NewRepository[Account, int64](db, "accounts", nil))

	err := db.Retry(ctx, func(ctx context.Context) error {
		tx, err := pool.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }()
		acct, err := accounts.In(occ.Join(tx)).Mutate(ctx, 42, func(a *Account) error {
			a.Balance -= 100
			return nil
		})
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO audit VALUES (?, ?)", acct.ID, acct.Version); err != nil {
			return err
		}
		return db.Judge(ctx, dialects.Commit, tx.Commit())
	})
	fmt.Println(err, must(accounts.Get(ctx, 42)).Balance)
	// Output: <nil> 400
}

// Statements of the caller's own: a checked Exec inside the retry loop.
func ExampleDB_Retry() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	db := occ.New(sqldb.New(pool), sqlite.New(), nil)

	runs := 0
	err := db.Retry(ctx, func(ctx context.Context) error {
		var balance, version int64
		err := pool.QueryRowContext(ctx, "SELECT balance, version FROM accounts WHERE id = 42").Scan(&balance, &version)
		if err != nil {
			return err
		}
		if runs++; runs == 1 { // somebody else is faster, once
			must(pool.Exec("UPDATE accounts SET balance = balance + 1, version = version + 1"))
		}
		return db.Exec(ctx, "UPDATE accounts SET balance = ?, version = version + 1 WHERE id = 42 AND version = ?", balance*2, version)
	})
	fmt.Println(err, runs)
	// Output: <nil> 2
}

// Code that sqlc generated returns the number of rows; Affected judges it.
func ExampleAffected() {
	pool := openBank()
	defer func() { _ = pool.Close() }()
	rename := func(owner string, id, version int64) (int64, error) { // as generated for :execrows
		res, err := pool.Exec("UPDATE accounts SET owner = ?, version = version + 1 WHERE id = ? AND version = ?", owner, id, version)
		if err != nil {
			return 0, err
		}
		return res.RowsAffected()
	}
	fmt.Println(occ.Affected(rename("Grace", 42, 1)))
	err := occ.Affected(rename("Edsger", 42, 1))
	fmt.Println(err, errors.Is(err, occ.ErrConflict))
	// Output:
	// <nil>
	// occ: exec: conflict: no row has that key and version true
}

// A driver's error is judged by what it proves, wherever it happened.
func ExampleDB_Classify() {
	pool := openBank()
	defer func() { _ = pool.Close() }()
	db := occ.New(sqldb.New(pool), sqlite.New(), nil)
	_, err := pool.Exec("INSERT INTO accounts VALUES (42, 'Eve', 0, 1)")
	fmt.Println(db.Classify(fmt.Errorf("signing up: %w", err)))
	fmt.Println(db.Classify(sql.ErrNoRows))
	// Output:
	// duplicate
	// unknown
}
