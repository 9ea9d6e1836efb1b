package postgres_test

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/dialects/postgres"
	"github.com/occkit/occkit/dialects/sqlgen/sqlgentest"
)

// classes lists the SQLSTATEs of replies that leave the connection open.
var classes = map[dialects.Class][]string{
	dialects.Conflict:  {"40001", "40P01", "OC000", "OC001"},
	dialects.Busy:      {"55P03"},
	dialects.Replan:    {"26000", "42P05"},
	dialects.Duplicate: {"23505", "23P01"},
	dialects.Overflow:  {"22003"},
	dialects.Rejected: {
		"23502", "23503", "23514", "40002", "44000", "42501", "42601", "42P01", "22001", "22P02", "21000",
		"25P02", "25001", "2D000", "34000", "3B001", "3D000", "3F000", "28000", "28P01", "0A000",
		"53000", "53100", "53200", "53400", "54000", "54001", "55000", "55006", "P0001",
	},
	dialects.Unavailable:   {"25006", "53300", "57P03"},
	dialects.Lost:          {"08000", "08001", "08003", "08004", "08006", "08P01", "57P01", "57P02", "57P04", "57P05", "25P03", "25P04"},
	dialects.Indeterminate: {"40003", "08007"},
	dialects.Canceled:      {"57014"},
	dialects.Unknown:       {"XX000", "XX001", "XX002", "XXA00", "58000", "58030", "HV000", "55P02", "99999", "", "4", "400010"},
}

// stateError is the shape of lib/pq's error: a code and no type of ours.
type stateError string

func (e stateError) Error() string    { return "pq: " + string(e) }
func (e stateError) SQLState() string { return string(e) }

func TestClassifyCodes(t *testing.T) {
	t.Parallel()
	for class, codes := range classes {
		for _, code := range codes {
			sqlgentest.Class(t, postgres.New(), class,
				&pgconn.PgError{Code: code, Severity: "ERROR", SeverityUnlocalized: "ERROR"},
				&pgconn.PgError{Code: code, Severity: "FEHLER", SeverityUnlocalized: "ERROR"},
				stateError(code))
		}
	}
}

// With FATAL the server ends the connection, whatever the code.
func TestClassifyFatal(t *testing.T) {
	t.Parallel()
	d := postgres.New()
	keep := map[string]dialects.Class{
		"25006": dialects.Unavailable, "53300": dialects.Unavailable, "57P03": dialects.Unavailable,
		"40003": dialects.Indeterminate, "08007": dialects.Indeterminate,
		"28000": dialects.Rejected, "28P01": dialects.Rejected,
	}
	for _, codes := range classes {
		for _, code := range codes {
			want, ok := keep[code]
			if !ok {
				want = dialects.Lost
			}
			sqlgentest.Class(t, d, want,
				&pgconn.PgError{Code: code, Severity: "FATAL"},
				&pgconn.PgError{Code: code, Severity: "PANIK", SeverityUnlocalized: "PANIC"})
		}
	}
}

func TestClassifyStalePlan(t *testing.T) {
	t.Parallel()
	sqlgentest.Class(t, postgres.New(), dialects.Replan,
		&pgconn.PgError{Code: "0A000", Severity: "ERROR", Message: "cached plan must not change result type"},
		&pgconn.PgError{Code: "0A000", Severity: "FEHLER", Message: "übersetzt", Routine: "RevalidateCachedQuery"})
	sqlgentest.Class(t, postgres.New(), dialects.Rejected,
		&pgconn.PgError{Code: "0A000", Severity: "ERROR", Message: "cannot use FOR UPDATE here"})
}

// safeError claims, as pgx did for a COMMIT that was applied, that nothing was
// sent.
type safeError struct{ error }

func (safeError) SafeToRetry() bool { return true }
func (e safeError) Unwrap() error   { return e.error }

func TestClassifyTransport(t *testing.T) {
	t.Parallel()
	sqlgentest.Class(t, postgres.New(), dialects.Lost,
		pgconn.ErrConnClosed, safeError{pgconn.ErrConnClosed}, driver.ErrBadConn, safeError{io.ErrUnexpectedEOF},
		io.EOF, syscall.ECONNRESET, syscall.EPIPE, context.Canceled, context.DeadlineExceeded,
		&net.OpError{Op: "read", Err: errors.New("reset")})
	sqlgentest.Class(t, postgres.New(), dialects.Conflict, dialects.ErrRolledBack)
	sqlgentest.Class(t, postgres.New(), dialects.Unknown, errors.New("ERROR: 40001"), safeError{errors.New("conn busy")})
	require.Equal(t, dialects.Unknown, postgres.New().Classify(nil))
}

// A failure to connect proves that the statement was not sent, also where the
// same error would be ambiguous on an open connection.
func TestClassifyConnect(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	dial := func(answer error) error {
		config, err := pgconn.ParseConfig("host=127.0.0.1 user=u sslmode=disable")
		require.NoError(t, err)
		config.DialFunc = func(context.Context, string, string) (net.Conn, error) { return nil, answer }
		_, err = pgconn.ConnectConfig(ctx, config)
		var connect *pgconn.ConnectError
		require.ErrorAs(t, err, &connect)
		return err
	}
	fatal := func(code string) error { return &pgconn.PgError{Code: code, Severity: "FATAL"} }
	sqlgentest.Class(t, postgres.New(), dialects.NotSent,
		dial(syscall.ECONNREFUSED), dial(io.EOF), dial(context.DeadlineExceeded), dial(fatal("57P01")), dial(fatal("08006")))
	sqlgentest.Class(t, postgres.New(), dialects.Unavailable, dial(fatal("57P03")), dial(fatal("53300")))
	sqlgentest.Class(t, postgres.New(), dialects.Rejected, dial(fatal("28P01")), dial(fatal("3D000")))

	_, err := pgconn.ParseConfig("host=x sslmode=nonsense")
	sqlgentest.Class(t, postgres.New(), dialects.Rejected, err)
}
