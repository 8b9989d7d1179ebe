package blobsink_test

import (
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/sink/blobsink"
)

func fileURL(t testing.TB, sink *blobsink.Sink, name string, until time.Time) (string, time.Time) {
	t.Helper()
	signed, expires, err := sink.FileURL(t.Context(), job, name, until)
	require.NoError(t, err)
	return signed, expires
}

// get fetches a URL as a client does that knows nothing but the URL.
func get(t testing.TB, address string, header http.Header) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	req.Header = header
	client := http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	require.NoError(t, err)
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp, body
}

func TestSignedURL(t *testing.T) {
	t.Parallel()
	sink := openS3(t).sink(t, blobsink.Config{Prefix: "exports/", URLLifetime: time.Hour})
	content := data(1, inParts)
	put(t, sink, name+".gz", content)
	signed, _ := fileURL(t, sink, name+".gz", time.Now().Add(24*time.Hour))

	resp, body := get(t, signed, http.Header{})
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "application/fhir+ndjson", resp.Header.Get("Content-Type"))
	require.Equal(t, "gzip", resp.Header.Get("Content-Encoding"))
	requireSame(t, content, body)

	resp, body = get(t, signed, http.Header{"Range": {"bytes=1000-1999"}})
	require.Equal(t, http.StatusPartialContent, resp.StatusCode)
	requireSame(t, content[1000:2000], body)

	put(t, sink, name, []byte("secret\n"))
	resp, _ = get(t, strings.Replace(signed, name+".gz", name, 1), http.Header{})
	require.Equal(t, http.StatusForbidden, resp.StatusCode, "the URL of one file opens no other")
	unsigned, _, _ := strings.Cut(signed, "?")
	resp, _ = get(t, unsigned, http.Header{})
	require.Equal(t, http.StatusForbidden, resp.StatusCode)

	resp, _ = get(t, must(fileURL(t, sink, "absent", time.Now().Add(time.Hour))), http.Header{})
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
}

func must(signed string, _ time.Time) string { return signed }

// TestExpiryOfURL compares what is told with what is signed.
func TestExpiryOfURL(t *testing.T) {
	t.Parallel()
	sink := openS3(t).sink(t, blobsink.Config{URLLifetime: time.Hour})
	for _, left := range []time.Duration{2500 * time.Millisecond, 30 * time.Minute, time.Hour, 240 * time.Hour} {
		now := time.Now()
		signed, expires := fileURL(t, sink, name, now.Add(left))
		require.Equal(t, time.UTC, expires.Location())
		ends := endOf(t, signed)
		require.False(t, ends.Before(expires), "%v: it ends at %v and not at %v", left, ends, expires)
		require.False(t, ends.After(now.Add(left)), "%v: it ends at %v, after the export", left, ends)
		require.WithinRange(t, expires, now.Add(min(left, time.Hour)-3*time.Second), now.Add(min(left, time.Hour)))
	}
}

// endOf reads from a URL of S3 when it ends.
func endOf(t testing.TB, signed string) time.Time {
	t.Helper()
	parsed, err := url.Parse(signed)
	require.NoError(t, err)
	at, err := time.Parse("20060102T150405Z", parsed.Query().Get("X-Amz-Date"))
	require.NoError(t, err)
	seconds, err := strconv.Atoi(parsed.Query().Get("X-Amz-Expires"))
	require.NoError(t, err)
	return at.Add(time.Duration(seconds) * time.Second)
}

func TestNoURL(t *testing.T) {
	t.Parallel()
	bucket := openS3(t)
	signing := bucket.sink(t, blobsink.Config{URLLifetime: time.Hour})
	for about, until := range map[string]time.Time{
		"past": time.Now().Add(-time.Hour), "now": time.Now(), "too near": time.Now().Add(1900 * time.Millisecond),
		"zero": {},
	} {
		signed, expires := fileURL(t, signing, name, until)
		require.Empty(t, signed, about)
		require.Zero(t, expires, about)
	}
	signed, _ := fileURL(t, bucket.sink(t, blobsink.Config{}), name, time.Now().Add(time.Hour))
	require.Empty(t, signed, "without URLLifetime")
}
