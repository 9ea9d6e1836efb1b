package main

import (
	"fmt"
	"strings"

	"github.com/occkit/occkit/dialects/named"
)

func help() string {
	var b strings.Builder
	b.WriteString(helpBegin)
	for _, name := range named.Names() {
		form, _, _ := strings.Cut(named.Usage(name), ", or nothing") // a temporary file has no tables
		fmt.Fprintf(&b, "  %-12s %s\n", name, form)
	}
	b.WriteString(helpEnd)
	return b.String()
}

const helpBegin = `Optimistic concurrency needs a column that every write moves. Adding one takes
milliseconds; waiting for the lock it needs can stop all traffic on the table, and a
column that only some writers move is a false promise. occmigrate adds the column
without anybody queueing behind it, and a trigger, the guard, that moves the version
when a writer leaves it alone:

  enforce   moves it by one; lets a greater version pass; refuses a smaller one
  strict    refuses every write that does not move it up
  none      no trigger: only writers that know the version move it

It locks without waiting, again and again; only after --nowait it waits, 0.2 s at
most each time. (MySQL 8 cannot wait for less than 1 s: there it looks first whether
a transaction is in the way. The same second bounds the one step on MySQL and MariaDB
that writes a table, NOT NULL on a legacy column.) It says who is in the way, and
never ends anybody's session.

Every step shows in the catalog, and what is done next is what is missing there: run
apply again after an error, a Ctrl-C or a kill, and it goes on. Any number may run at
once.

A column that exists is kept, whatever its name and default. If it may be NULL, it
gets a default, its rows are filled in parts, and it becomes NOT NULL.

A day's work:
  1. occmigrate plan accounts      what would be done, and what speaks against it
  2. occmigrate preview accounts   the SQL, with the lock and the work of each step
  3. occmigrate apply accounts     do it
  4. occmigrate verify accounts    in CI, from then on

Databases, and what --dsn or ` + dsnVariable + ` holds:
`

const helpEnd = `
mysql is written from the documentation of MySQL 8 and was not run on it.

Exit codes: 0 done, or nothing to do; 1 verify found something; 2 plan has changes;
3 refused, or not the plan of --fingerprint; 4 bad usage, the database cannot be used,
or no lock in time; 130 interrupted.`

const examples = `  export ` + dsnVariable + `=postgres://owner:secret@127.0.0.1:5432/shop
  occmigrate plan    --db postgres accounts sales.orders
  occmigrate apply   --db postgres accounts sales.orders
  occmigrate apply   --db postgres --column lock_version legacy_orders
  occmigrate revert  --db postgres accounts
  occmigrate emit    --db postgres --format goose --dir db/migrations --version 20261125120000 accounts`

const (
	planHelp = `Looks at the tables and tells what apply would do. Changes nothing, and takes no lock
that a writer could wait for.`
	previewHelp = `Prints the SQL that apply would run, with the lock that each step takes, whom it keeps
out, and how its work grows. Statements for the locks themselves are left out.`
	applyHelp = `Brings each table to what it is to be, one step per transaction. All tables are looked
at first; if one is refused, none is changed. Ctrl-C ends it after the step or the part
that is under way.

With --fingerprint it does what somebody has looked at, and nothing else: exit code 3
when the plan is another one by now. What an interrupted apply has left to do is
another plan. One with nothing left to do ends well.

With --max-lag a backfill waits while a replica is farther behind than that, or gone
since the backfill began. It takes PostgreSQL, with a replica, and a role that is a
member of pg_read_all_stats; anything else is refused, since nothing would be bounded:
servers of MariaDB and MySQL do not know how far their replicas are behind. For those
let something that asks the replicas make and remove the --pause-file.`
	backfillHelp = `Does what apply does, and stops when no row is without a version: the rest, NOT NULL
and the guard, is left to a later apply. See occmigrate apply --help for --max-lag.`
	statusHelp = `Tells for each table what the column and the guard are, what is missing, who has a
transaction open that would keep a lock from being granted, and what was done last.

How far a backfill is, is counted: on PostgreSQL in a sample of 2,000 pages where there
are more (then it says about), on MariaDB and MySQL for two seconds at most.`
	verifyHelp = `Checks that each table is what it is to be, and tries the guard: writes to one row in
transactions that are rolled back.`
	revertHelp = `Removes the guard first and, with --drop-column, the column last. The history keeps a
number above all versions of a dropped column, and a later apply starts there, so that
a version that some client still holds never comes back.`
	emitHelp = `Writes the steps as files that another tool runs, one table per file; equal tables give
equal bytes. A file cannot try again: on a busy table use apply.`
)
