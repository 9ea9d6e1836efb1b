package distance_test

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/occkit/occkit/bench/distance"
)

// far returns both ends of a connection over a distance. It is for bubbles, whose
// clock tells the exact time.
func far(t *testing.T, delay time.Duration) (client, server net.Conn) {
	t.Helper()
	near, server := net.Pipe()
	d := distance.Dialer{Delay: delay, Dial: func(_ context.Context, network, addr string) (net.Conn, error) {
		require.Equal(t, "tcp host:1", network+" "+addr)
		return near, nil
	}}
	client, err := d.DialContext(t.Context(), "tcp", "host:1")
	require.NoError(t, err)
	return client, server
}

// read returns how long it takes until the text has arrived.
func read(t *testing.T, c net.Conn, want string) time.Duration {
	t.Helper()
	start := time.Now()
	text := make([]byte, len(want))
	_, err := io.ReadFull(c, text)
	require.NoError(t, err)
	require.Equal(t, want, string(text))
	return time.Since(start)
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

// hangUp closes the connection and waits until the server has seen it.
func hangUp(t *testing.T, client, server net.Conn) {
	t.Helper()
	require.NoError(t, client.Close())
	_, err := io.Copy(io.Discard, server)
	require.NoError(t, err)
}

func TestEachDirectionTakesTheDelay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := far(t, time.Millisecond)
		write(t, client, "ping")
		require.Equal(t, time.Millisecond, read(t, server, "ping"))
		write(t, server, "pong")
		require.Equal(t, time.Millisecond, read(t, client, "pong"))
		hangUp(t, client, server)
	})
}

// What is under way does not hold up what comes after it.
func TestDelayCostsNoThroughput(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := far(t, time.Second)
		start := time.Now()
		for range 100 {
			write(t, client, "x")
			<-time.After(time.Millisecond)
		}
		for range 100 {
			read(t, server, "x")
		}
		require.Equal(t, 1099*time.Millisecond, time.Since(start))
		hangUp(t, client, server)
	})
}

func TestEndArrivesAfterWhatWasSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := far(t, time.Second)
		write(t, client, "goodbye")
		require.NoError(t, client.Close())
		require.Equal(t, time.Second, read(t, server, "goodbye"))
		_, err := server.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
	synctest.Test(t, func(t *testing.T) {
		client, server := far(t, time.Second)
		write(t, server, "goodbye")
		require.NoError(t, server.Close())
		require.Equal(t, time.Second, read(t, client, "goodbye"))
		_, err := client.Read(make([]byte, 1))
		require.ErrorIs(t, err, io.EOF)
	})
}

func TestDeadlinesWork(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, server := far(t, time.Second)
		require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Millisecond)))
		_, err := client.Read(make([]byte, 1))
		var timeout net.Error
		require.ErrorAs(t, err, &timeout)
		require.True(t, timeout.Timeout())
		hangUp(t, client, server)
	})
}

func TestRealServer(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() {
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	}()
	client, err := distance.Dialer{Delay: time.Microsecond}.DialContext(t.Context(), "tcp", listener.Addr().String())
	require.NoError(t, err)
	write(t, client, "echo")
	read(t, client, "echo")
	require.NoError(t, errors.Join(client.Close(), listener.Close()))
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	_, err := distance.Dialer{}.DialContext(t.Context(), "tcp", "127.0.0.1:1")
	require.Error(t, err)
}
