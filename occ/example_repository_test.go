package occ_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/observe"
	"github.com/occkit/occkit/occ/retry"
)

// must keeps the examples short.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func ExampleRepository_Update() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	accounts := must(occ.NewRepository[Account, int64](occ.New(sqldb.New(pool), sqlite.New(), nil), "accounts", nil))

	mine := must(accounts.Get(ctx, 42)) // shown to a person, who thinks about it
	yours := mine
	yours.Owner = "Grace"
	fmt.Println(accounts.Update(ctx, &yours), yours.Version)

	mine.Balance = 0
	err := accounts.Update(ctx, &mine)
	fmt.Println(err)
	var conflict *occ.Conflict[Account]
	if errors.As(err, &conflict) {
		fmt.Println("now owned by", conflict.Current.Owner)
	}

	_, err = pool.Exec("DELETE FROM accounts")
	fmt.Println(err, errors.Is(accounts.Update(ctx, &mine), occ.ErrGone))
	// Output:
	// <nil> 2
	// occ: update accounts[42]: version 1 is stale, row is at 2
	// now owned by Grace
	// <nil> true
}

func ExampleRepository_Patch() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	accounts := must(occ.NewRepository[Account, int64](occ.New(sqldb.New(pool), sqlite.New(), nil), "accounts", nil))

	// The key, the version and the new value came with a request; nothing is loaded.
	change := Account{ID: 42, Version: 1, Owner: "Grace"}
	fmt.Println(accounts.Patch(ctx, &change, "owner"), change.Version)
	fmt.Println(must(accounts.Get(ctx, 42)))
	fmt.Println(accounts.Patch(ctx, &change, "iban"))
	// Output:
	// <nil> 2
	// {42 Grace 500 2}
	// occ: patch accounts: wrong use: no column "iban" can be written; those that can are owner, balance
}

func ExampleRepository_Find() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	accounts := must(occ.NewRepository[Account, int64](occ.New(sqldb.New(pool), sqlite.New(), nil), "accounts", nil))

	for account, err := range accounts.Find(ctx, "WHERE owner = ? ORDER BY id LIMIT 10", "Ada") {
		if err != nil {
			panic(err)
		}
		account.Balance++ // the row has its version: it can be written as it is
		fmt.Println(accounts.Update(ctx, &account), account.Version)
	}
	// Output: <nil> 2
}

func ExampleRepository_Statements() {
	pool := openBank()
	defer func() { _ = pool.Close() }()
	accounts := must(occ.NewRepository[Account, int64](occ.New(sqldb.New(pool), sqlite.New(), nil), "accounts", nil))
	for _, st := range accounts.Statements() {
		if st.Name == "touch" {
			fmt.Println(st.Text)
		}
	}
	// Output: UPDATE `accounts` SET `version` = `version` + 1 WHERE `id` = ? AND `version` = ? AND `version` < 9223372036854775807
}

// A composite key is a struct with the key columns' tags.
type Seat struct {
	Flight  string `occ:"flight,key"`
	Row     int    `occ:"row,key"`
	Guest   string `occ:"guest,nullable"`
	Version int64  `occ:"version,version"`
}

type SeatKey struct {
	Flight string `occ:"flight"`
	Row    int    `occ:"row"`
}

func ExampleNewRepository_compositeKey() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	must(pool.Exec(`CREATE TABLE seats (flight TEXT, row INTEGER, guest TEXT, version INTEGER NOT NULL, PRIMARY KEY (flight, row))`))
	db := occ.New(sqldb.New(pool), sqlite.New(), nil)
	seats := must(occ.NewRepository[Seat, SeatKey](db, "seats", nil))

	seat := must(seats.Create(ctx, Seat{Flight: "LH 400", Row: 7}))
	seat.Guest = "Ada"
	fmt.Println(seats.Update(ctx, &seat))
	fmt.Println(must(seats.Get(ctx, SeatKey{"LH 400", 7})))
	// Output:
	// <nil>
	// {LH 400 7 Ada 2}
}

func ExampleMappingError() {
	pool := openBank()
	defer func() { _ = pool.Close() }()
	type Ticket struct {
		ID      int64     `occ:"id,key"`
		Changed time.Time `occ:"changed,version"`
	}
	_, err := occ.NewRepository[Ticket, int64](occ.New(sqldb.New(pool), sqlite.New(), nil), "tickets", nil)
	var mapping *occ.MappingError
	fmt.Println(errors.As(err, &mapping), mapping.Field)
	fmt.Println(err)
	// Output:
	// true Changed
	// occ: mapping occ_test.Ticket.Changed: is a time: clocks repeat and columns round, so a stale write can pass the check; use an integer, or say version=timestamp if you accept that
}

func ExampleOptions() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	plain := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "elapsed" {
				return slog.Attr{}
			}
			return a
		},
	}))
	db := occ.New(sqldb.New(pool), sqlite.New(), &occ.Options{
		Retry:    &retry.Policy{MaxAttempts: 8, MaxElapsed: 2 * time.Second},
		Observer: observe.Slog(plain, nil),
	})
	accounts := must(occ.NewRepository[Account, int64](db, "accounts", nil))
	fmt.Println(accounts.Overwrite(ctx, &Account{ID: 42, Owner: "Ada", Balance: 7}, "restored from the ledger"))
	// Output:
	// level=WARN msg="occ overwrite" op=overwrite table=accounts key=42 attempt=1 reason="restored from the ledger"
	// <nil>
}

func ExampleRepository_Apply() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	accounts := must(occ.NewRepository[Account, int64](occ.New(sqldb.New(pool), sqlite.New(), nil), "accounts", nil))

	// One statement each, without a read and without a conflict.
	fmt.Println(accounts.Add(ctx, 42, "balance", -430))
	fmt.Println(accounts.SetIf(ctx, 42, map[string]any{"owner": "Grace"}, occ.Eq("owner", "Ada")))

	// Two columns, and only if there is enough.
	rename := []occ.Change{occ.Add("balance", -100), occ.Set("owner", "Eve")}
	_, err := accounts.Apply(ctx, 42, rename, occ.Ge("balance", 100))
	fmt.Println(err)
	var unmet *occ.Unmet[Account]
	if errors.As(err, &unmet) {
		fmt.Printf("%+v\n", *unmet.Current)
	}
	// Output:
	// 2 <nil>
	// 3 <nil>
	// occ: apply accounts[42]: condition not met (balance)
	// {ID:42 Owner:Grace Balance:70 Version:3}
}
