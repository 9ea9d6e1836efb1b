package migrations

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/occkit/occkit/dialects"
)

// Table is what a table's version column is to be. The zero value of everything
// but Name works.
type Table struct {
	// Schema qualifies the name. Defaults to the connection's own schema.
	Schema string `json:"schema,omitempty"`
	// Name is the table's name, unquoted, in the case that the database has.
	Name string `json:"name"`
	// Column is the version column. Defaults to "version".
	Column string `json:"column"`
	// Kind is [dialects.Counter] or [dialects.Token]. Defaults to Counter.
	Kind dialects.VersionKind `json:"-"`
	// Initial is the version of the rows that are there when the column is added.
	// Defaults to 1, or to what no old version can equal where the history says
	// that there was such a column before. A column that exists keeps its default.
	Initial int64 `json:"initial,omitempty"`
	// Guard is what happens to writes that leave the version alone. Defaults to
	// [dialects.GuardEnforce].
	Guard dialects.GuardMode `json:"-"`
	// Invisible hides the column from SELECT * and from INSERT without a column
	// list on MySQL and MariaDB. Defaults to false.
	Invisible bool `json:"invisible,omitempty"`
}

// Options are the choices of a [Migrator]. The zero value works.
type Options struct {
	// MaxWait bounds how long one step tries to get its lock, and how long a
	// backfill makes no progress. Defaults to 10 minutes.
	MaxWait time.Duration
	// NowaitFor is for how long locks are asked for without waiting at all, before
	// short waits begin. Defaults to 30 seconds.
	NowaitFor time.Duration
	// ChunkTime is how long one part of a backfill should take. Defaults to 100
	// milliseconds.
	ChunkTime time.Duration
	// Pause is the rest between two parts. Defaults to 5 milliseconds.
	Pause time.Duration
	// Throttle is asked before each part of a backfill. A text that is not empty
	// is the reason to wait ("replica is 9 s behind"); it is asked again a second
	// later. Defaults to none.
	Throttle func(ctx context.Context) (reason string, err error)
	// MaxLag holds a backfill while a replica is farther behind than this, or gone
	// since it began. It takes a server that knows ([errors.ErrUnsupported]):
	// PostgreSQL, and a role that is a member of pg_read_all_stats. One without
	// replicas is refused. Defaults to no bound.
	MaxLag time.Duration
	// NoHistory leaves out the table occkit_migrations. Defaults to false. Without
	// it nothing remembers the versions of a column that was dropped.
	NoHistory bool
	// Actor is who the history says did it. Defaults to "".
	Actor string
	// Progress is told what happens, from the goroutine that does it. Defaults to
	// none.
	Progress func(Event)
	// Now, Sleep and Rand are for tests. They default to the clock, and to
	// math/rand/v2.
	Now   func() time.Time
	Sleep func(ctx context.Context, d time.Duration) error
	Rand  func() float64

	_ struct{} // no positional literals, so that fields may be added
}

// Migrator plans and applies version columns on one database. It holds no
// connection between calls and is safe for concurrent use; any number of them
// may work on one database at once, in any number of processes.
type Migrator struct {
	db      dialects.DB
	dialect dialects.Dialect
	changer dialects.SchemaChanger
	o       Options
}

// New returns a migrator. Options may be nil. A dialect that cannot change
// schemas is refused with an error that is [errors.ErrUnsupported].
func New(db dialects.DB, d dialects.Dialect, opts *Options) (*Migrator, error) {
	if db == nil || d == nil {
		return nil, errors.New("migrations: New needs a database and a dialect")
	}
	changer, ok := d.(dialects.SchemaChanger)
	if !ok {
		return nil, fmt.Errorf("migrations: %s: the dialect does not change schemas: %w", d.Name(), errors.ErrUnsupported)
	}
	m := &Migrator{db: db, dialect: d, changer: changer}
	if opts != nil {
		m.o = *opts
	}
	m.o.complete()
	return m, nil
}

func (o *Options) complete() {
	orElse := func(d *time.Duration, otherwise time.Duration) {
		if *d <= 0 {
			*d = otherwise
		}
	}
	orElse(&o.MaxWait, 10*time.Minute)
	orElse(&o.NowaitFor, 30*time.Second)
	orElse(&o.ChunkTime, 100*time.Millisecond)
	orElse(&o.Pause, 5*time.Millisecond)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Float64
	}
	if o.Progress == nil {
		o.Progress = func(Event) {}
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// spec completes a table for the dialect.
func (m *Migrator) spec(t Table) (dialects.VersionTable, error) {
	v := dialects.VersionTable{
		Schema: t.Schema, Name: t.Name, Column: t.Column, Kind: t.Kind, Initial: t.Initial, Guard: t.Guard, Invisible: t.Invisible,
	}
	if v.Column == "" {
		v.Column = "version"
	}
	if v.Kind == dialects.NotVersion {
		v.Kind = dialects.Counter
	}
	if v.Initial == 0 {
		v.Initial = 1
	}
	if !m.o.NoHistory {
		v.History = historyTable.Name
	}
	switch {
	case v.Name == "":
		return v, errors.New("migrations: a table needs a name")
	case v.Kind != dialects.Counter && v.Kind != dialects.Token:
		return v, fmt.Errorf("migrations: %s: a version of kind %s needs no migration: %w", v.Name, v.Kind, errors.ErrUnsupported)
	case v.Guard > dialects.GuardNone:
		return v, fmt.Errorf("migrations: %s: unknown guard %d", v.Name, v.Guard)
	}
	return v, nil
}
