package migrations_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/dialects/dbtest"
	"github.com/occkit/occkit/migrations"
)

// A real autovacuum, slowed down so that it lasts for minutes, gives way to
// apply.
func TestAutovacuumGivesWay(t *testing.T) {
	t.Parallel()
	server := dbtest.StartPostgres(t, "-c", "autovacuum_naptime=1s", "-c", "autovacuum_vacuum_cost_delay=100ms",
		"-c", "autovacuum_vacuum_cost_limit=1", "-c", "autovacuum_vacuum_threshold=10")
	r := &rig{T: t, engine: engineNamed("postgres"), url: server.DSN()}
	r.db = dbtest.Open(t, "pgx", r.url)
	r.fresh(20_000)
	r.exec("ANALYZE accounts")
	r.exec("%s", "DELETE FROM accounts WHERE id % 2 = 0")
	// The statistics show the worker; until then there is nothing to test.
	poll, deadline := time.NewTicker(20*time.Millisecond), time.Now().Add(time.Minute)
	defer poll.Stop()
	for r.int("SELECT COUNT(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation = 'accounts'::regclass AND a.backend_type = 'autovacuum worker' AND l.mode = 'ShareUpdateExclusiveLock'") == 0 {
		require.True(t, time.Now().Before(deadline), "no autovacuum came")
		<-poll.C
	}
	var seen bool
	began := time.Now()
	m := r.migrator(&migrations.Options{MaxWait: time.Minute, Progress: func(e migrations.Event) {
		for _, b := range e.Blockers {
			seen = seen || b.Yields == 1000
		}
	}})
	_, err := m.Apply(t.Context(), []migrations.Table{freshTable})
	require.NoError(t, err)
	require.Less(t, time.Since(began), 30*time.Second)
	require.True(t, seen, "the worker was not recognised")
	t.Logf("apply took %s with an autovacuum in the way", time.Since(began).Round(time.Millisecond))
	r.verified(freshTable)
}
