package occ_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
)

// fill inserts n accounts.
func fill(t testing.TB, accounts *occ.Repository[Account, int64], n int) []Account {
	t.Helper()
	rows := make([]Account, n)
	for i := range rows {
		rows[i] = Account{ID: int64(i), Owner: fmt.Sprint("owner ", i), Balance: 10}
	}
	_, err := accounts.InsertMany(context.Background(), rows, occ.AllOrNothing)
	require.NoError(t, err)
	return rows
}

// all returns the whole table by id.
func all(t testing.TB, accounts *occ.Repository[Account, int64]) map[int64]Account {
	t.Helper()
	found := map[int64]Account{}
	for a, err := range accounts.Find(context.Background(), "") {
		require.NoError(t, err)
		found[a.ID] = a
	}
	return found
}

// mixed makes row 1 stale and row 3 gone, and returns what the caller holds, in
// an order of its own.
func mixed(t *testing.T, accounts *occ.Repository[Account, int64]) []Account {
	t.Helper()
	ctx := t.Context()
	rows := fill(t, accounts, 5)
	_, err := accounts.Mutate(ctx, 1, func(a *Account) error { a.Owner = "faster"; return nil })
	require.NoError(t, err)
	gone := rows[3]
	require.NoError(t, accounts.Delete(ctx, &gone))
	held := []Account{rows[4], rows[3], rows[0], rows[1], rows[2]}
	for i := range held {
		held[i].Balance += 5
	}
	return held
}

func TestUpdateManyBestEffort(t *testing.T) {
	t.Parallel()
	eachEngine(t, 2, func(t *testing.T, _ *occ.DB, accounts *occ.Repository[Account, int64]) {
		held := mixed(t, accounts)
		outcomes, err := accounts.UpdateMany(t.Context(), held, occ.BestEffort)
		var bulk *occ.BulkError
		require.ErrorAs(t, err, &bulk)
		require.ErrorIs(t, err, occ.ErrConflict)
		require.ErrorIs(t, err, occ.ErrGone)
		require.EqualError(t, err, "occ: update many accounts: 2 of 5 rows were not written: occ: update many accounts[3]: row is gone (expected version 1)")
		require.Len(t, bulk.Rows, 2)
		for _, i := range []int{0, 2, 4} {
			require.Equal(t, occ.Outcome{Version: int64(2)}, outcomes[i])
			require.Equal(t, int64(2), held[i].Version)
		}
		require.ErrorIs(t, outcomes[1].Err, occ.ErrGone)
		var conflict *occ.Conflict[Account]
		require.ErrorAs(t, outcomes[3].Err, &conflict)
		require.Equal(t, &Account{1, "faster", 10, 2}, conflict.Current)
		require.Equal(t, int64(1), conflict.Expected)
		require.Equal(t, int64(2), conflict.Actual)
		require.Equal(t, int64(1), conflict.Key)
		require.Equal(t, []Account{{4, "owner 4", 15, 2}, {3, "owner 3", 15, 1}, {0, "owner 0", 15, 2}, {1, "owner 1", 15, 1}, {2, "owner 2", 15, 2}}, held)
		require.Equal(t, map[int64]Account{0: held[2], 1: *conflict.Current, 2: held[4], 4: held[0]}, all(t, accounts))
	})
}

func TestUpdateManyAllOrNothing(t *testing.T) {
	t.Parallel()
	eachEngine(t, 2, func(t *testing.T, _ *occ.DB, accounts *occ.Repository[Account, int64]) {
		held := mixed(t, accounts)
		before, given := all(t, accounts), append([]Account(nil), held...)
		outcomes, err := accounts.UpdateMany(t.Context(), held, occ.AllOrNothing)
		require.EqualError(t, err, "occ: update many accounts: 2 of 5 rows were in the way, none was written: occ: update many accounts[3]: row is gone (expected version 1)")
		require.ErrorIs(t, outcomes[1].Err, occ.ErrGone)
		require.ErrorIs(t, outcomes[3].Err, occ.ErrConflict)
		for _, i := range []int{0, 2, 4} {
			require.Equal(t, occ.Outcome{Err: occ.ErrNotApplied}, outcomes[i])
		}
		require.Equal(t, given, held)
		require.Equal(t, before, all(t, accounts))

		winners := []Account{held[0], held[2], held[4]}
		outcomes, err = accounts.UpdateMany(t.Context(), winners, occ.AllOrNothing)
		require.NoError(t, err)
		for i, a := range winners {
			require.Equal(t, occ.Outcome{Version: int64(2)}, outcomes[i])
			require.Equal(t, a, all(t, accounts)[a.ID])
		}
	})
}

func TestDeleteMany(t *testing.T) {
	t.Parallel()
	for _, mode := range []occ.BulkMode{occ.AllOrNothing, occ.BestEffort} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			eachEngine(t, 2, func(t *testing.T, _ *occ.DB, accounts *occ.Repository[Account, int64]) {
				held := mixed(t, accounts)
				before := all(t, accounts)
				outcomes, err := accounts.DeleteMany(t.Context(), held, mode)
				require.ErrorIs(t, err, occ.ErrConflict)
				require.ErrorIs(t, outcomes[1].Err, occ.ErrGone)
				require.ErrorIs(t, outcomes[3].Err, occ.ErrConflict)
				if mode == occ.AllOrNothing {
					require.Equal(t, before, all(t, accounts))
					require.ErrorIs(t, outcomes[0].Err, occ.ErrNotApplied)
					_, err = accounts.DeleteMany(t.Context(), []Account{held[0], held[2], held[4]}, mode)
					require.NoError(t, err)
				}
				require.Equal(t, map[int64]Account{1: before[1]}, all(t, accounts))
			})
		})
	}
}

func TestBulkUsage(t *testing.T) {
	t.Parallel()
	eachEngine(t, 1, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		rows := fill(t, accounts, 3)
		outcomes, err := accounts.UpdateMany(t.Context(), nil, occ.AllOrNothing)
		require.NoError(t, err)
		require.Empty(t, outcomes)
		_, err = accounts.UpdateMany(t.Context(), append(rows, rows[1]), occ.BestEffort)
		require.ErrorIs(t, err, occ.ErrUsage)
		require.EqualError(t, err, "occ: update many accounts: wrong use: rows 1 and 3 have the same key 1")
		_, err = accounts.UpdateMany(t.Context(), rows, 7)
		require.ErrorIs(t, err, occ.ErrUsage)
		require.Equal(t, int64(1), all(t, accounts)[1].Version)

		err = db.Transact(t.Context(), func(tx *occ.Tx) error {
			_, err := accounts.In(tx).UpdateMany(t.Context(), rows[:2], occ.AllOrNothing)
			_, err2 := accounts.In(tx).DeleteMany(t.Context(), rows[2:], occ.AllOrNothing)
			return errors.Join(err, err2)
		})
		require.NoError(t, err)
		require.Equal(t, map[int64]Account{0: rows[0], 1: rows[1]}, all(t, accounts))
		require.Equal(t, int64(2), rows[0].Version)
	})
}
