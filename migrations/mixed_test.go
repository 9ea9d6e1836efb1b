package migrations_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects"
	"github.com/occkit/occkit/migrations"
)

// mixed lets eight writers that know the version and eight that do not write one
// row, and returns how many writes were made and how many of them were lost.
func (r *rig) mixed(each int) (writes, lost int64) {
	if r.engine.name == "sqlite" {
		r.db.SetMaxOpenConns(1) // it has one writer anyway
	}
	start := r.int("SELECT n FROM accounts WHERE id = 1")
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() { r.casWriter(each) })
		all.Go(func() {
			for range each {
				r.untilDone("UPDATE accounts SET n = n + 1 WHERE id = 1")
			}
		})
	}
	all.Wait()
	writes = int64(16 * each)
	return writes, writes - (r.int("SELECT n FROM accounts WHERE id = 1") - start)
}

// casWriter reads the row, adds one in its own memory, and writes both back if
// the version is still the same.
func (r *rig) casWriter(each int) {
	for done := 0; done < each; {
		var n, version int64
		err := r.db.QueryRowContext(r.Context(), "SELECT n, version FROM accounts WHERE id = 1").Scan(&n, &version)
		require.NoError(r, err)
		if r.untilDone(fmt.Sprintf("UPDATE accounts SET n = %d, version = version + 1 WHERE id = 1 AND version = %d", n+1, version)) == 1 {
			done++
		}
	}
}

// untilDone repeats a statement that a lock or a deadlock ended.
func (r *rig) untilDone(text string) int64 {
	for {
		result, err := r.db.ExecContext(r.Context(), text)
		if err != nil {
			switch r.dialect.Classify(err) {
			case dialects.Busy, dialects.Conflict:
				continue
			}
		}
		require.NoError(r, err)
		n, err := result.RowsAffected()
		require.NoError(r, err)
		return n
	}
}

// 2,400 writes: half of them by writers that know nothing of versions.
func TestMixedWriters(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		each := pick(50, 150)
		none := freshTable
		none.Guard = dialects.GuardNone
		r.fresh(1)
		r.apply(none)
		// The test itself can fail: without the guard updates get lost.
		var lostWithout int64
		for range 20 {
			_, lost := r.mixed(each)
			if lostWithout += lost; lost > 0 {
				break
			}
		}
		require.Positive(r, lostWithout, "without a guard nothing was lost, so this proves nothing")

		r.exec("UPDATE accounts SET n = 0, version = 1")
		r.apply(freshTable)
		writes, lost := r.mixed(each)
		require.Zero(r, lost)
		require.Equal(r, writes+1, r.int("SELECT version FROM accounts WHERE id = 1"), "every write moved the version by one")
		r.Logf("%s: %d writes, %d lost without the guard, %d with it", r.engine.name, writes, lostWithout, lost)
		r.verified(migrations.Table{Name: "accounts"})
	})
}
