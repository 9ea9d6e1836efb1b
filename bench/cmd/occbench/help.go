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
Of the workloads, counter and transfer are run unless others are named; of the
strategies all but gate, combine, group, lock and relaxed.

Clients share one connection pool and one repository, as the goroutines of a service
do. With --procs they are divided among that many processes, each with a pool and a
repository of its own: 64 clients in 2 processes are 32 each. They start together,
and the rows are compared with what all of them were told. "least share" is the
share of the commits that the slowest process made; even would be 1/procs.

Below each table stands how often two choices of a row are the same, predicted from
--dist and --keys and measured from what was chosen, and, where conflicts are rare
enough for the prediction (C-1)/2 times that, conflicts per commit beside it.

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
A server to throw away, as PostgreSQL's own user, with a flush to delay:
  initdb -D /dev/shm/pg -U bench -A trust -N
  pg_ctl -D /dev/shm/pg -o '-c fsync=on -c max_connections=200 -k /dev/shm/pg -p 5499' -w start
  occbench --db postgres --dsn 'postgres://bench@127.0.0.1:5499/postgres'
With fsync=off commits wait for no disk, and --commit-delay is refused.

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

  # the same row, far away, then on a slow disk, then from two processes
  occbench --workload counter --dist single --clients 64 --db postgres --delay 1ms
  occbench --workload counter --dist single --clients 64 --db postgres --commit-delay 1ms
  occbench --workload counter --dist single --clients 64 --db postgres --procs 2

  # every way to treat hot rows, on few hot ones among many
  occbench --workload counter --keys 1000 --dist zipf:0.99 --clients 64 --strategies naive,none,auto,gate,combine,group,lock,atomic

  # write skew, and bulk writes; then what checking only the written rows lets through
  occbench --workload doctors,batch
  occbench --workload doctors --strategies full-jitter,relaxed

  # bulk writes of 1,000 rows that seldom meet
  occbench --workload batch --batch 1000 --keys 100000 --clients 4

  # skewed transfers between many accounts, ten repetitions, for a program to read
  occbench --workload transfer --keys 100000 --dist zipf:1.5 --duration 10s --reps 10 --json result.json`
