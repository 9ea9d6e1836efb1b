package occ_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"sync"

	_ "modernc.org/sqlite"

	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

type Account struct {
	ID      int64  `occ:"id,key"`
	Owner   string `occ:"owner"`
	Balance int64  `occ:"balance"`
	Version int64  `occ:"version,version"`
}

// openExample opens an embedded database with one table.
func openExample() (*occ.DB, func()) {
	pool, err := sql.Open("sqlite", "file::memory:?_pragma=busy_timeout(5000)")
	if err != nil {
		log.Fatal(err)
	}
	pool.SetMaxOpenConns(1) // one connection is one in-memory database
	_, err = pool.Exec(`CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner TEXT NOT NULL,
		balance INTEGER NOT NULL, version INTEGER NOT NULL)`)
	if err != nil {
		log.Fatal(err)
	}
	return occ.New(sqldb.New(pool), sqlite.New(), nil), func() { _ = pool.Close() }
}

func Example() {
	ctx := context.Background()
	db, done := openExample()
	defer done()
	accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
	if err != nil {
		log.Fatal(err)
	}
	ada := Account{ID: 42, Owner: "Ada", Balance: 100}
	if err := accounts.Insert(ctx, &ada); err != nil {
		log.Fatal(err)
	}
	stale := ada

	var all sync.WaitGroup
	for range 10 { // ten writers on one row: read, change, write, retried on conflict
		all.Go(func() {
			_, err := accounts.Mutate(ctx, 42, func(a *Account) error {
				a.Balance += 10
				return nil
			})
			if err != nil {
				log.Fatal(err)
			}
		})
	}
	all.Wait()

	stale.Balance = 0 // decided on a row that is no longer current
	err = accounts.Update(ctx, &stale)
	var conflict *occ.Conflict[Account]
	fmt.Println(errors.As(err, &conflict), conflict.Current.Balance)
	fmt.Println(err)
	// Output:
	// true 200
	// occ: update accounts[42]: version 1 is stale, row is at 11
}
