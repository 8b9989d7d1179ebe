package httpadapter_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
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

// slowRequest has method and path, token, length of the body, and body.
const slowRequest = "%s HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer %s\r\n" +
	"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"

// TestSlowBody has clients that never send what they have announced. Without an
// end to that, each would hold a connection for ever, also without a token.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		request, token string
		status         int
	}{
		{"POST /fhir/$export", "alice", http.StatusBadRequest},
		{"POST /fhir/$export", "mallory", http.StatusUnauthorized},
		{"PUT /fhir/$export", "mallory", http.StatusMethodNotAllowed},
		{"GET /fhir/$export", "alice", http.StatusAccepted},
		{"POST /nowhere", "mallory", http.StatusNotFound},
		{"POST /nowhere/", "mallory", http.StatusNotFound},
		{"GET " + unknownID, "mallory", http.StatusUnauthorized},
		{"GET " + unknownID + "/Patient.ndjson", "mallory", http.StatusUnauthorized},
		{"GET /fhir/metadata", "mallory", http.StatusOK},
	} {
		t.Run(test.request+" "+test.token, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := dial(t, newPolling(t, 0).handler)
				began := time.Now()
				_, err := fmt.Fprintf(client, slowRequest, test.request, test.token, 100, "{")
				require.NoError(t, err)
				res, err := http.ReadResponse(bufio.NewReader(client), nil)
				require.NoError(t, err)
				require.Equal(t, test.status, res.StatusCode)
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				if res.StatusCode >= http.StatusBadRequest {
					outcomeOf(t, body)
				}
				require.Equal(t, time.Minute, time.Since(began).Truncate(time.Second))
			})
		})
	}
}

// TestBodyTimeEndsWithTheBody has a request that takes longer than its body may,
// and a host that has read the body already.
func TestBodyTimeEndsWithTheBody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		handler := newPolling(t, 0).handler
		ended := make(chan error, 1)
		client := dial(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			require.NoError(t, err)
			r.Body = io.NopCloser(bytes.NewReader(body))
			handler.ServeHTTP(w, r)
			select {
			case <-r.Context().Done():
			case <-time.After(time.Hour):
			}
			ended <- r.Context().Err()
		}))
		body := parameters()
		_, err := fmt.Fprintf(client, slowRequest, "POST /fhir/$export", "alice", len(body), body)
		require.NoError(t, err)
		require.NoError(t, <-ended)
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, res.StatusCode)
	})
}

// TestDownloadOutlivesABody has a client that sends a body along, and reads on
// when it would have had to be there.
func TestDownloadOutlivesABody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPolling(t, 0)
		k := kit{TB: t, store: p.store, sink: p.sink}
		k.addFile(callers["alice"].Caller, lines)
		client := dial(t, p.handler)
		_, err := fmt.Fprintf(client, slowRequest, "GET "+file, "alice", 2, "{}")
		require.NoError(t, err)
		res, err := http.ReadResponse(bufio.NewReader(client), nil)
		require.NoError(t, err)
		time.Sleep(2 * time.Minute) //nolint:forbidigo // the clock is that of synctest
		body, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Equal(t, lines, string(body))
	})
}

// TestManifestThatIsNotRead has a client that asks for a large manifest and reads
// nothing of it.
func TestManifestThatIsNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPolling(t, 0)
		k := kit{TB: t, store: p.store, sink: p.sink, base: "http://h"}
		var parts []bulkexport.Part
		for range 1000 {
			parts = append(parts, bulkexport.Part{
				Type: "Patient", Done: true, Files: []bulkexport.File{{Name: "a", Type: "Patient", Count: 1, Size: 10}},
			})
		}
		k.addJob(bulkexport.Job{
			ID: jobID, Tenant: "north", Client: "alice", State: bulkexport.JobCompleted, TransactionTime: now,
			EndedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour),
		}, parts...)
		client := dial(t, p.handler)
		_, err := fmt.Fprintf(client, slowRequest, "GET "+status, "alice", 0, "")
		require.NoError(t, err)
		time.Sleep(6 * time.Minute) //nolint:forbidigo // the clock is that of synctest
		answer, err := io.ReadAll(client)
		require.NoError(t, err)
		require.NotContains(t, string(answer), "\"error\":[]", "the end of the manifest")
	})
}
