package httpadapter_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// pipe is a listener with one connection, for a server in a bubble of synctest.
type pipe chan net.Conn

func (p pipe) Accept() (net.Conn, error) {
	if conn, ok := <-p; ok {
		return conn, nil
	}
	return nil, net.ErrClosed
}

func (p pipe) Close() error {
	close(p)
	return nil
}

func (p pipe) Addr() net.Addr { return &net.TCPAddr{} }

// dial serves a handler to one client.
func dial(t *testing.T, handler http.Handler) net.Conn {
	t.Helper()
	client, conn := net.Pipe()
	listener := make(pipe, 1)
	listener <- conn
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	t.Cleanup(func() {
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
		require.ErrorIs(t, <-served, http.ErrServerClosed)
	})
	return client
}

// slowRequest has token, length of the body, and body.
const slowRequest = "POST /fhir/$export HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n" +
	"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

// TestSlowBody has clients that never send what they have announced.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for token, status := range map[string]int{
		"alice":   http.StatusBadRequest,
		"mallory": http.StatusUnauthorized,
	} {
		t.Run(token, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := dial(t, newPolling(t, 0).handler)
				began := time.Now()
				_, err := fmt.Fprintf(client, slowRequest, token, 100, "{")
				require.NoError(t, err)
				res, err := http.ReadResponse(bufio.NewReader(client), nil)
				require.NoError(t, err)
				require.Equal(t, status, res.StatusCode)
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				outcomeOf(t, body)
				require.Equal(t, time.Minute, time.Since(began).Truncate(time.Second))
			})
		})
	}
}

// TestBodyTimeEndsWithTheBody has a request that takes longer than its body may.
func TestBodyTimeEndsWithTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := newPolling(t, 0).handler
		ended := make(chan error, 1)
		client := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handler.ServeHTTP(w, r)
			select {
			case <-r.Context().Done():
			case <-time.After(time.Hour):
			}
			ended <- r.Context().Err()
		}))
		body := parameters()
		_, err := fmt.Fprintf(client, slowRequest, "alice", len(body), body)
		require.NoError(t, err)
		require.NoError(t, <-ended)
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, res.StatusCode)
	})
}
