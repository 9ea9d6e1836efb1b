package occ_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/dialects/sqlite"
	"github.com/occkit/occkit/occ"
)

var errFunds = errors.New("insufficient funds")

// The README shows the part between the markers; TestREADME compares.
func Example_withdraw() {
	ctx, pool := context.Background(), openBank()
	defer func() { _ = pool.Close() }()
	// README begins
	db := occ.New(sqldb.New(pool), sqlite.New(), nil) // or pgxdb.New(pool), postgres.New()
	accounts, err := occ.NewRepository[Account, int64](db, "accounts", nil)
	if err != nil {
		panic(err)
	}
	acct, err := accounts.Mutate(ctx, 42, func(a *Account) error { // read, change, write; again on conflict
		if a.Balance < 100 {
			return errFunds // comes back as it is, nothing is written
		}
		a.Balance -= 100
		return nil
	})
	fmt.Println(acct.Balance, acct.Version, err)
	// README ends
	// Output: 400 2 <nil>
}

// openBank returns a database with account 42 at version 1.
func openBank() *sql.DB {
	pool, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		panic(err)
	}
	pool.SetMaxOpenConns(1)
	_, err = pool.Exec(`CREATE TABLE accounts (id INTEGER PRIMARY KEY, owner TEXT, balance INTEGER, version INTEGER);
		INSERT INTO accounts VALUES (42, 'Ada', 500, 1)`)
	if err != nil {
		panic(err)
	}
	return pool
}

// TestREADME holds the README to the code: its example is the compiled one, and
// every test that its guarantees name exists.
func TestREADME(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
	source, err := os.ReadFile("readme_test.go")
	require.NoError(t, err)

	example := regexp.MustCompile(`(?s)// README begins\n(.*?)\t// README ends`).FindSubmatch(source)
	require.NotNil(t, example)
	shown := strings.ReplaceAll("\n"+string(example[1]), "\n\t", "\n")
	require.Contains(t, string(readme), shown, "the README's example is not the one of Example_withdraw")

	guarantees := regexp.MustCompile(`(?s)## Guarantees\n(.*?)\n## `).FindSubmatch(readme)
	require.NotNil(t, guarantees)
	names := regexp.MustCompile("`((?:Test|Fuzz)[A-Za-z0-9_]+)").FindAllSubmatch(guarantees[1], -1)
	require.Greater(t, len(names), 8)
	for _, name := range names {
		out, err := exec.Command("grep", "-rlE", "--include=*_test.go", `^func `+string(name[1])+`\(`, "..").CombinedOutput()
		require.NoError(t, err, "the README names %s, which no test file has: %s", name[1], out)
	}
}
