package postgres

import (
	"errors"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/occkit/occkit/dialects"
)

// codes are the SQLSTATEs that mean something other than their class.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
var codes = map[string]dialects.Class{
	"40001": dialects.Conflict, // serialization_failure
	"40P01": dialects.Conflict, // deadlock_detected
	"OC000": dialects.Conflict, // Aurora DSQL: another transaction changed a row
	"OC001": dialects.Conflict, // Aurora DSQL: another transaction changed the catalog

	"55P03": dialects.Busy, // lock_not_available: NOWAIT, lock_timeout

	"26000": dialects.Replan, // invalid_sql_statement_name: a pooler switched servers
	"42P05": dialects.Replan, // duplicate_prepared_statement: likewise

	"23505": dialects.Duplicate, // unique_violation
	"23P01": dialects.Duplicate, // exclusion_violation
	"22003": dialects.Overflow,  // numeric_value_out_of_range

	GuardCode: dialects.Rejected, // the guard of a version column: see schema_guard.go

	"40002": dialects.Rejected, // transaction_integrity_constraint_violation
	"55000": dialects.Rejected, // object_not_in_prerequisite_state
	"55006": dialects.Rejected, // object_in_use

	"25006": dialects.Unavailable, // read_only_sql_transaction: not the primary
	"53300": dialects.Unavailable, // too_many_connections
	"57P03": dialects.Unavailable, // cannot_connect_now

	"25P03": dialects.Lost, // idle_in_transaction_session_timeout
	"25P04": dialects.Lost, // transaction_timeout
	"57P01": dialects.Lost, // admin_shutdown: seen with the commit durable
	"57P02": dialects.Lost, // crash_shutdown
	"57P04": dialects.Lost, // database_dropped
	"57P05": dialects.Lost, // idle_session_timeout

	"40003": dialects.Indeterminate, // statement_completion_unknown
	"08007": dialects.Indeterminate, // transaction_resolution_unknown

	"57014": dialects.Canceled, // query_canceled: cancel request, statement_timeout
}

// families are the classes of SQLSTATEs, their first two characters, of which
// every code means the same unless listed above. The absent ones (58 system
// error, XX internal error, HV foreign data, ...) prove nothing.
var families = map[string]dialects.Class{
	"08": dialects.Lost,     // connection exception
	"0A": dialects.Rejected, // feature not supported
	"21": dialects.Rejected, // cardinality violation
	"22": dialects.Rejected, // data exception
	"23": dialects.Rejected, // integrity constraint violation
	"25": dialects.Rejected, // invalid transaction state
	"28": dialects.Rejected, // invalid authorization
	"2D": dialects.Rejected, // invalid transaction termination
	"34": dialects.Rejected, // invalid cursor name
	"3B": dialects.Rejected, // savepoint exception
	"3D": dialects.Rejected, // invalid catalog name
	"3F": dialects.Rejected, // invalid schema name
	"42": dialects.Rejected, // syntax error or access rule violation
	"44": dialects.Rejected, // WITH CHECK OPTION violation
	"53": dialects.Rejected, // insufficient resources
	"54": dialects.Rejected, // program limit exceeded
	"P0": dialects.Rejected, // PL/pgSQL: RAISE and its kin
}

// Classify tells what an error of PostgreSQL proves. It knows the errors of
// pgx in full, and those of other drivers by their SQLSTATE. It never asks
// pgconn.SafeToRetry, which has called applied commits safe.
func (Dialect) Classify(err error) dialects.Class {
	var server *pgconn.PgError
	var connect *pgconn.ConnectError
	var coded interface{ SQLState() string }
	switch {
	case errors.Is(err, pgx.ErrTxCommitRollback): // what pgx.Tx and pgx's database/sql say
		return dialects.ClassifyTransport(dialects.ErrRolledBack)
	case errors.As(err, &connect):
		return classifyConnect(connect)
	case errors.As(err, &server):
		return classifyServer(server)
	case errors.As(err, &coded):
		return classifyCode(coded.SQLState())
	case isParse(err):
		return dialects.Rejected
	case errors.Is(err, pgconn.ErrConnClosed):
		// Also what pgx says when the reply to COMMIT was lost.
		return dialects.Lost
	default:
		return dialects.ClassifyTransport(err)
	}
}

// classifyServer judges a reply of the server.
func classifyServer(e *pgconn.PgError) dialects.Class {
	class := classifyCode(e.Code)
	if stalePlan(e) {
		class = dialects.Replan
	}
	if !ended(e) {
		return class
	}
	// The server closed the connection. That outranks the code, except for the
	// codes that tell that nothing was begun, or that the end is unknown.
	switch {
	case class == dialects.Unavailable, class == dialects.Indeterminate:
		return class
	case strings.HasPrefix(e.Code, "28"):
		return class
	default:
		return dialects.Lost
	}
}

func classifyCode(code string) dialects.Class {
	if class, ok := codes[code]; ok {
		return class
	}
	if len(code) != 5 {
		return dialects.Unknown
	}
	return families[code[:2]]
}

// ended tells whether the server closed the connection with the error. Severity
// is translated by lc_messages, and all that servers before 9.6 and some
// poolers send.
func ended(e *pgconn.PgError) bool {
	severity := e.SeverityUnlocalized
	if severity == "" {
		severity = e.Severity
	}
	return severity == "FATAL" || severity == "PANIC"
}

// stalePlan recognises the one cause of feature_not_supported that a new plan
// cures: by its message, or by the routine when messages are translated.
func stalePlan(e *pgconn.PgError) bool {
	return e.Code == "0A000" &&
		(e.Message == "cached plan must not change result type" || e.Routine == "RevalidateCachedQuery")
}

// classifyConnect judges a failure to connect: no statement was sent, so all
// that matters is whether trying again can help.
func classifyConnect(e *pgconn.ConnectError) dialects.Class {
	var server *pgconn.PgError
	switch {
	case isParse(e):
		return dialects.Rejected
	case errors.As(e, &server):
		switch class := classifyCode(server.Code); class {
		case dialects.Rejected, dialects.Unavailable:
			return class
		}
	}
	return dialects.NotSent
}

func isParse(err error) bool {
	var parse *pgconn.ParseConfigError
	return errors.As(err, &parse)
}
