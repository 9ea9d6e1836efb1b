// Package occ writes versioned rows, and never loses an update.
//
// A [DB] is a transport and a dialect; a [Repository] is one table of versioned
// rows, described by struct tags. Every write carries the version that it was
// decided on and takes effect only if the row is still at that version. A write
// that matched no row ends in exactly one of [Conflict] (with the current row),
// [ErrGone] or [ErrSuppressed], never in a bare count and never in nil.
//
// # Choosing a method
//
// [Repository.Mutate] reads, changes, writes, and retries on conflict: the right
// choice where a decision can be made again. [Repository.Update] and
// [Repository.Patch] write what was decided elsewhere, such as in a form that a
// person filled in, and tell when it came too late. [Repository.In] does the
// same inside a transaction of the caller's own. [DB.Retry], [DB.Exec] and
// [Affected] serve code that keeps its own SQL.
//
// # Outcomes
//
// An error that is [ErrAmbiguous] means that the write may have been applied:
// its reply was lost. Every other error means that nothing was written. Where an
// error happened outranks its code: a connection that breaks during a write
// outside of a transaction, or during COMMIT, is ambiguous whatever the driver
// says about retrying. Ambiguous writes are never repeated.
//
// # Connections
//
// A statement is sent at most once, on a pinned connection, so that no pool
// repeats it. No connection is held while the caller's code runs.
package occ
