package named

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/mariadb"
	"github.com/occkit/occkit/dialects/mysql"
	"github.com/occkit/occkit/dialects/sqldb"
)

func openMySQL(ctx context.Context, db *Database, dsn string, opts Options) error {
	db.Dialect, db.placeholder = mysql.New(), mysql.New().Syntax.Placeholder
	return db.openFamily(ctx, dsn, opts)
}

func openMariaDB(ctx context.Context, db *Database, dsn string, opts Options) error {
	db.Dialect, db.placeholder = mariadb.New(), mariadb.New().Syntax.Placeholder
	return db.openFamily(ctx, dsn, opts)
}

// openFamily opens a pool of go-sql-driver/mysql.
func (d *Database) openFamily(ctx context.Context, dsn string, opts Options) error {
	if dsn == "" {
		return unset(d.Name)
	}
	config, err := driver.ParseDSN(dsn)
	if err != nil || strings.Contains(dsn, "://") {
		return unreadable(d.Name)
	}
	config.ParseTime = true             // times of other commands' columns
	config.Logger = &driver.NopLogger{} // errors are returned, and told once
	if config.Timeout == 0 {
		config.Timeout = opts.ConnectTimeout
	}
	if opts.Dial != nil {
		config.DialFunc = opts.Dial
	}
	connector, err := driver.NewConnector(config)
	if err != nil {
		return unreadable(d.Name)
	}
	pool := sql.OpenDB(connector)
	d.Report = func(expression string) string { return "LAST_INSERT_ID(" + expression + ")" }
	d.DB = sqldb.New(pool)
	d.close = pool.Close
	limit, err := d.readFamily(ctx)
	if err != nil {
		_ = pool.Close()
		return unreachable(d.Name, dsn, config.Passwd, err)
	}
	d.Connections = share(opts.Connections, limit)
	pool.SetMaxOpenConns(d.Connections)
	pool.SetMaxIdleConns(d.Connections)
	if err := d.checkFamily(); err != nil {
		_ = pool.Close()
		return err
	}
	return nil
}

// readFamily reads the settings, and returns how many connections the server
// allows.
func (d *Database) readFamily(ctx context.Context) (limit int, err error) {
	const text = `SHOW VARIABLES WHERE Variable_name IN ('version', 'innodb_flush_log_at_trx_commit',
		'innodb_flush_method', 'innodb_doublewrite', 'sync_binlog', 'log_bin', 'transaction_isolation',
		'tx_isolation', 'innodb_snapshot_isolation', 'default_storage_engine', 'max_connections')`
	err = d.Query(ctx, text, nil, func(row dialects.Rows) error {
		var name, value string
		err := row.Scan(&name, &value)
		d.Settings[name] = value
		return err
	})
	d.Version = d.Settings["version"]
	delete(d.Settings, "version")
	limit, _ = strconv.Atoi(d.Settings["max_connections"])
	return limit, err
}

// checkFamily refuses the other member of the family: results would bear the
// wrong name, and MySQL lacks statements that MariaDB has.
func (d *Database) checkFamily() error {
	found := "mysql"
	if strings.Contains(strings.ToLower(d.Version), "mariadb") {
		found = "mariadb"
	}
	if found != d.Name {
		return fmt.Errorf("%s: the server says that it is %s (%s): open it by that name", d.Name, found, d.Version)
	}
	return nil
}

// readText reads one value.
func (d *Database) readText(ctx context.Context, text string, to *string) error {
	return d.Query(ctx, text, nil, func(row dialects.Rows) error { return row.Scan(to) })
}
