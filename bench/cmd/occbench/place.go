package main

import (
	"context"
	"time"

	"github.com/occkit/occkit/bench"
	"github.com/occkit/occkit/bench/distance"
	"github.com/occkit/occkit/dialects/named"
)

// place is a database and how it is reached. Its JSON form holds a password, and
// goes through pipes only.
type place struct {
	DB, DSN            string
	Connections        int
	Delay, CommitDelay time.Duration
}

// open connects to the database.
func (p place) open(ctx context.Context) (*named.Database, bench.Target, error) {
	options := &named.Options{Connections: p.Connections, CommitDelay: p.CommitDelay}
	if p.Delay > 0 {
		options.Dial = distance.Dialer{Delay: p.Delay, Precise: true}.DialContext
	}
	db, err := named.Open(ctx, p.DB, p.DSN, options)
	if err != nil {
		return nil, bench.Target{}, err
	}
	return db, bench.Target{
		DB: db.DB, Dialect: db.Dialect, Placeholder: db.Placeholder, Report: db.Report,
		Server: db.Version, Settings: db.Settings, Connections: db.Connections,
		Delay: p.Delay, CommitDelay: p.CommitDelay,
	}, nil
}

// share returns the place for each of several processes, which divide what the
// server grants of connections among themselves, and have one each at least.
func (p place) share(db *named.Database, procs int) place {
	p.DSN, p.Connections = db.DSN, max(1, db.Connections/procs)
	return p
}
