//go:build unix

package reliability_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

// largest returns the longest file of an export and its content.
func (e export) largest() (name, content string) {
	for n, c := range e.files {
		if len(c) > len(content) {
			name, content = n, c
		}
	}
	return name, content
}

// narrow has connections of the client hold little, so that the server notices
// how slowly it reads.
func (c *client) narrow(t *testing.T) {
	t.Helper()
	transport := &http.Transport{DisableCompression: true, DialContext: func(
		ctx context.Context, network, addr string,
	) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(128 << 10)
		}
		return conn, err
	}}
	t.Cleanup(transport.CloseIdleConnections)
	c.http = &http.Client{Transport: transport}
}

// get opens a download that begins at a byte.
func (h *host) get(ctx context.Context, url string, from int) *http.Response {
	h.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	require.NoError(h, err)
	if from > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", from))
	}
	resp, err := h.http.Do(req)
	require.NoError(h, err)
	want := http.StatusOK
	if from > 0 {
		want = http.StatusPartialContent
	}
	require.Equal(h, want, resp.StatusCode)
	return resp
}

// TestClientsGoAwayInTheMiddleOfADownload reads a file in pieces, each with a
// connection that is cut off, while another client reads so slowly that the
// server waits for it. That no goroutine is left is for TestMain to say.
func TestClientsGoAwayInTheMiddleOfADownload(t *testing.T) {
	t.Parallel()
	h := newHost(t, t.TempDir(), 300)
	h.start(bulkexport.Config{MaxFileResources: 1e6})
	job := h.kickOff(t, h.base, "?_type=Observation")
	require.Equal(t, http.StatusOK, h.await(job).status)
	name, want := h.read(t, h.base, job).largest()
	require.Greater(t, len(want), 5<<20, "more than what is under way in buffers")
	h.narrow(t)
	url, random := h.base+job+"/"+name, seeded(t)

	slow := h.get(t.Context(), url, 0)
	defer slow.Body.Close()
	first := make([]byte, 1000)
	_, err := io.ReadFull(slow.Body, first)
	require.NoError(t, err)

	var got strings.Builder
	pieces := 0
	for ; got.Len() < len(want); pieces++ {
		ctx, leave := context.WithCancel(t.Context())
		resp := h.get(ctx, url, got.Len())
		_, err := io.CopyN(&got, resp.Body, min(1+random.Int64N(1<<20), int64(len(want)-got.Len())))
		require.NoError(t, err)
		leave()
		_ = resp.Body.Close()
	}
	require.True(t, want == got.String(), "pieces differ from the file")

	rest, err := io.ReadAll(slow.Body)
	require.NoError(t, err)
	require.True(t, want == string(slices.Concat(first, rest)), "what was read slowly differs from the file")
	require.NotContains(t, h.log.String(), "level=ERROR")
	t.Logf("%d bytes in %d pieces", len(want), pieces)
	require.NotEmpty(t, h.export("?_type=Patient").files)
}
