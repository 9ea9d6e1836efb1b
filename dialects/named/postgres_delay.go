package named

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// maxCommitDelay is PostgreSQL's.
const maxCommitDelay = 100 * time.Millisecond

// delayCommits lets whoever flushes the log wait first, also when nobody else
// commits (https://www.postgresql.org/docs/15/runtime-config-wal.html): the time
// that a slow disk would take, and group commit as it would be there.
func delayCommits(config *pgx.ConnConfig, d time.Duration) {
	if d > 0 {
		config.RuntimeParams["commit_delay"] = strconv.FormatInt(d.Microseconds(), 10)
		config.RuntimeParams["commit_siblings"] = "0"
	}
}

// refused tells whether the server did not let the user change a setting.
func refused(err error) bool {
	const insufficientPrivilege = "42501"
	var reply *pgconn.PgError
	return errors.As(err, &reply) && reply.Code == insufficientPrivilege
}

// checkCommitDelay refuses a server on which the delay has no effect: without a
// flush there is nothing to wait before.
func (d *Database) checkCommitDelay(delay time.Duration) error {
	switch {
	case delay == 0:
		return nil
	case d.Settings["commit_delay"] != strconv.FormatInt(delay.Microseconds(), 10):
		return errors.New("postgres: the server does not apply the commit delay: connect without a pooler in between")
	}
	for _, name := range []string{"fsync", "synchronous_commit"} {
		if d.Settings[name] == "off" {
			return fmt.Errorf("postgres: a commit delay has no effect with %s=off: start the server with %s=on", name, name)
		}
	}
	return nil
}
