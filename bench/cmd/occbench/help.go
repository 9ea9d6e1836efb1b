package main

import (
	"fmt"
	"strings"

	"github.com/occkit/occkit/bench/strategy"
	"github.com/occkit/occkit/bench/workload"
	"github.com/occkit/occkit/dialects/named"
)

func help() string {
	var b strings.Builder
	b.WriteString(`Many clients change few rows. occbench lets them do so in several ways, one after
the other and interleaved, on a table of its own that it drops at the end. Then it
compares every commit that a client was told of with the rows: none may be missing,
none may be there twice, and later ones must come later. The strategy "naive" is
wrong on purpose; a run that does not catch it losing updates fails.
Of the workloads, counter and transfer are run unless others are named.

Workloads:
`)
	for _, w := range workload.All() {
		fmt.Fprintf(&b, "  %-12s %s\n", w.Name, w.Summary)
	}
	b.WriteString("\nStrategies:\n")
	for _, s := range strategy.All() {
		fmt.Fprintf(&b, "  %-12s %s\n", s.Name, s.Summary)
	}
	b.WriteString("\nDatabases, and what --dsn or " + dsnVariable + " holds:\n")
	for _, name := range named.Names() {
		fmt.Fprintf(&b, "  %-12s %s\n", name, named.Usage(name))
	}
	b.WriteString(`
Exit codes: 0 every strategy but the control is exact and the control was caught;
2 an update was lost, duplicated or reordered, nobody was on call, or the control
was not caught; 1 bad usage, or the database cannot be used; 130 interrupted.`)
	return b.String()
}

const examples = `  # everything, on SQLite in a temporary file, in less than a minute
  occbench

  # PostgreSQL; the password stays out of the process list
  ` + dsnVariable + `=postgres://bench:secret@127.0.0.1:5432/bench occbench --db postgres

  # one hot row, 64 clients: which backoff is best?
  occbench --workload counter --dist single --clients 64 --strategies none,exponential,full-jitter

  # write skew, and bulk writes; then what checking only the written rows lets through
  occbench --workload doctors,batch
  occbench --workload doctors --strategies full-jitter,relaxed

  # bulk writes of 1,000 rows that seldom meet
  occbench --workload batch --batch 1000 --keys 100000 --clients 4

  # skewed transfers between many accounts, ten repetitions, for a program to read
  occbench --workload transfer --keys 100000 --dist zipf:1.5 --duration 10s --reps 10 --json result.json`
