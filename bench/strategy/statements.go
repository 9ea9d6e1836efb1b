package strategy

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/occkit/occkit/dialects"
)

// statements are the SQL of the strategies that do not write through a
// repository. The dialect has no unchecked writes, so those are written here.
type statements struct {
	env     Env
	forLock string // what makes a read lock its rows
	next    string // the next version, as an UPDATE computes it
	blind   string // n, version, id
	add     string // delta, id
	take    string // delta, id, delta: no row if there is too little
	returns bool   // add and take return the version as a row
	reports bool   // add and take report the version as the last insert id
	sized   map[int]*sized
}

// sized are statements on a number of rows.
type sized struct {
	read, lock string // by keys, in their order: id, n, version
	set        string // adds the same to all; see newSet
}

func newStatements(env Env) (statements, error) {
	s := statements{env: env, next: "version + 1", sized: map[int]*sized{}}
	if err := s.learn(); err != nil {
		return s, err
	}
	if s.reports = env.Report != nil && !s.returns; s.reports {
		s.next = env.Report(s.next)
	}
	p := env.Placeholder
	s.blind = fmt.Sprintf("UPDATE %s SET n = %s, version = %s WHERE id = %s", env.Table, p(1), p(2), p(3))
	s.add = fmt.Sprintf("UPDATE %s SET n = n + %s, version = %s WHERE id = %s", env.Table, p(1), s.next, p(2))
	s.take = s.add + " AND n + " + p(3) + " >= 0"
	if s.returns {
		s.add += " RETURNING version"
		s.take += " RETURNING version"
	}
	return s, nil
}

// learn finds out from the dialect's own statements what the database can do.
func (s *statements) learn() error {
	dialect, number := s.env.Dialect, reflect.TypeFor[int64]()
	table := &dialects.Table{Name: s.env.Table, Columns: []dialects.Column{
		{Name: "id", Key: true, Type: number},
		{Name: "n", Type: number},
		{Name: "version", Version: dialects.Counter, Type: number},
	}}
	unsupported := fmt.Errorf("dialect %s: locking reads: %w", dialect.Name(), errors.ErrUnsupported)
	locker, ok := dialect.(dialects.LockingReader)
	if !ok {
		return unsupported
	}
	var errs [3]error
	var read, lock, update dialects.Statement
	read, errs[0] = dialect.Select(table)
	lock, errs[1] = locker.SelectForUpdate(table)
	update, errs[2] = dialect.Update(table)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	s.returns = len(update.Returns) > 0
	if s.forLock, ok = strings.CutPrefix(lock.Text, read.Text); !ok {
		return unsupported // of the kind that can be put behind any read
	}
	return nil
}

// of returns the statements on n rows.
func (s *statements) of(n int) *sized {
	t, ok := s.sized[n]
	if !ok {
		read := "SELECT id, n, version FROM " + s.env.Table + " WHERE " + s.among(1, n)
		if n > 1 {
			read += " ORDER BY id" // and locks follow it
		}
		t = &sized{read: read, lock: read + s.forLock, set: s.newSet(n)}
		s.sized[n] = t
	}
	return t
}

// among is the condition that a row is one of n, whose keys are bound from the
// given parameter on.
func (s *statements) among(first, n int) string {
	if n == 1 {
		return "id = " + s.env.Placeholder(first)
	}
	var b strings.Builder
	b.WriteString("id IN (")
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.env.Placeholder(first + i))
	}
	b.WriteString(")")
	return b.String()
}

// newSet returns the statement that adds the same to n rows. Where an UPDATE
// returns rows it locks them in key order itself, and need not be part of a
// transaction: it takes the keys, then the delta, and returns id and version.
// Elsewhere it takes the delta, then the keys, of rows that are locked already.
func (s *statements) newSet(n int) string {
	const set = "UPDATE %s SET n = n + %s, version = version + 1"
	if !s.returns {
		return fmt.Sprintf(set+" WHERE %s", s.env.Table, s.env.Placeholder(1), s.among(2, n))
	}
	const locked = "WITH locked AS (SELECT id AS k FROM %s WHERE %s ORDER BY id%s) "
	return fmt.Sprintf(locked+set+" FROM locked WHERE id = k RETURNING id, version",
		s.env.Table, s.among(1, n), s.forLock, s.env.Table, s.env.Placeholder(n+1))
}
