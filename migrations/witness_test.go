package migrations_test

import (
	"regexp"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/migrations"
)

// witness says what the server did for a step of a plan.
type witness struct {
	rig *rig
	// run runs statements, and returns whether the table was written, or read as a
	// whole, and the strongest lock on it.
	run func(statements ...string) (work dialects.SchemaWork, lock string, err error)
}

// postgresWitness listens to the server's debug messages: it tells when ALTER
// TABLE reads ("verifying") or writes ("rewriting") a table.
func postgresWitness(r *rig) *witness {
	config, err := pgx.ParseConfig(r.url)
	require.NoError(r, err)
	config.RuntimeParams["client_min_messages"] = "debug1"
	var mu sync.Mutex
	var said []string
	config.OnNotice = func(_ *pgconn.PgConn, n *pgconn.Notice) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, n.Message)
	}
	db := stdlib.OpenDB(*config)
	r.Cleanup(func() { _ = db.Close() })
	const locks = `SELECT mode FROM pg_locks WHERE locktype = 'relation' AND relation = to_regclass('accounts') AND pid = pg_backend_pid()
		AND mode <> 'AccessShareLock' ORDER BY array_position(ARRAY['AccessExclusiveLock', 'ExclusiveLock', 'ShareRowExclusiveLock', 'ShareLock'], mode) NULLS LAST LIMIT 1`
	return &witness{rig: r, run: func(statements ...string) (work dialects.SchemaWork, lock string, err error) {
		tx, err := db.BeginTx(r.Context(), nil)
		require.NoError(r, err)
		defer func() { _ = tx.Rollback() }()
		said = nil
		for _, s := range statements {
			if _, err := tx.ExecContext(r.Context(), s); err != nil {
				return "", "", err
			}
		}
		work = dialects.WorkInstant
		for _, message := range said {
			switch {
			case strings.HasPrefix(message, "verifying table"):
				work = dialects.WorkScan
			case strings.HasPrefix(message, "rewriting table"):
				work = dialects.WorkRewrite
			}
		}
		_ = tx.QueryRowContext(r.Context(), locks).Scan(&lock) // no row: no lock
		return work, lock, tx.Commit()
	}}
}

// mariadbWitness reads the statement: the server refuses an algorithm that it
// cannot keep to, so that what is written there is what happens.
func mariadbWitness(r *rig) *witness {
	algorithm := regexp.MustCompile(`ALGORITHM=(\w+)`)
	means := map[string]dialects.SchemaWork{"INSTANT": dialects.WorkInstant, "INPLACE": dialects.WorkOnline}
	return &witness{rig: r, run: func(statements ...string) (work dialects.SchemaWork, lock string, err error) {
		work = dialects.WorkInstant
		for _, s := range statements {
			if found := algorithm.FindStringSubmatch(s); found != nil {
				work = means[found[1]]
			} else if strings.HasPrefix(s, "ALTER TABLE") {
				work = dialects.WorkRewrite
			}
			if _, err := r.db.ExecContext(r.Context(), s); err != nil {
				return "", "", err
			}
		}
		return work, "", nil
	}}
}

// sqliteWitness compares the pages of the file: what changes the schema alone
// needs none for each row.
func sqliteWitness(r *rig) *witness {
	r.db.SetMaxOpenConns(1)
	return &witness{rig: r, run: func(statements ...string) (work dialects.SchemaWork, lock string, err error) {
		r.exec("PRAGMA wal_checkpoint(TRUNCATE)")
		for _, s := range statements {
			if _, err := r.db.ExecContext(r.Context(), s); err != nil {
				return "", "", err
			}
		}
		var busy, pages, done int64
		require.NoError(r, r.db.QueryRowContext(r.Context(), "PRAGMA wal_checkpoint(PASSIVE)").Scan(&busy, &pages, &done))
		if work = dialects.WorkInstant; pages > 20 {
			work = dialects.WorkRewrite
		}
		return work, "", nil
	}}
}

func (r *rig) witness() *witness {
	return map[string]func(*rig) *witness{"postgres": postgresWitness, "mariadb": mariadbWitness, "sqlite": sqliteWitness}[r.engine.name](r)
}

// follow does by hand what a plan says, and requires that the work and the lock
// of each step are what the plan said.
func (w *witness) follow(plan func() (*migrations.Plan, error)) (ids []string) {
	for {
		p, err := plan()
		require.NoError(w.rig, err)
		steps := p.Tables[0].Steps
		if len(steps) == 0 {
			return ids
		}
		s := steps[0]
		require.NotContains(w.rig, ids, s.ID, "the catalog does not show it")
		ids = append(ids, s.ID)
		work, lock, err := w.run(s.SQL...)
		require.NoError(w.rig, err, s.SQL)
		if s.Work == dialects.WorkChunks {
			continue // as one statement, it is one
		}
		require.Equal(w.rig, s.Work, work, "%s: %v", s.ID, s.SQL)
		if w.rig.engine.name == "postgres" {
			says := strings.ToLower(strings.ReplaceAll(s.Lock, " ", "")) + "lock"
			if s.Lock == "none on the table" {
				says = ""
			}
			require.Equal(w.rig, says, strings.ToLower(lock), s.ID)
		}
	}
}
