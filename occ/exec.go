package occ

import (
	"context"
	"errors"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/occ/retry"
)

// Exec runs the caller's own versioned statement, with the database's own
// placeholders, outside of any transaction: an UPDATE or DELETE whose WHERE
// clause checks the version. No row affected is [ErrConflict]; whether the row
// changed or is gone is for the caller to find out. The statement is sent once,
// on a pinned connection: an error that is [ErrAmbiguous] means that it may have
// run.
func (db *DB) Exec(ctx context.Context, text string, args ...any) error {
	if db.err != nil {
		return db.err
	}
	s := Subject{Op: "exec"}
	args, err := values(args)
	if err != nil {
		return &OpError{Subject: s, Kind: ErrUsage, Err: err}
	}
	conn, err := db.conn(ctx, false)
	if err != nil {
		return db.judge(ctx, s, dialects.Connecting, err).err
	}
	defer conn.Release(false)
	res, err := conn.Exec(ctx, text, args)
	if err != nil {
		return db.judge(ctx, s, dialects.Autocommit, err).err
	}
	return named(s, Affected(res.RowsAffected, nil))
}

// Affected turns the result of a versioned statement that was run elsewhere
// (sqlc's :execrows, sql.Result.RowsAffected, pgx's command tag) into an error:
// no row is [ErrConflict], an unknown number is [ErrAmbiguous]. An error that is
// passed in comes back as it is.
func Affected(rows int64, err error) error {
	s := Subject{Op: "exec"}
	switch {
	case err != nil:
		return err
	case rows == 0:
		return &OpError{Subject: s, Kind: ErrConflict, Err: errors.New("no row has that key and version")}
	case rows < 0:
		return &AmbiguousError{Subject: s, Phase: dialects.Autocommit.String(), Err: errUncounted}
	default:
		return nil
	}
}

// Retry runs body until it succeeds, waiting between attempts as the policy
// says. Each run must be complete in itself: a new transaction or none, a fresh
// read, then the write.
//
// It runs body again after an [ErrConflict] (as [DB.Exec], [Affected] and joined
// repositories return it) and after errors by which the database proves that
// nothing was applied and that another attempt may help: serialization failures,
// deadlocks, lock waits. An error that does not prove that comes back as
// [*AmbiguousError]; the body's own errors come back as they are, at once.
//
// Calls do not multiply: when body itself gave up after retries, so does Retry.
func (db *DB) Retry(ctx context.Context, body func(ctx context.Context) error) error {
	if db.err != nil {
		return db.err
	}
	s := Subject{Op: "retry"}
	a := db.opts.Retry.Start()
	var w *watch
	if db.opts.Observer != nil {
		w = &watch{observer: db.opts.Observer, subject: s, attempts: &a}
	}
	for {
		f := db.judgeBody(s, body(ctx))
		w.attempt(ctx, f.err)
		if f.err == nil {
			return nil
		}
		err := f.next(ctx, &a)
		w.retried(ctx, f.err, err)
		if err != nil {
			return err
		}
	}
}

// Judge tells what an error of the caller's own statements or COMMIT means, given
// the phase in which it happened: [dialects.Commit] for COMMIT, [dialects.InTx]
// for a statement of an open transaction, [dialects.Autocommit] for a write
// outside of one, [dialects.Connecting] for a read or a connection attempt. The
// result is an [*AmbiguousError], or an [*OpError] whose Kind says what is proven.
// A nil error stays nil.
//
// A body of [DB.Retry] with a transaction of its own ends in
// Judge(ctx, dialects.Commit, tx.Commit()): without a phase, an unknown error of
// COMMIT would be taken for the body's own.
func (db *DB) Judge(ctx context.Context, phase dialects.Phase, err error) error {
	if err == nil {
		return nil
	}
	return db.judge(ctx, Subject{Op: phase.String()}, phase, err).err
}

// judgeBody judges an error of the caller's own code. Where it happened is not
// known, so it is taken for an error of a write outside of a transaction.
func (db *DB) judgeBody(s Subject, err error) failure {
	switch {
	case err == nil:
		return failure{}
	case errors.Is(err, ErrAmbiguous), errors.Is(err, ErrExhausted), errors.Is(err, retry.ErrOpen):
		return failure{err, dialects.Refused}
	case errors.Is(err, ErrConflict):
		return failure{err, dialects.Retry}
	case errors.Is(err, ErrUnavailable):
		return failure{err, dialects.Down}
	}
	class := db.Classify(err)
	outcome := class.At(dialects.Autocommit)
	var judged *OpError
	switch {
	case class == dialects.Unknown: // not of the database: the body's own
		return failure{err, dialects.Refused}
	case errors.As(err, &judged) && outcome != dialects.Retry:
		return failure{err, dialects.Refused} // known to have had no effect
	case outcome == dialects.Ambiguous:
		return failure{&AmbiguousError{Subject: s, Phase: dialects.Autocommit.String(), Err: err}, outcome}
	default:
		return failure{err, outcome}
	}
}

var errUncounted = errors.New("the driver does not report how many rows were affected, so the write cannot be verified")

// named gives an error of Affected the operation's name.
func named(s Subject, err error) error {
	switch err := err.(type) { //nolint:errorlint // made by Affected, never wrapped
	case *OpError:
		err.Subject = s
	case *AmbiguousError:
		err.Subject = s
	}
	return err
}
