// Package dbtest gives tests real database servers.
//
// [Postgres], [MariaDB], [MySQL] and [SQLite] return the DSN of an empty
// namespace that belongs to the calling test alone and goes away with it.
// [StartPostgres] and [StartMariaDB] start a server that the test may break,
// and [Proxy] loses replies between a client and a server.
//
// A server comes from the environment (OCCKIT_POSTGRES, OCCKIT_MARIADB and
// OCCKIT_MYSQL hold DSNs) or else is started from the programs installed on
// this machine, once per test process. Without either the test is skipped,
// saying what is missing; OCCKIT_REQUIRE, a list such as "postgres,mariadb",
// makes that a failure.
//
// Started servers listen on a Unix socket in a private directory and, with a
// random password, on a loopback port. They and their files disappear when the
// test process ends, however it ends: the kernel ends the server together with
// the process, and a small shell process that notices removes the files. So
// users need no TestMain.
package dbtest

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// patience bounds everything that waits for a server.
const patience = 60 * time.Second

// Open opens and pings a database, and closes it when the test ends. Driver is
// the name under which a database/sql driver is registered: "pgx", "mysql" or
// "sqlite" (this package links all three).
func Open(t testing.TB, driver, dsn string) *sql.DB {
	t.Helper()
	db, err := sql.Open(driver, dsn)
	if err != nil {
		t.Fatalf("dbtest: open %s: %v", driver, err)
	}
	t.Cleanup(func() { _ = db.Close() })
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := db.PingContext(ctx); err != nil {
		t.Fatalf("dbtest: ping %s: %v", driver, err)
	}
	return db
}

// missing skips the test, or fails it where OCCKIT_REQUIRE names the engine.
func missing(t testing.TB, e engine, why string) {
	t.Helper()
	if why == "" {
		why = "no server: set " + e.env() + " to a DSN, or install " + e.wants
	}
	required := strings.FieldsFunc(os.Getenv("OCCKIT_REQUIRE"), func(r rune) bool {
		return r == ',' || r == ' '
	})
	if slices.Contains(required, e.name) {
		t.Fatalf("%s: %s (OCCKIT_REQUIRE names %s)", e.name, why, e.name)
	}
	t.Skipf("%s: %s", e.name, why)
}

// randomName returns a new identifier that every database takes unquoted.
func randomName() string { return "occ_" + randomHex(6) }

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	_, _ = rand.Read(b) // never fails: see crypto/rand
	return hex.EncodeToString(b)
}
