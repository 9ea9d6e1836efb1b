package migrations_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/migrations"
)

// build makes the command as its users have it.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "occmigrate")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", path, "./cmd/occmigrate").CombinedOutput()
	require.NoError(t, err, "%s", out)
	return path
}

// occmigrate runs a command of the binary on the table accounts, passes its
// events on, and returns when it has ended well.
func (r *rig) occmigrate(ctx context.Context, binary, command string, event func(migrations.Event)) {
	r.Helper()
	cmd := exec.CommandContext(ctx, binary, command, "--jsonl", "--db", r.engine.name, "accounts")
	cmd.Env = append(os.Environ(), "OCCMIGRATE_DSN="+r.url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	require.NoError(r, err)
	require.NoError(r, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var e migrations.Event
		require.NoError(r, json.Unmarshal(lines.Bytes(), &e), lines.Text())
		event(e)
	}
	require.NoError(r, cmd.Wait(), "%s", &stderr)
}

// While a transaction keeps the lock from a plain ALTER TABLE, all writers queue
// behind that; behind apply nobody does. This is TestPileUp without the clock.
func TestNobodyQueuesBehindApply(t *testing.T) {
	t.Parallel()
	binary := build(t)
	waiting := map[string]string{
		"postgres": "SELECT COUNT(*) FROM pg_locks WHERE relation = 'accounts'::regclass AND mode = 'AccessExclusiveLock' AND NOT granted",
		"mariadb":  "SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = DATABASE() AND STATE = 'Waiting for table metadata lock'",
	}
	onEach(t, func(r *rig) {
		if waiting[r.engine.name] == "" {
			r.Skip("SQLite has no queue")
		}
		r.fresh(3)
		write := func(patience time.Duration) error {
			ctx, cancel := context.WithTimeout(r.Context(), patience)
			defer cancel()
			_, err := r.db.ExecContext(ctx, "UPDATE accounts SET n = n + 1 WHERE id = 2")
			return err
		}

		idle := r.reading()
		altered := make(chan error, 1)
		go func() {
			_, err := r.db.ExecContext(r.Context(), "ALTER TABLE accounts ADD COLUMN naive BIGINT NOT NULL DEFAULT 1")
			altered <- err
		}()
		poll := time.NewTicker(5 * time.Millisecond)
		defer poll.Stop()
		for r.int("%s", waiting[r.engine.name]) == 0 {
			<-poll.C
		}
		require.ErrorIs(r, write(200*time.Millisecond), context.DeadlineExceeded, "nobody queues behind ALTER TABLE: this proves nothing")
		require.NoError(r, idle.Rollback())
		require.NoError(r, <-altered)

		idle = r.reading()
		waits, wrote := 0, 0
		ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second) // it tells nothing while it waits in the queue
		defer cancel()
		r.occmigrate(ctx, binary, "apply", func(e migrations.Event) {
			if e.State != migrations.Waiting {
				return
			}
			if waits++; waits > 2 {
				_ = idle.Rollback()
				return
			}
			for range 20 {
				require.NoError(r, write(10*time.Second))
				wrote++
			}
		})
		require.Equal(r, 40, wrote)
		r.verified(freshTable)
	})
}
