package httpadapter_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// newGzipKit has a completed export that is stored as gzip, of several pieces.
// It returns the path of its file and what is in there.
func newGzipKit(t *testing.T) (k *kit, file, want string) {
	t.Helper()
	var ndjson strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&ndjson, `{"resourceType":"Patient","id":"%d","identifier":[{"value":"%s"}]}`+"\n",
			i, sum(strconv.Itoa(i)))
	}
	source := memsource.New(memsource.Config{})
	_, err := source.Load(t.Context(), "", strings.NewReader(ndjson.String()))
	require.NoError(t, err)
	k = newKit(t, setup{core: bulkexport.Config{Source: source, GzipLevel: 1, Now: time.Now}})
	k.start()
	status := k.kickOff("/fhir/$export", "Prefer: respond-async", "Accept: application/fhir+json")
	<-k.ended
	output := *k.manifest(status).Output
	require.Len(t, output, 1)
	return k, k.path(output[0].URL), ndjson.String()
}

func TestStoredGzip(t *testing.T) {
	t.Parallel()
	k, file, want := newGzipKit(t)
	plain, zipped := etag(want), strings.TrimSuffix(etag(want), `"`)+`-gzip"`

	res := k.get(file, "Accept-Encoding: gzip")
	require.Equal(t, http.StatusOK, res.status)
	require.Equal(t, "gzip", res.header.Get("Content-Encoding"))
	require.Equal(t, "Accept-Encoding", res.header.Get("Vary"))
	require.Equal(t, "bytes", res.header.Get("Accept-Ranges"))
	require.Equal(t, zipped, res.header.Get("ETag"))
	require.Equal(t, strconv.Itoa(len(res.body)), res.header.Get("Content-Length"))
	got, err := inflate(t, res.body)
	require.NoError(t, err)
	require.True(t, want == got)

	res = k.get(file)
	require.Equal(t, http.StatusOK, res.status)
	require.Empty(t, res.header.Get("Content-Encoding"))
	require.Equal(t, plain, res.header.Get("ETag"))
	require.Equal(t, strconv.Itoa(len(want)), res.header.Get("Content-Length"))
	require.True(t, want == string(res.body))

	for _, encoding := range []string{"gzip", "identity"} {
		head := k.do("HEAD", file, "Accept-Encoding: "+encoding)
		got := k.get(file, "Accept-Encoding: "+encoding)
		for _, name := range []string{"Accept-Ranges", "Content-Encoding", "Content-Length", "ETag", "Vary", "Content-Type"} {
			require.Equal(t, got.header.Get(name), head.header.Get(name), name)
		}
		same := k.get(file, "Accept-Encoding: "+encoding, "If-None-Match: "+got.header.Get("ETag"))
		require.Equal(t, http.StatusNotModified, same.status)
	}
}

func TestRangesOfStoredGzip(t *testing.T) {
	t.Parallel()
	k, file, want := newGzipKit(t)
	plain, zipped := etag(want), strings.TrimSuffix(etag(want), `"`)+`-gzip"`
	const from, to = 1<<20 - 100, 1<<20 + 5000 // where one piece ends
	requested := fmt.Sprintf("Range: bytes=%d-%d", from, to)

	// Whoever does not say otherwise means the lines.
	for _, headers := range [][]string{
		{}, {"Accept-Encoding: gzip"}, {"Accept-Encoding: identity", "If-Range: " + plain},
		{"Accept-Encoding: gzip", "If-Range: " + plain},
	} {
		res := k.get(file, append(headers, requested)...)
		require.Equal(t, http.StatusPartialContent, res.status)
		require.Empty(t, res.header.Get("Content-Encoding"))
		require.Equal(t, fmt.Sprintf("bytes %d-%d/%d", from, to, len(want)), res.header.Get("Content-Range"))
		require.True(t, want[from:to+1] == string(res.body))
	}

	whole := k.get(file, "Accept-Encoding: gzip").body
	half := len(whole) / 2
	rest := k.get(file, "Accept-Encoding: gzip", "If-Range: "+zipped, fmt.Sprintf("Range: bytes=%d-", half))
	require.Equal(t, http.StatusPartialContent, rest.status)
	require.Equal(t, "gzip", rest.header.Get("Content-Encoding"))
	require.Equal(t, zipped, rest.header.Get("ETag"))
	require.Equal(t, fmt.Sprintf("bytes %d-%d/%d", half, len(whole)-1, len(whole)), rest.header.Get("Content-Range"))
	require.Equal(t, strconv.Itoa(len(whole)-half), rest.header.Get("Content-Length"))
	require.True(t, bytes.Equal(whole, append(whole[:half:half], rest.body...)))

	other := k.get(file, "Accept-Encoding: gzip", `If-Range: "a"`, requested)
	require.Equal(t, http.StatusOK, other.status)
	require.Equal(t, plain, other.header.Get("ETag"))
	require.True(t, want == string(other.body))
	behind := k.get(file, "Accept-Encoding: gzip", "If-Range: "+zipped, fmt.Sprintf("Range: bytes=%d-", len(whole)))
	require.Equal(t, http.StatusRequestedRangeNotSatisfiable, behind.status)
	require.Empty(t, behind.header.Get("Content-Encoding"))
	require.Equal(t, "value", outcomeOf(t, behind.body).Issue[0].Code)
}
