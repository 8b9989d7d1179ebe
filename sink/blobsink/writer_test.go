package blobsink_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"

	"github.com/bulkexport/bulkexport/sink/blobsink"
)

// inParts is more than s3blob sends in one request.
const inParts = 40<<20 + 321

func TestLargeFileOnS3(t *testing.T) {
	t.Parallel()
	bucket := openS3(t)
	sink := bucket.sink(t, blobsink.Config{})
	content := data(1, inParts)
	w := create(t, sink, name)
	for rest := content; len(rest) > 0; {
		n := min(100_000, len(rest))
		write(t, w, rest[:n])
		rest = rest[n:]
	}
	require.Equal(t, 1, bucket.uploads(t), "it is sent while it is written")
	require.Empty(t, bucket.objects(t))
	require.NoError(t, w.Commit())
	require.Zero(t, bucket.uploads(t))

	got, err := io.ReadAll(open(t, sink, name))
	require.NoError(t, err)
	requireSame(t, content, got)
	found, err := bucket.Attributes(t.Context(), job+"/"+name)
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(found.ETag, `-6"`), "ETag %s does not tell of 6 parts", found.ETag)
	require.Equal(t, "application/fhir+ndjson", found.ContentType)
	require.Empty(t, found.ContentEncoding)
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	buckets := map[string]*blob.Bucket{"memory": openMemory(t), "S3": openS3(t).Bucket}
	for about, bucket := range buckets {
		sink := newSink(t, bucket, blobsink.Config{})
		for name, encoding := range map[string]string{name: "", name + ".gz": "gzip"} {
			for _, length := range []int{100, inParts} {
				put(t, sink, name, data(1, length))
				found, err := bucket.Attributes(t.Context(), job+"/"+name)
				require.NoError(t, err)
				require.Equal(t, "application/fhir+ndjson", found.ContentType, about)
				require.Equal(t, encoding, found.ContentEncoding, about)
			}
		}
	}
}

// TestAbortLeavesNothingOnS3 looks at what no listing of objects shows.
func TestAbortLeavesNothingOnS3(t *testing.T) {
	t.Parallel()
	bucket := openS3(t)
	sink := bucket.sink(t, blobsink.Config{})
	for _, length := range []int{0, 100, 16 << 20, 16<<20 + 1, 24 << 20, inParts} {
		for about, end := range map[string]func(cancel context.CancelFunc){
			"aborted": func(context.CancelFunc) {}, "context ended": func(cancel context.CancelFunc) { cancel() },
		} {
			ctx, cancel := context.WithCancel(t.Context())
			w, err := sink.Create(ctx, job, name)
			require.NoError(t, err)
			write(t, w, data(1, length))
			end(cancel)
			require.NoError(t, w.Abort())
			require.Zero(t, bucket.uploads(t), "%s at %d bytes", about, length)
			require.Empty(t, bucket.objects(t), "%s at %d bytes", about, length)
			cancel()
		}
	}
}

func TestFailedCommitLeavesNothingOnS3(t *testing.T) {
	t.Parallel()
	bucket := openS3(t)
	sink := bucket.sink(t, blobsink.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	w, err := sink.Create(ctx, job, name)
	require.NoError(t, err)
	write(t, w, data(1, inParts))
	cancel()
	require.ErrorIs(t, w.Commit(), context.Canceled)
	_, err = w.Write([]byte("x"))
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, w.Abort())
	require.Zero(t, bucket.uploads(t))
	require.Empty(t, bucket.objects(t))
}

// TestServerDiesWhileFileIsSent kills the server, and lets it come back.
func TestServerDiesWhileFileIsSent(t *testing.T) {
	t.Parallel()
	bucket := openS3(t)
	sink := bucket.sink(t, blobsink.Config{})
	w := create(t, sink, name)
	write(t, w, data(1, 24<<20))
	require.Equal(t, 1, bucket.uploads(t))
	bucket.server.Halt()
	var err error
	for piece := data(2, 1<<20); err == nil; {
		_, err = w.Write(piece)
	}
	require.ErrorContains(t, err, job)
	require.ErrorContains(t, err, name)
	require.ErrorIs(t, w.Commit(), err, "what lacks a piece is not published")
	require.NoError(t, w.Abort())

	require.NoError(t, bucket.server.Resume(t.Context()))
	requireAbsent(t, sink, name)
	put(t, sink, name, data(3, inParts))
	got, err := io.ReadAll(open(t, sink, name))
	require.NoError(t, err)
	requireSame(t, data(3, inParts), got)
}

func TestServerIsDown(t *testing.T) {
	t.Parallel()
	bucket := openS3(t)
	sink := bucket.sink(t, blobsink.Config{URLLifetime: time.Hour})
	put(t, sink, name, data(1, 1<<20))
	r := open(t, sink, name)
	bucket.server.Halt()

	_, err := r.Read(make([]byte, 1))
	requireNamed(t, err)
	_, err = sink.Open(t.Context(), job, name)
	requireNamed(t, err)
	w := create(t, sink, name)
	write(t, w, []byte("{}\n"))
	requireNamed(t, w.Commit())
	require.NoError(t, w.Abort())
	requireNamed(t, sink.DeleteFile(t.Context(), job, name))
	require.ErrorContains(t, sink.DeleteJob(t.Context(), job), job)
	for _, err := range sink.Files(t.Context(), job) {
		require.ErrorContains(t, err, job)
	}
	for _, err := range sink.Jobs(t.Context()) {
		require.ErrorContains(t, err, "list jobs")
	}
	_, _, err = sink.FileURL(t.Context(), job, name, time.Now().Add(time.Hour))
	require.NoError(t, err, "it asks nobody")

	require.NoError(t, bucket.server.Resume(t.Context()))
	got, err := io.ReadAll(open(t, sink, name))
	require.NoError(t, err)
	requireSame(t, data(1, 1<<20), got)
}

