package dialects

import (
	"context"
	"errors"
)

// DB is a transport: a source of connections. Implementations are safe for
// concurrent use.
type DB interface {
	// Conn returns a connection that no one else uses until it is released.
	// It waits no longer than ctx. Its errors mean that nothing was sent.
	Conn(ctx context.Context) (Conn, error)
}

// Joiner is implemented by transports that can run statements inside a
// transaction that the caller owns.
type Joiner interface {
	// Join wraps the caller's transaction or connection. It fails, naming the
	// types it takes, when tx is of another type.
	Join(tx any) (Querier, error)
}

// Querier runs statements on one connection. It is not safe for concurrent
// use. A statement is sent at most once: an implementation never repeats one,
// and never runs it on a layer that could.
//
// Implementations must not keep args or change its elements after the call
// returns (for Query: after the rows are closed).
type Querier interface {
	// Query runs a statement that returns rows. The caller closes them. An
	// error of the statement may come from Query or from Rows.Err.
	Query(ctx context.Context, text string, args []any) (Rows, error)
	// Exec runs a statement that returns no rows.
	Exec(ctx context.Context, text string, args []any) (Result, error)
}

// Conn is a [Querier] that owns its connection and controls transactions.
type Conn interface {
	Querier
	// Begin opens a transaction with the given text.
	Begin(ctx context.Context, text string) error
	// Commit commits. It returns [ErrRolledBack] when the server answered that
	// it rolled back instead, or when a statement since Begin has failed.
	Commit(ctx context.Context) error
	// Rollback ends the transaction without effect.
	Rollback(ctx context.Context) error
	// Release gives the connection back. With discard it is closed instead: its
	// state is unknown, a transaction may be open. Release is called once.
	Release(discard bool)
}

// Rows is the result of a query. [*sql.Rows] has this shape but for Close's
// result; pgx.Rows has it exactly.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	// Err is the error that ended the iteration. It is final after Close.
	Err() error
	Close()
}

// Result is what a statement without rows reports.
type Result struct {
	// RowsAffected is the number of rows matched or changed; -1 when the driver
	// cannot tell.
	RowsAffected int64
	// LastInsertID is the generated key of an insert, where the driver has one.
	LastInsertID int64
}

// ErrNotSent is what transports wrap around errors by which they prove that
// nothing was sent.
var ErrNotSent = errors.New("nothing was sent")

// ErrRolledBack is returned by [Conn.Commit] when the server answered COMMIT
// with a rollback, as PostgreSQL does for a transaction that met an error.
var ErrRolledBack = errors.New("the server answered COMMIT with ROLLBACK")

// Call is one statement of a [Pipeliner].
type Call struct {
	// Text and Args are the statement.
	Text string
	Args []any
	// Dest are what the columns of its only row are scanned into. Nil: the
	// statement returns no rows.
	Dest []any
	// Rows is set to the number of rows that came back or were affected.
	Rows int64
}

// Pipeliner is implemented by connections that can send several statements
// together and wait once.
type Pipeliner interface {
	// Pipeline runs calls as one transaction of their own: when one fails, none
	// has any effect, and those after it do not run. It is sent at most once.
	// [errors.ErrUnsupported] means that nothing was sent.
	//
	// While a transaction is open calls are part of it, and the last is the text
	// COMMIT: it does not run when one before it fails.
	Pipeline(ctx context.Context, calls []Call) error
}

// Preparer is implemented by queriers that gain from preparing a statement which
// is about to run many times.
type Preparer interface {
	// Prepare prepares text on the querier's connection.
	Prepare(ctx context.Context, text string) (Prepared, error)
}

// Prepared is a prepared statement. It is a [Querier] for the text that it was
// prepared with and no other, and is valid as long as the querier that it came
// from.
type Prepared interface {
	Querier
	// Close frees the statement.
	Close() error
}
