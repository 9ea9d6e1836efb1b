package migrations_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/sqldb"
	"github.com/occkit/occkit/migrations"
	"github.com/occkit/occkit/occ"
)

type account struct {
	ID      int64 `occ:"id,key"`
	N       int64 `occ:"n"`
	Version int64 `occ:"lock_version,version"`
}

// A table that was there before occkit: apply prepares it, the repository and
// raw SQL write the same rows at once, and nothing is lost.
func TestRepositoryOnPreparedTable(t *testing.T) {
	t.Parallel()
	onEach(t, func(r *rig) {
		if r.engine.name == "sqlite" {
			r.db.SetMaxOpenConns(1)
		}
		r.legacy(50)
		r.apply(legacyTable)
		before := r.int("SELECT SUM(lock_version) FROM accounts")
		db := occ.New(sqldb.New(r.db), r.dialect, nil)
		accounts, err := occ.NewRepository[account, int64](db, "accounts", nil)
		require.NoError(r, err)
		const writers, each = 4, 25
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					_, err := accounts.Mutate(r.Context(), int64(1+(w+i)%5), func(a *account) error { a.N++; return nil })
					require.NoError(r, err)
				}
			})
			all.Go(func() {
				for range each {
					r.untilDone("UPDATE accounts SET n = n + 1 WHERE id <= 5")
				}
			})
		}
		all.Wait()
		total := int64(writers*each + writers*each*5)
		require.Equal(r, total, r.int("SELECT SUM(n) FROM accounts"), "an update was lost")
		require.Equal(r, before+total, r.int("SELECT SUM(lock_version) FROM accounts"))

		r.repositoryOutcomes(db, accounts)

		r.verified(legacyTable)
		require.NoError(r, r.migrator(nil).Revert(r.Context(), []migrations.Table{legacyTable}, migrations.RevertOptions{}))
		_, err = accounts.Mutate(r.Context(), 1, func(a *account) error { a.N++; return nil })
		require.NoError(r, err, "the column is still there")
	})
}

func (r *rig) repositoryOutcomes(db *occ.DB, accounts *occ.Repository[account, int64]) {
	r.Helper()
	// What the repository returns is what is in the row.
	a, err := accounts.Get(r.Context(), 1)
	require.NoError(r, err)
	stale := a
	require.NoError(r, accounts.Update(r.Context(), &a))
	require.Equal(r, a.Version, r.int("SELECT lock_version FROM accounts WHERE id = 1"))
	require.ErrorIs(r, accounts.Update(r.Context(), &stale), occ.ErrConflict)
	// A raw write between read and write is a conflict too.
	r.exec("UPDATE accounts SET n = n + 1 WHERE id = 1")
	require.ErrorIs(r, accounts.Update(r.Context(), &a), occ.ErrConflict)
	// A version that would go back is refused, and not called ambiguous.
	err = db.Exec(r.Context(), "UPDATE accounts SET lock_version = 1 WHERE id = 1")
	require.Error(r, err)
	require.False(r, errors.Is(err, occ.ErrAmbiguous) || errors.Is(err, occ.ErrConflict), "%v", err)
}
