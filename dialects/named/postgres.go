package named

import (
	"context"
	"errors"
	"net/url"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/occkit/occkit/dialects/pgxdb"
	"github.com/occkit/occkit/dialects/postgres"
)

// openPostgres opens a pool of pgx.
func openPostgres(ctx context.Context, db *Database, dsn string, opts Options) error {
	if dsn == "" {
		return unset("postgres")
	}
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil || !plainURL(dsn) {
		return unreadable("postgres")
	}
	if !strings.Contains(dsn, "connect_timeout") {
		config.ConnConfig.ConnectTimeout = opts.ConnectTimeout
	}
	if opts.Dial != nil {
		config.ConnConfig.DialFunc = opts.Dial
	}
	delayCommits(config.ConnConfig, opts.CommitDelay)
	password := config.ConnConfig.Password
	limit, err := db.readPostgres(ctx, config.ConnConfig)
	switch {
	case opts.CommitDelay > 0 && refused(err):
		return errors.New("postgres: a commit delay needs a superuser: connect as one")
	case err != nil:
		return unreachable("postgres", dsn, password, err)
	}
	if err := db.checkCommitDelay(opts.CommitDelay); err != nil {
		return err
	}
	db.Connections = share(opts.Connections, limit)
	config.MaxConns = int32(db.Connections) //nolint:gosec // within the server's own limit
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return unreachable("postgres", dsn, password, err)
	}
	db.Dialect, db.DB = postgres.New(), pgxdb.New(pool)
	db.placeholder = postgres.New().Syntax.Placeholder
	db.close = func() error { pool.Close(); return nil }
	return nil
}

// plainURL tells whether a DSN, if it is a URL, can be read in one way only. A
// password with a slash in it would be taken for a database's name, and be
// shown as one.
func plainURL(dsn string) bool {
	if !strings.Contains(dsn, "://") {
		return true
	}
	u, err := url.Parse(dsn)
	return err == nil && (u.User != nil || !strings.Contains(dsn, "@")) && !strings.Contains(u.Path, "@")
}

// readPostgres reads the settings over a connection of its own, and returns how
// many connections the server allows.
func (d *Database) readPostgres(ctx context.Context, config *pgx.ConnConfig) (limit int, err error) {
	conn, err := pgx.ConnectConfig(ctx, config.Copy())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	const text = `SELECT name, setting FROM pg_settings WHERE name IN ('server_version', 'fsync',
		'synchronous_commit', 'full_page_writes', 'default_transaction_isolation', 'max_connections', 'commit_delay')`
	rows, err := conn.Query(ctx, text, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return 0, err
	}
	var name, value string
	_, err = pgx.ForEachRow(rows, []any{&name, &value}, func() error {
		d.Settings[name] = value
		return nil
	})
	d.Version = d.Settings["server_version"]
	delete(d.Settings, "server_version")
	if d.Settings["commit_delay"] == "0" {
		delete(d.Settings, "commit_delay")
	}
	limit, _ = strconv.Atoi(d.Settings["max_connections"])
	return limit, err
}
