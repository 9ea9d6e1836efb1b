package hotkey_test

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/occ"
	"github.com/occkit/occkit/occ/hotkey"
)

type (
	byToken struct {
		ID  int64  `occ:"id,key"`
		N   int64  `occ:"n"`
		Rev string `occ:"rev,version=token"`
	}
	byTime struct {
		ID      int64     `occ:"id,key"`
		N       int64     `occ:"n"`
		Changed time.Time `occ:"changed,version=timestamp"`
	}
	byXmin struct {
		ID   int64 `occ:"id,key"`
		N    int64 `occ:"n"`
		Xmin int64 `occ:"xmin,version=xmin"`
	}
)

// Rows whose versions are no counters are combined and grouped as well.
func TestHotRowsOfEveryVersionKind(t *testing.T) {
	t.Parallel()
	eachEngine(t, func(t *testing.T, engine string) {
		r := newRig(t, engine, occ.Options{Contention: hotkey.Policy{Mode: hotkey.Combine}}, nil)
		r.exec("CREATE TABLE tokens (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, rev VARCHAR(40) NOT NULL)")
		storm(t, r, "tokens", func(id int64) *byToken { return &byToken{ID: id} },
			func(row *byToken) *int64 { return &row.N }, func(row *byToken) any { return row.Rev })
		precise := map[string]string{"sqlite": "TIMESTAMP", "mariadb": "DATETIME(6)", "postgres": "TIMESTAMPTZ"}[engine]
		r.exec("CREATE TABLE times (id BIGINT PRIMARY KEY, n BIGINT NOT NULL, changed " + precise + " NOT NULL)")
		storm(t, r, "times", func(id int64) *byTime { return &byTime{ID: id} },
			func(row *byTime) *int64 { return &row.N }, func(row *byTime) any { return row.Changed.UnixNano() })
		if engine == "postgres" {
			r.exec("CREATE TABLE xmins (id BIGINT PRIMARY KEY, n BIGINT NOT NULL)")
			storm(t, r, "xmins", func(id int64) *byXmin { return &byXmin{ID: id} },
				func(row *byXmin) *int64 { return &row.N }, func(row *byXmin) any { return row.Xmin })
		}
	})
}

// storm increments few rows from many goroutines. Every call has a version of its
// own, and rows end where the calls say.
func storm[T any](t *testing.T, r *rig, table string, row func(id int64) *T, n func(*T) *int64, version func(*T) any) {
	t.Helper()
	const rows, clients, calls = 3, 24, 25
	repo, err := occ.NewRepository[T, int64](r.db, table, nil)
	require.NoError(t, err)
	seen := [rows]map[any]int64{}
	for id := range int64(rows) {
		require.NoError(t, repo.Insert(t.Context(), row(id)))
		seen[id] = map[any]int64{}
	}
	var mu sync.Mutex
	var all sync.WaitGroup
	for client := range clients {
		all.Go(func() {
			for call := range calls {
				id := int64((client + call) % rows)
				got, err := repo.Mutate(t.Context(), id, func(row *T) error { *n(row)++; return nil })
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if before, ok := seen[id][version(&got)]; ok {
					t.Errorf("%s: version %v of row %d stands for %d and %d", table, version(&got), id, before, *n(&got))
				}
				seen[id][version(&got)] = *n(&got)
				mu.Unlock()
			}
		})
	}
	all.Wait()
	sum := int64(0)
	for id := range int64(rows) {
		last, err := repo.Get(t.Context(), id)
		require.NoError(t, err)
		require.Len(t, seen[id], int(*n(&last)), "%s: versions of row %d", table, id)
		require.Equal(t, *n(&last), seen[id][version(&last)], "%s: the last call of row %d", table, id)
		sum += *n(&last)
	}
	require.EqualValues(t, clients*calls, sum, table)
}
