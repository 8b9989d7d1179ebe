package blobsink_test

import (
	"bytes"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/blobsink"
)

// counter counts requests by method.
type counter struct {
	mu    sync.Mutex
	count map[string]int
}

func (c *counter) around(next http.RoundTripper) http.RoundTripper {
	return tripper(func(r *http.Request) (*http.Response, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.count[r.Method]++
		return next.RoundTrip(r)
	})
}

func (c *counter) since() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := c.count
	c.count = map[string]int{}
	return count
}

func TestRequestsOfReader(t *testing.T) {
	t.Parallel()
	requests := counter{count: map[string]int{}}
	sink := openS3(t, requests.around).sink(t, blobsink.Config{})
	content := data(1, inParts)
	put(t, sink, name, content)
	requests.since()

	r := open(t, sink, name)
	require.Equal(t, map[string]int{"HEAD": 1}, requests.since())
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	requireSame(t, content, got)
	require.Equal(t, map[string]int{"GET": 1}, requests.since(), "a whole file is one request")

	for _, whence := range []int{io.SeekEnd, io.SeekStart} {
		_, err = r.Seek(0, whence)
		require.NoError(t, err)
	}
	require.Empty(t, requests.since(), "to ask for the length, as http.ServeContent does, is free")
	_, err = r.Seek(1000, io.SeekStart)
	require.NoError(t, err)
	var copied bytes.Buffer
	_, err = io.Copy(&copied, r)
	require.NoError(t, err)
	requireSame(t, content[1000:], copied.Bytes())
	require.Equal(t, map[string]int{"GET": 1, "HEAD": 1}, requests.since())
}

// whileRead is more than any buffer in between has.
const whileRead = 6 << 20

// changes are what may happen to a file while it is read.
func changes(t *testing.T, sink *blobsink.Sink) map[string]func() {
	t.Helper()
	return map[string]func(){
		"replaced, same length": func() { put(t, sink, name, data(2, whileRead)) },
		"replaced, longer":      func() { put(t, sink, name, data(2, whileRead+1)) },
		"replaced, shorter":     func() { put(t, sink, name, data(2, whileRead/4)) },
		"deleted":               func() { require.NoError(t, sink.DeleteJob(t.Context(), job)) },
	}
}

func TestReaderOfChangedFile(t *testing.T) {
	t.Parallel()
	for about, bucket := range map[string]*blob.Bucket{
		"memory":    openMemory(t),
		"directory": openDirectory(t, t.TempDir()),
		"S3":        openS3(t).Bucket,
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			sink := newSink(t, bucket, blobsink.Config{})
			content := data(1, whileRead)
			for change, do := range changes(t, sink) {
				put(t, sink, name, content)
				r := open(t, sink, name)
				got := make([]byte, 1000)
				_, err := io.ReadFull(r, got)
				require.NoError(t, err)
				requireSame(t, content[:1000], got)
				do()

				rest, err := io.ReadAll(r)
				requireSame(t, content[1000:1000+len(rest)], rest)
				require.Truef(t, err != nil || len(rest) == whileRead-1000, "%s: less than all without an error", change)
				_, err = r.Seek(2000, io.SeekStart)
				require.NoError(t, err)
				n, err := r.Read(got)
				require.Zero(t, n, change)
				requireNamed(t, err)
				if change == "deleted" {
					require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
				}
			}
		})
	}
}

// TestFileReplacedBeforeFirstRead is not mixed, but of the length that was told.
func TestFileReplacedBeforeFirstRead(t *testing.T) {
	t.Parallel()
	sink := newSink(t, openMemory(t), blobsink.Config{})
	put(t, sink, name, data(1, 1000))
	longer := open(t, sink, name)
	put(t, sink, name, data(2, 1001))
	_, err := longer.Read(make([]byte, 10))
	requireNamed(t, err)

	same := open(t, sink, name)
	put(t, sink, name, data(3, 1001))
	got, err := io.ReadAll(same)
	require.NoError(t, err)
	requireSame(t, data(3, 1001), got)
	_, err = same.Seek(0, io.SeekStart)
	require.NoError(t, err)
	_, err = same.Read(got)
	requireNamed(t, err)
}

// TestConnectionBreaksWhileReading cuts answers, also where it does not show.
func TestConnectionBreaksWhileReading(t *testing.T) {
	t.Parallel()
	sink := openS3(t, func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err == nil && r.Method == http.MethodGet {
				resp.Body = struct {
					io.Reader
					io.Closer
				}{io.LimitReader(resp.Body, 500), resp.Body}
			}
			return resp, err
		})
	}).sink(t, blobsink.Config{})
	content := data(1, 1000)
	put(t, sink, name, content)
	r := open(t, sink, name)
	got, err := io.ReadAll(r)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	requireNamed(t, err)
	requireSame(t, content[:500], got)
}

func TestBeforeRead(t *testing.T) {
	t.Parallel()
	reads := 0
	sink := newSink(t, openMemory(t), blobsink.Config{BeforeRead: func(func(any) bool) error {
		reads++
		return nil
	}})
	put(t, sink, name, data(1, 1000))
	_, err := io.ReadAll(open(t, sink, name))
	require.NoError(t, err)
	require.Equal(t, 1, reads)
}

func TestReaderIsClosed(t *testing.T) {
	t.Parallel()
	sink := newSink(t, openMemory(t), blobsink.Config{})
	put(t, sink, name, data(1, 1000))
	r := open(t, sink, name)
	_, err := r.Read(make([]byte, 1))
	require.NoError(t, err)
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	requireNamed(t, err)
	_, err = r.Seek(0, 7)
	requireNamed(t, err)
}
