package occ_test

import (
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
)

// scaled returns a number of repetitions: short by default, full when
// OCCKIT_FULL is set, as the README says.
func scaled(short, full int) int {
	if on, _ := strconv.ParseBool(os.Getenv("OCCKIT_FULL")); on {
		return full
	}
	return short
}

var errOverdraft = errors.New("overdraft")

// TestBank moves money between few accounts from many goroutines: the sum is
// exact, no account is ever negative, every account's version has moved once for
// each transfer that was acknowledged, and no deadlock reaches a caller.
func TestBank(t *testing.T) {
	t.Parallel()
	const accountsN, workers, initial = 8, 32, 100
	eachEngine(t, 8, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		ctx := t.Context()
		for id := range int64(accountsN) {
			require.NoError(t, accounts.Insert(ctx, &Account{ID: id, Owner: "x", Balance: initial}))
		}
		var writes [accountsN]atomic.Int64
		var left atomic.Int64
		left.Store(int64(scaled(600, 20_000)))
		var all sync.WaitGroup
		for range workers {
			all.Go(func() {
				for left.Add(-1) >= 0 {
					from := rand.Int64N(accountsN)
					to := (from + 1 + rand.Int64N(accountsN-1)) % accountsN
					err := transfer(t, db, accounts, from, to, 1+rand.Int64N(30))
					switch {
					case err == nil:
						writes[from].Add(1)
						writes[to].Add(1)
					case !errors.Is(err, errOverdraft):
						t.Errorf("transfer: %v", err)
						return
					}
				}
			})
		}
		all.Wait()
		sum := int64(0)
		for id := range int64(accountsN) {
			a, err := accounts.Get(ctx, id)
			require.NoError(t, err)
			require.GreaterOrEqual(t, a.Balance, int64(0))
			require.Equal(t, 1+writes[id].Load(), a.Version, "account %d: one version for each acknowledged write", id)
			sum += a.Balance
		}
		require.Equal(t, int64(accountsN*initial), sum)
	})
}

func transfer(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64], from, to, amount int64) error {
	t.Helper()
	ctx := t.Context()
	return db.Transact(ctx, func(tx *occ.Tx) error {
		in := accounts.In(tx)
		_, err := in.Mutate(ctx, from, func(a *Account) error {
			if a.Balance < amount {
				return errOverdraft
			}
			a.Balance -= amount
			return nil
		})
		if err != nil {
			return err
		}
		_, err = in.Mutate(ctx, to, func(a *Account) error { a.Balance += amount; return nil })
		return err
	})
}

// TestOverdraftAcrossAccounts: two accounts may go negative one by one as long
// as their sum does not. Each withdrawal reads both and writes one.
func TestOverdraftAcrossAccounts(t *testing.T) {
	t.Parallel()
	eachEngine(t, 4, func(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64]) {
		for id := range int64(2) {
			require.NoError(t, accounts.Insert(t.Context(), &Account{ID: id, Owner: "x", Balance: 50}))
		}
		rounds, conflicts, violations := scaled(100, 10_000), 0, 0
		for range rounds {
			done, reruns := withdrawTwice(t, db, accounts, false)
			require.LessOrEqual(t, done, int64(1), "both withdrew: write skew")
			if reruns > 0 {
				conflicts++
			}
		}
		require.Positive(t, conflicts, "no round conflicted, so the test proved nothing")
		for range 100 {
			if done, _ := withdrawTwice(t, db, accounts, true); done > 1 {
				violations++
			}
		}
		require.Positive(t, violations, "relaxed units must show write skew, else the test cannot fail")
		t.Logf("%d rounds, %d of them with conflicts, 0 violations; relaxed: %d violations in 100", rounds, conflicts, violations)
	})
}

// withdrawTwice lets two units that have both read both accounts withdraw all
// there is, and fills the accounts up again.
func withdrawTwice(t *testing.T, db *occ.DB, accounts *occ.Repository[Account, int64], relaxed bool) (done, reruns int64) {
	t.Helper()
	ctx := t.Context()
	var runs, withdrawn atomic.Int64
	var both, read sync.WaitGroup
	read.Add(2)
	for me := range int64(2) {
		both.Go(func() {
			first := true
			err := db.Transact(ctx, func(tx *occ.Tx) error {
				runs.Add(1)
				in := accounts.In(tx)
				mine, err1 := in.Get(ctx, me)
				other, err2 := in.Get(ctx, 1-me)
				if first {
					first = false
					read.Done()
					read.Wait()
				}
				if relaxed {
					err1 = errors.Join(err1, tx.Relaxed())
				}
				if err := errors.Join(err1, err2); err != nil {
					return err
				}
				if mine.Balance+other.Balance < 100 {
					return errOverdraft
				}
				mine.Balance -= 100
				return in.Update(ctx, &mine)
			})
			if err == nil {
				withdrawn.Add(1)
			} else if !errors.Is(err, errOverdraft) {
				t.Error(err)
			}
		})
	}
	both.Wait()
	for id := range int64(2) {
		_, err := accounts.Mutate(ctx, id, func(a *Account) error { a.Balance = 50; return nil })
		require.NoError(t, err)
	}
	return withdrawn.Load(), runs.Load() - 2
}
