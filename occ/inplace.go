package occ

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// ErrUnmet says that the row is there and a condition of [Repository.Apply] does
// not hold for it. Nothing was written. The facts are in [*Unmet].
var ErrUnmet = errors.New("condition not met")

// Unmet tells that a condition of [Repository.Apply] did not hold. Nothing was
// written. It is [ErrUnmet].
type Unmet[T any] struct {
	Subject
	// Columns are those that the conditions are about.
	Columns []string
	// Current is the row for which the conditions do not hold, read under a lock.
	Current *T
	// Err says more, when it was not a condition of the caller's: a column that
	// was to be added to is NULL. Otherwise nil.
	Err error
}

// Error returns "occ: apply accounts[42]: condition not met (balance)".
func (u *Unmet[T]) Error() string {
	s := fmt.Sprintf("occ: %s: %v (%s)", u.Subject, ErrUnmet, strings.Join(u.Columns, ", "))
	if u.Err != nil {
		s += ": " + u.Err.Error()
	}
	return s
}

// Is reports whether target is [ErrUnmet].
func (u *Unmet[T]) Is(target error) bool { return target == ErrUnmet }

// Unwrap returns the cause, if there is one.
func (u *Unmet[T]) Unwrap() error { return u.Err }

// Change is how [Repository.Apply] changes one column. Make it with [Add], [Max],
// [Min] or [Set].
type Change struct {
	column string
	op     dialects.InPlaceOp
	value  any
}

// Add adds delta, which may be negative, to a column whose field is an integer or
// a float.
func Add(column string, delta any) Change { return Change{column, dialects.InPlaceAdd, delta} }

// Max sets a number column to value if value is greater.
func Max(column string, value any) Change { return Change{column, dialects.InPlaceMax, value} }

// Min sets a number column to value if value is less.
func Min(column string, value any) Change { return Change{column, dialects.InPlaceMin, value} }

// Set sets a column to a value of its field's type. It needs a condition: without
// one it would overwrite whatever somebody else has just written.
func Set(column string, value any) Change { return Change{column, dialects.InPlaceSet, value} }

// Condition is what must hold for the row, or [Repository.Apply] writes nothing.
// Make it with [Eq], [Ne], [Lt], [Le], [Gt] or [Ge]. The database compares, by its
// own rules (collations, say). NULL equals nil, and meets no other condition.
type Condition struct {
	column string
	is     dialects.InPlaceIs
	value  any
}

// Eq holds where the column equals value; with nil, where it is NULL.
func Eq(column string, value any) Condition { return Condition{column, dialects.InPlaceEqual, value} }

// Ne holds where the column is not NULL and differs from value; with nil, where it
// is not NULL.
func Ne(column string, value any) Condition {
	return Condition{column, dialects.InPlaceNotEqual, value}
}

// Lt holds where the column is less than value.
func Lt(column string, value any) Condition { return Condition{column, dialects.InPlaceLess, value} }

// Le holds where the column is at most value.
func Le(column string, value any) Condition { return Condition{column, dialects.InPlaceAtMost, value} }

// Gt holds where the column is greater than value.
func Gt(column string, value any) Condition { return Condition{column, dialects.InPlaceGreater, value} }

// Ge holds where the column is at least value.
func Ge(column string, value any) Condition { return Condition{column, dialects.InPlaceAtLeast, value} }

// Apply changes the row of a key by what stands in it, if all conditions hold, in
// one statement and without reading it, and returns the row's new version:
//
//	version, err := accounts.Apply(ctx, 42, []occ.Change{occ.Add("balance", -100)}, occ.Ge("balance", 100))
//
// What it protects: no change of anybody's is lost, because the database itself
// reckons with what stands in the row, under its lock; there is no version to be
// stale and no conflict to retry. The version moves as with any write, so that
// everybody who read the row before conflicts. The statement is sent once; a lost
// reply is [*AmbiguousError] as everywhere.
//
// What it does not protect: the caller has seen nothing. A decision that depends
// on the row belongs into the conditions, or into [Repository.Mutate]; rules that
// Go code checks are not checked here.
//
// Each column is changed once. Key, version and read-only columns cannot be
// changed, nor JSON columns; conditions may be about any column but the version
// and JSON. Names and types are checked before anything is sent: [ErrUsage].
//
// The errors: no row is [ErrNotFound]. A condition that does not hold is [*Unmet]
// with the current row, which is read only then. A sum that does not fit the
// column or its field, and a version that is full, is [ErrOverflow]. A write that
// the database swallowed is [ErrSuppressed]. A lock that was not granted, a
// deadlock and a server that was away are retried as the policy says.
//
// NULL: adding to it is [*Unmet], unless the field is tagged nullable, where it is
// zero; it is less than every value for [Max] and greater for [Min], but with a
// nullable field zero.
//
// On MySQL and MariaDB a counter comes back with the statement, but a trigger that
// moves the version itself goes unseen without [RepositoryOptions.ReadBack].
// Versions of kind timestamp must grow, which only PostgreSQL can see to here; on
// the others they are [errors.ErrUnsupported]. An xmin does not change between two
// writes of one transaction.
//
// In the caller's own transaction ([Join]) it runs there. In a unit of work it is
// refused, because a unit's writes wait for the commit, and the version would not
// be known: use Mutate.
func (r *Repository[T, K]) Apply(ctx context.Context, key K, changes []Change, conditions ...Condition) (version any, err error) {
	return r.applyInPlace(ctx, "apply", key, changes, conditions)
}

// Add adds delta to a number column: [Repository.Apply] with one [Add].
func (r *Repository[T, K]) Add(ctx context.Context, key K, column string, delta any, conditions ...Condition) (version any, err error) {
	return r.applyInPlace(ctx, "add", key, []Change{Add(column, delta)}, conditions)
}

// Max raises a number column to value where that is more: [Repository.Apply] with
// one [Max]. The version moves even where the column does not.
func (r *Repository[T, K]) Max(ctx context.Context, key K, column string, value any, conditions ...Condition) (version any, err error) {
	return r.applyInPlace(ctx, "max", key, []Change{Max(column, value)}, conditions)
}

// SetIf sets columns, by name, if all conditions hold: [Repository.Apply] with
// [Set] for each. At least one condition is needed.
func (r *Repository[T, K]) SetIf(ctx context.Context, key K, values map[string]any, conditions ...Condition) (version any, err error) {
	changes := make([]Change, 0, len(values))
	for column, value := range values {
		changes = append(changes, Set(column, value))
	}
	return r.applyInPlace(ctx, "set if", key, changes, conditions)
}

func (r *Repository[T, K]) applyInPlace(ctx context.Context, op string, key K, changes []Change, conditions []Condition) (any, error) {
	if err := r.begin(ctx, op); err != nil {
		return nil, err
	}
	if r.unit != nil {
		return nil, r.core.usage(op, "a unit of work writes at its commit, when nobody is left to hear of the version: use Mutate in the unit, or this outside of it")
	}
	c := r.core
	in, err := c.planInPlace(op, changes, conditions)
	if err != nil {
		return nil, err
	}
	in.w = writing[T, K]{c: c, op: op, st: &in.statements.update, key: key, b: c.take()}
	defer c.give(in.w.b)
	if r.tx != nil {
		err = in.joined(ctx, r.tx)
	} else {
		err = in.run(ctx)
	}
	if err != nil {
		return nil, err
	}
	return in.w.b.next.Interface(), nil
}
