package bench

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/occkit/occkit/bench/audit"
	"github.com/occkit/occkit/dialects"
)

// Target is the database that is measured.
type Target struct {
	// DB is the transport; its pool should have a connection for every client. The
	// strategy loop needs it to join transactions ([dialects.Joiner]).
	DB dialects.DB
	// Dialect is what the database speaks.
	Dialect dialects.Dialect
	// Placeholder returns the placeholder of the n-th bound parameter, from 1.
	Placeholder func(n int) string
	// Report wraps an SQL expression of an UPDATE so that its value comes back as
	// the statement's last insert id, on databases whose UPDATE returns no rows.
	// Nil where there is no such way: the row is then read again.
	Report func(expression string) string
	// Spawn starts another process that runs [Serve] on the same database, and
	// returns its standard input and output. Close ends its input and waits until
	// it is gone; the error says why it ended, if not as it should. It may be called
	// more than once. The end of ctx ends the process. Needed for [Spec.Procs] above
	// one.
	Spawn func(ctx context.Context) (io.ReadWriteCloser, error)
	// Server, Settings and Connections describe the database in the result.
	Server      string
	Settings    map[string]string
	Connections int
	// Delay and CommitDelay say what was added to the way to the server, in each
	// direction, and to every commit.
	Delay, CommitDelay time.Duration
}

// table is a throw-away table of the benchmark.
type table struct {
	db   dialects.DB
	name string
}

// tableTimeout bounds the making and the end of a table, which do not end with
// the caller's context.
const tableTimeout = 15 * time.Second

// newTable creates a table under a name that nobody has, and fills it.
func newTable(ctx context.Context, db dialects.DB, keys int, initial audit.State) (*table, error) {
	var random [6]byte
	_, _ = rand.Read(random[:]) // never fails: see crypto/rand
	t := &table{db: db, name: "occbench_" + hex.EncodeToString(random[:])}
	// Detached: whether a CREATE TABLE that was cut off has happened is not known.
	detached, cancel := context.WithTimeout(context.WithoutCancel(ctx), tableTimeout)
	defer cancel()
	err := t.exec(detached, "CREATE TABLE "+t.name+
		" (id INTEGER NOT NULL PRIMARY KEY, n BIGINT NOT NULL, version BIGINT NOT NULL)")
	if err != nil {
		return nil, fmt.Errorf("cannot create the benchmark's table: %w (the user needs the right to create and drop tables)", err)
	}
	if err := t.fill(ctx, keys, initial); err != nil {
		return nil, errors.Join(fmt.Errorf("cannot fill the benchmark's table: %w", err), t.drop(ctx))
	}
	return t, nil
}

func (t *table) fill(ctx context.Context, keys int, initial audit.State) error {
	const chunk = 1000
	for from := 0; from < keys; from += chunk {
		var text strings.Builder
		text.WriteString("INSERT INTO " + t.name + " (id, n, version) VALUES ")
		for key := from; key < min(from+chunk, keys); key++ {
			if key > from {
				text.WriteString(", ")
			}
			fmt.Fprintf(&text, "(%d, %d, %d)", key, initial.Value, initial.Version)
		}
		if err := t.exec(ctx, text.String()); err != nil {
			return err
		}
	}
	return nil
}

// rows reads what each row holds.
func (t *table) rows(ctx context.Context, keys int) ([]*audit.State, error) {
	conn, err := t.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Release(false)
	rows, err := conn.Query(ctx, "SELECT id, n, version FROM "+t.name, nil)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	states := make([]*audit.State, keys)
	for rows.Next() {
		var id int64
		var s audit.State
		if err := rows.Scan(&id, &s.Value, &s.Version); err != nil {
			return nil, err
		}
		if id >= 0 && id < int64(keys) {
			states[id] = &s
		}
	}
	rows.Close()
	return states, rows.Err()
}

// ErrLeftover is what an error is when a table of the benchmark is still there.
var ErrLeftover = errors.New("cannot drop the table")

// drop removes the table, even when the caller's context has ended.
func (t *table) drop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tableTimeout)
	defer cancel()
	if err := t.exec(ctx, "DROP TABLE "+t.name); err != nil {
		return fmt.Errorf("%w %s, please do it by hand: %w", ErrLeftover, t.name, err)
	}
	return nil
}

func (t *table) exec(ctx context.Context, text string) error {
	conn, err := t.db.Conn(ctx)
	if err != nil {
		return err
	}
	_, err = conn.Exec(ctx, text, nil)
	conn.Release(err != nil)
	return err
}
