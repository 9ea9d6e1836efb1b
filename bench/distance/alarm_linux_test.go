package distance

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The alarm goes off earlier by as much as data have been late, and no more.
func TestKernelAlarmLearns(t *testing.T) {
	t.Parallel()
	const delay, late = 10 * time.Millisecond, 100 * time.Microsecond
	var a kernelAlarm
	for range 100 {
		a.learn(delay, late-a.late) // what is left of it
	}
	require.InDelta(t, late, a.late, float64(late)/100)
	a.learn(delay, time.Second)
	require.LessOrEqual(t, a.late, delay/2)
	a.learn(delay, -time.Second)
	require.Zero(t, a.late)
}

// A precise link delivers everything in order, and ends with either side.
func TestPreciseLink(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = listener.Close() }()
	go func() { // an echo
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	client, err := Dialer{Delay: time.Millisecond, Precise: true}.DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	for i := range byte(20) {
		_, err = client.Write([]byte{i})
		require.NoError(t, err)
	}
	text := make([]byte, 20)
	_, err = io.ReadFull(client, text)
	require.NoError(t, err)
	for i := range byte(20) {
		require.Equal(t, i, text[i])
	}
	require.NoError(t, client.Close())
	_, err = client.Read(text)
	require.Error(t, err)
}
