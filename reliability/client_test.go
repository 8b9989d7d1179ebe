//go:build unix

package reliability_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// clientTimeout is after what time a client gives up and asks again.
const clientTimeout = 20 * time.Second

// client is a client of the servers of one test.
type client struct {
	http *http.Client
}

func newClient(t *testing.T) *client {
	t.Helper()
	// Compression is off: files are compared as they are stored.
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{http: &http.Client{Transport: transport, Timeout: clientTimeout}}
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// do sends a request. An error means that the server went away, or does
// not answer.
func (c *client) do(ctx context.Context, method, url string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return answer{}, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(body)}, err
}

func (c *client) must(t *testing.T, method, url string) answer {
	t.Helper()
	got, err := c.do(t.Context(), method, url)
	require.NoError(t, err)
	return got
}

// kickOff starts an export and returns the path of its status, which is the same
// on all servers and after restarts.
func (c *client) kickOff(t *testing.T, base, query string) string {
	t.Helper()
	got := c.must(t, http.MethodGet, base+"/fhir/$export"+query)
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	location := got.header.Get("Content-Location")
	require.Contains(t, location, base+"/bulk-export/")
	return strings.TrimPrefix(location, base)
}

// manifest is what these tests look at in one.
type manifest struct {
	TransactionTime string `json:"transactionTime"`
	Output          []struct {
		Type  string `json:"type"`
		URL   string `json:"url"`
		Count int    `json:"count"`
	} `json:"output"`
	Error []any `json:"error"`
	Link  []struct {
		Relation string `json:"relation"`
		URL      string `json:"url"`
	} `json:"link"`
}

// next returns the path of the next page, empty if this is the last one.
func (m manifest) next(t *testing.T) string {
	t.Helper()
	for _, link := range m.Link {
		if link.Relation == "next" {
			return pathOf(t, link.URL)
		}
	}
	return ""
}

func pathOf(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u.RequestURI()
}

// export is a completed export as a client sees it.
type export struct {
	transactionTime string
	files           map[string]string // contents by public name
	bytes           int
}

// read downloads a completed export, from whichever server base names: links in
// manifests lead to the one that wrote them.
func (c *client) read(t *testing.T, base, job string) export {
	t.Helper()
	e := export{files: map[string]string{}}
	for page := job; page != ""; {
		got := c.must(t, http.MethodGet, base+page)
		require.Equal(t, http.StatusOK, got.status, got.body)
		var m manifest
		require.NoError(t, json.Unmarshal([]byte(got.body), &m))
		require.Empty(t, m.Error)
		require.NotEmpty(t, m.TransactionTime)
		if e.transactionTime != "" {
			require.Equal(t, e.transactionTime, m.TransactionTime, "pages of one export")
		}
		e.transactionTime = m.TransactionTime
		for _, file := range m.Output {
			name := path.Base(file.URL)
			require.NotContains(t, e.files, name)
			content := c.must(t, http.MethodGet, base+pathOf(t, file.URL))
			require.Equal(t, http.StatusOK, content.status)
			require.Equal(t, file.Count, strings.Count(content.body, "\n"))
			sum := sha256.Sum256([]byte(content.body))
			require.Equal(t, `"`+hex.EncodeToString(sum[:])+`"`, content.header.Get("ETag"))
			e.files[name] = content.body
			e.bytes += len(content.body)
		}
		page = m.next(t)
	}
	return e
}

// requireSame compares with an undisturbed export, without printing contents.
func requireSame(t *testing.T, want, got export) {
	t.Helper()
	for name, content := range want.files {
		require.Contains(t, got.files, name)
		require.Equal(t, len(content), len(got.files[name]), name)
		require.True(t, content == got.files[name], "%s differs", name)
	}
	require.Len(t, got.files, len(want.files))
}

// patience bounds what has to happen in the end. It says nothing of how fast.
const patience = 2 * time.Minute