// requireNamed wants an error that says which file it is about.
func requireNamed(t testing.TB, err error) {
	t.Helper()
	require.ErrorContains(t, err, "blobsink: ")
	require.ErrorContains(t, err, job)
	require.ErrorContains(t, err, name)
}

var errLost = errors.New("the answer is lost")

// losesAnswers hands on what matches, and does not tell what came of it.
func losesAnswers(match func(*http.Request) bool) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(r)
			if err != nil || !match(r) {
				return resp, err
			}
			_ = resp.Body.Close()
			return nil, errLost
		})
	}
}

// publishes reports whether the request makes an object appear.
func publishes(r *http.Request) bool {
	query := r.URL.Query()
	completes := r.Method == http.MethodPost && query.Has("uploadId")
	return completes || r.Method == http.MethodPut && !query.Has("partNumber")
}

// TestLostAnswer has the server publish a file and not be able to say so.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	for about, length := range map[string]int{"one request": 100, "in parts": inParts} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			bucket := openS3(t, losesAnswers(publishes))
			sink := bucket.sink(t, blobsink.Config{})
			put(t, sink, name, data(1, length))
			got, err := io.ReadAll(open(t, sink, name))
			require.NoError(t, err)
			requireSame(t, data(1, length), got)
			require.Zero(t, bucket.uploads(t))
		})
	}
}

// TestLostRequest has an older file of that name, which must not be taken for
// the one that the server never got.
func TestLostRequest(t *testing.T) {
	t.Parallel()
	lost := false
	bucket := openS3(t, func(next http.RoundTripper) http.RoundTripper {
		return tripper(func(r *http.Request) (*http.Response, error) {
			if lost && publishes(r) {
				return nil, errLost
			}
			return next.RoundTrip(r)
		})
	})
	sink := bucket.sink(t, blobsink.Config{})
	put(t, sink, name, data(1, 100))
	lost = true
	w := create(t, sink, name)
	write(t, w, data(2, 100))
	require.ErrorIs(t, w.Commit(), errLost)
	require.NoError(t, w.Abort())
	got, err := io.ReadAll(open(t, sink, name))
	require.NoError(t, err)
	requireSame(t, data(1, 100), got)
}

// silent is a server that takes an upload and then does not answer any more.
type silent struct{}

func (silent) Do(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPost && r.URL.Query().Has("uploads") {
		const answer = `<InitiateMultipartUploadResult><UploadId>x</UploadId></InitiateMultipartUploadResult>`
		return &http.Response{
			StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(answer)), Request: r,
		}, nil
	}
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestSilentServer is waited for as long as the context lasts, and a little.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bucket, err := s3blob.OpenBucket(t.Context(), newClient("http://silent", keys("x", "y"), silent{}), bucketName, nil)
		require.NoError(t, err)
		sink := newSink(t, bucket, blobsink.Config{})
		const patience = time.Minute
		for about, end := range map[string]func(w io.Writer) error{
			"write": func(w io.Writer) error {
				for piece := make([]byte, 1<<20); ; {
					if _, err := w.Write(piece); err != nil {
						return err
					}
				}
			},
			"commit": func(w io.Writer) error { return w.(interface{ Commit() error }).Commit() },
		} {
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			began := time.Now()
			w, err := sink.Create(ctx, job, name)
			require.NoError(t, err)
			write(t, w, make([]byte, 17<<20))
			require.Error(t, end(w), about)
			require.NoError(t, w.Abort(), about)
			require.GreaterOrEqual(t, time.Since(began), patience, about)
			require.Less(t, time.Since(began), patience+time.Minute, about)
			cancel()
		}
	})
}

// TestForgottenWriter ends with its context, else the bubble would not end.
func TestForgottenWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		sink := newSink(t, memblob.OpenBucket(nil), blobsink.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		w, err := sink.Create(ctx, job, name)
		require.NoError(t, err)
		write(t, w, []byte("{}\n"))
		cancel()
		synctest.Wait()
		requireAbsent(t, sink, name)
	})
}

func TestWriterIsUsedUp(t *testing.T) {
	t.Parallel()
	sink := newSink(t, openMemory(t), blobsink.Config{})
	w := create(t, sink, name)
	require.NoError(t, w.Commit())
	_, err := w.Write([]byte("x"))
	requireNamed(t, err)
	requireNamed(t, w.Commit())

	w = create(t, sink, name)
	require.NoError(t, w.Abort())
	_, err = w.Write([]byte("x"))
	requireNamed(t, err)
	requireNamed(t, w.Commit())
}

// TestMemoryOfLargeFile compares files of different lengths: what they need is the
// same. No other test may run meanwhile.
func TestMemoryOfLargeFile(t *testing.T) { //nolint:paralleltest // see above
	bucket := openS3(t)
	sink := bucket.sink(t, blobsink.Config{})
	allocated := func(pieces int) int64 {
		piece := data(1, 1<<20)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := create(t, sink, name)
		for range pieces {
			write(t, w, piece)
		}
		require.NoError(t, w.Commit())
		runtime.ReadMemStats(&after)
		return int64(after.TotalAlloc - before.TotalAlloc) //nolint:gosec // far from the limits
	}
	small, large := allocated(32), allocated(256)
	t.Logf("%d MiB for 32 MiB, %d MiB for 256 MiB", small>>20, large>>20)
	require.Less(t, large-small, int64(16<<20), "224 MiB more are written")
}
