package migrations_test

import (
	"context"
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// standby receives the WAL of a server as a standby does, but replays it when it
// is let. https://www.postgresql.org/docs/current/protocol-replication.html
type standby struct {
	conn *pgconn.HijackedConn
	mu   sync.Mutex
	end  uint64 // of what was received
	let  bool
	done chan struct{}
}

func newStandby(t *testing.T, dsn string) *standby {
	t.Helper()
	config, err := pgconn.ParseConfig(dsn)
	require.NoError(t, err)
	config.RuntimeParams["replication"], config.RuntimeParams["application_name"] = "true", "standby"
	conn, err := pgconn.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	results, err := conn.Exec(t.Context(), "IDENTIFY_SYSTEM").ReadAll()
	require.NoError(t, err)
	position := string(results[0].Rows[0][2])
	s := &standby{done: make(chan struct{})}
	s.conn, err = conn.Hijack()
	require.NoError(t, err)
	s.conn.Frontend.SendQuery(&pgproto3.Query{String: "START_REPLICATION PHYSICAL " + position})
	require.NoError(t, s.conn.Frontend.Flush())
	go s.receive()
	t.Cleanup(s.stop)
	s.reply(true) // that it is there
	return s
}

func (s *standby) receive() {
	defer close(s.done)
	for {
		message, err := s.conn.Frontend.Receive()
		if err != nil {
			return
		}
		if data, ok := message.(*pgproto3.CopyData); ok && data.Data[0] == 'w' {
			s.mu.Lock()
			s.end = binary.BigEndian.Uint64(data.Data[1:]) + uint64(len(data.Data)-25)
			s.mu.Unlock()
			s.reply(false)
		}
	}
}

// reply says that everything is written, flushed and replayed.
func (s *standby) reply(first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !first && !s.let {
		return
	}
	message := []byte{'r'}
	for range 3 {
		message = binary.BigEndian.AppendUint64(message, max(s.end, 1))
	}
	since2000 := time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).Microseconds()
	message = binary.BigEndian.AppendUint64(message, uint64(since2000)) //nolint:gosec // is positive
	s.conn.Frontend.Send(&pgproto3.CopyData{Data: append(message, 0)})
	_ = s.conn.Frontend.Flush()
}

// replay lets it replay from now on.
func (s *standby) replay() {
	s.mu.Lock()
	s.let = true
	s.mu.Unlock()
	s.reply(false)
}

func (s *standby) stop() {
	_ = s.conn.Conn.Close()
	<-s.done
}

// until polls a count of the server's.
func (r *rig) until(want int64, query string) {
	r.Helper()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	for r.int("%s", query) != want {
		select {
		case <-poll.C:
		case <-ctx.Done():
			r.Fatalf("never %d: %s", want, query)
		}
	}
}
