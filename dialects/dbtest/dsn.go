package dbtest

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
)

// A DSN is a PostgreSQL URL, PostgreSQL's keywords ("host=... user=..."), or
// what go-sql-driver/mysql takes. Errors never show one: it holds a password.

func isPostgresURL(dsn string) bool {
	return strings.HasPrefix(dsn, "postgres://") || strings.HasPrefix(dsn, "postgresql://")
}

func isMySQL(dsn string) bool {
	_, err := mysql.ParseDSN(dsn)
	return err == nil && !isPostgresURL(dsn) && strings.Contains(dsn, ")/")
}

// withSearchPath makes the schema the first and only one of the DSN's sessions.
func withSearchPath(dsn, schema string) string {
	if !isPostgresURL(dsn) {
		return dsn + " search_path=" + schema
	}
	separator := "?"
	if strings.Contains(dsn, "?") {
		separator = "&"
	}
	return dsn + separator + "search_path=" + schema
}

// addrOf returns the host:port of the DSN's server.
func addrOf(dsn string) (string, error) {
	if isMySQL(dsn) {
		config, err := mysql.ParseDSN(dsn)
		if err != nil || config.Net != "tcp" {
			return "", errNotTCP
		}
		return config.Addr, nil
	}
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "", errors.New("the DSN cannot be read")
	}
	if strings.HasPrefix(config.Host, "/") {
		return "", errNotTCP
	}
	return net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port))), nil
}

// withAddr returns the DSN with another host:port.
func withAddr(dsn, addr string) (string, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", fmt.Errorf("address %q: %w", addr, err)
	}
	switch {
	case isMySQL(dsn):
		config, err := mysql.ParseDSN(dsn)
		if err != nil {
			return "", errors.New("the DSN cannot be read")
		}
		config.Net, config.Addr = "tcp", addr
		return config.FormatDSN(), nil
	case isPostgresURL(dsn):
		u, err := url.Parse(dsn)
		if err != nil {
			return "", errors.New("the DSN cannot be read")
		}
		query := u.Query()
		query.Del("host")
		query.Del("port")
		u.Host, u.RawQuery = addr, query.Encode()
		return u.String(), nil
	default:
		return dsn + " host=" + host + " port=" + port, nil
	}
}
