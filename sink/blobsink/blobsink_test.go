package blobsink_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"
	"gocloud.dev/blob/fileblob"
	"gocloud.dev/blob/memblob"
	"gocloud.dev/blob/s3blob"
	"gocloud.dev/gcerrors"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/blobsink"
	"github.com/bulkexport/bulkexport/sink/sinktest"
)

const (
	job  = "6qz4k2w7xj5n3c1v8b9m0asdfg"
	name = "Patient-0-1-1.output.ndjson"
)

func newSink(t testing.TB, bucket *blob.Bucket, cfg blobsink.Config) *blobsink.Sink {
	t.Helper()
	sink, err := blobsink.New(t.Context(), bucket, cfg)
	require.NoError(t, err)
	return sink
}

func openMemory(t testing.TB) *blob.Bucket {
	t.Helper()
	bucket := memblob.OpenBucket(nil)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return bucket
}

func openDirectory(t testing.TB, dir string) *blob.Bucket {
	t.Helper()
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{NoTempDir: true, Metadata: fileblob.MetadataDontWrite})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, bucket.Close()) })
	return bucket
}

// runSuite runs sinktest on a bucket for each case. Open makes an empty one, and a
// function that opens it again.
func runSuite(
	t *testing.T, cfg blobsink.Config, open func(t *testing.T) (*blob.Bucket, func(*testing.T) *blob.Bucket),
) {
	t.Helper()
	var reopen func(*testing.T) *blob.Bucket
	sinktest.Run(t, sinktest.Harness{
		Open: func(t *testing.T) bulkexport.OutputSink {
			t.Helper()
			var bucket *blob.Bucket
			bucket, reopen = open(t)
			return newSink(t, bucket, cfg)
		},
		Reopen: func(t *testing.T, _ bulkexport.OutputSink) bulkexport.OutputSink {
			t.Helper()
			return newSink(t, reopen(t), cfg)
		},
	})
}

func TestSinkInMemory(t *testing.T) {
	t.Parallel()
	for _, prefix := range []string{"", "bulk/exports/"} {
		t.Run("prefix "+prefix, func(t *testing.T) {
			t.Parallel()
			runSuite(t, blobsink.Config{Prefix: prefix}, func(t *testing.T) (*blob.Bucket, func(*testing.T) *blob.Bucket) {
				t.Helper()
				bucket := openMemory(t)
				return bucket, func(*testing.T) *blob.Bucket { return bucket }
			})
		})
	}
}

// TestSinkInDirectory has the bucket keep no headers: fileblob writes those to a file
// of their own, so that others see halves of them.
func TestSinkInDirectory(t *testing.T) {
	t.Parallel()
	runSuite(t, blobsink.Config{Prefix: "exports/"}, func(t *testing.T) (*blob.Bucket, func(*testing.T) *blob.Bucket) {
		t.Helper()
		dir := t.TempDir()
		return openDirectory(t, dir), func(t *testing.T) *blob.Bucket {
			t.Helper()
			return openDirectory(t, dir)
		}
	})
}

func TestSinkOnS3(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	buckets := 0
	cfg := blobsink.Config{Prefix: "exports/", URLLifetime: time.Hour}
	runSuite(t, cfg, func(t *testing.T) (*blob.Bucket, func(*testing.T) *blob.Bucket) {
		t.Helper()
		buckets++
		name := fmt.Sprintf("%s-%d", bucketName, buckets)
		require.NoError(t, server.CreateBucket(name))
		return connect(t, server, name).Bucket, func(t *testing.T) *blob.Bucket {
			t.Helper()
			return connect(t, server, name).Bucket
		}
	})
}

// data returns n bytes that look like no other data with another seed.
func data(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p) // never fails
	return p
}

func create(t testing.TB, sink *blobsink.Sink, name string) bulkexport.FileWriter {
	t.Helper()
	w, err := sink.Create(t.Context(), job, name)
	require.NoError(t, err)
	return w
}

func write(t testing.TB, w io.Writer, content []byte) {
	t.Helper()
	n, err := w.Write(content)
	require.NoError(t, err)
	require.Equal(t, len(content), n)
}

func put(t testing.TB, sink *blobsink.Sink, name string, content []byte) {
	t.Helper()
	w := create(t, sink, name)
	write(t, w, content)
	require.NoError(t, w.Commit())
}

func open(t testing.TB, sink *blobsink.Sink, name string) bulkexport.FileReader {
	t.Helper()
	r, err := sink.Open(t.Context(), job, name)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

func requireAbsent(t testing.TB, sink *blobsink.Sink, name string) {
	t.Helper()
	_, err := sink.Open(t.Context(), job, name)
	require.ErrorIs(t, err, bulkexport.ErrFileNotFound)
}

// requireSame compares without printing megabytes.
func requireSame(t testing.TB, want, got []byte) {
	t.Helper()
	require.Len(t, got, len(want))
	require.True(t, bytes.Equal(want, got), "bytes differ")
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for about, cfg := range map[string]blobsink.Config{
		"prefix without slash":   {Prefix: "exports"},
		"slash":                  {Prefix: "/"},
		"slash at the beginning": {Prefix: "/exports/"},
		"empty element":          {Prefix: "a//b/"},
		"two slashes":            {Prefix: "a//"},
		"parent":                 {Prefix: "../"},
		"dot":                    {Prefix: "./"},
		"no UTF-8":               {Prefix: "\xff/"},
		"negative lifetime":      {URLLifetime: -time.Second},
		"short lifetime":         {URLLifetime: time.Millisecond},
		"long lifetime":          {URLLifetime: blobsink.MaxURLLifetime + 1},
		"small parts":            {PartSize: 5<<20 - 1},
		"negative parts":         {PartSize: -1},
		"large parts":            {PartSize: 5<<30 + 1},
		"negative concurrency":   {Concurrency: -1},
	} {
		_, err := blobsink.New(t.Context(), openMemory(t), cfg)
		require.ErrorContains(t, err, "blobsink: ", about)
	}
	_, err := blobsink.New(t.Context(), nil, blobsink.Config{})
	require.ErrorContains(t, err, "bucket")
}

func TestNewNeedsSignaturesForURLs(t *testing.T) {
	t.Parallel()
	for about, bucket := range map[string]*blob.Bucket{
		"memory": openMemory(t), "directory": openDirectory(t, t.TempDir()),
	} {
		_, err := blobsink.New(t.Context(), bucket, blobsink.Config{URLLifetime: time.Hour})
		require.Equal(t, gcerrors.Unimplemented, gcerrors.Code(err), about)
		require.ErrorContains(t, err, "URLLifetime", about)
	}
}

// TestInvalidNames holds the sink to more than the suite does: it refuses all
// that the contract does not allow.
func TestInvalidNames(t *testing.T) {
	t.Parallel()
	bucket := openMemory(t)
	sink := newSink(t, bucket, blobsink.Config{})
	refuse := func(job, name string) {
		t.Helper()
		_, err := sink.Create(t.Context(), job, name)
		require.ErrorContains(t, err, "blobsink: create", "%q %q", job, name)
		_, err = sink.Open(t.Context(), job, name)
		require.ErrorContains(t, err, "blobsink: open", "%q %q", job, name)
		require.NotErrorIs(t, err, bulkexport.ErrFileNotFound, "%q %q", job, name)
		_, _, err = sink.FileURL(t.Context(), job, name, time.Now().Add(time.Hour))
		require.ErrorContains(t, err, "blobsink: sign", "%q %q", job, name)
		require.ErrorContains(t, sink.DeleteFile(t.Context(), job, name), "blobsink: delete", "%q %q", job, name)
	}
	for _, bad := range []string{
		"", ".", "..", "a/b", "../x", "/etc/passwd", `a\b`, "a\x00", "a\n", "a b", "a:b", "a%", "é",
		".hidden", strings.Repeat("x", 129),
	} {
		refuse(job, bad)
	}
	for _, bad := range []string{
		"", ".", "..", "a/b", "../x", "/tmp", `a\b`, "a\x00", "A", "a.b", "a-b", "a_b", "é", strings.Repeat("x", 65),
	} {
		refuse(bad, name)
		require.ErrorContains(t, sink.DeleteJob(t.Context(), bad), "blobsink: delete job", "%q", bad)
		for _, err := range sink.Files(t.Context(), bad) {
			require.ErrorContains(t, err, "blobsink: list files", "%q", bad)
		}
	}
}

// TestNeighbours has objects in the bucket that are not the sink's.
func TestNeighbours(t *testing.T) {
	t.Parallel()
	bucket := openMemory(t)
	foreign := []string{
		"a/x", "exports2/" + job + "/x", "exports/x", "exports/UPPER/x", "exports/" + job + "/below/x",
		"exports/" + job + "/.hidden", "exports/" + job + "0/" + name,
	}
	for _, key := range foreign {
		require.NoError(t, bucket.WriteAll(t.Context(), key, []byte("foreign"), nil))
	}
	sink := newSink(t, bucket, blobsink.Config{Prefix: "exports/"})
	put(t, sink, name, []byte("{}\n"))

	jobs := []string{}
	for id, err := range sink.Jobs(t.Context()) {
		require.NoError(t, err)
		jobs = append(jobs, id)
	}
	require.Equal(t, []string{job, job + "0"}, jobs)
	files := []string{}
	for file, err := range sink.Files(t.Context(), job) {
		require.NoError(t, err)
		files = append(files, file.Name)
	}
	require.Equal(t, []string{name}, files)
	require.NoError(t, sink.DeleteFile(t.Context(), job, name))
	requireAbsent(t, sink, name)
	for _, key := range foreign {
		there, err := bucket.Exists(t.Context(), key)
		require.NoError(t, err)
		require.True(t, there, key)
	}
}

// TestManyFiles are more than a page of a listing has.
func TestManyFiles(t *testing.T) {
	t.Parallel()
	bucket := openMemory(t)
	sink := newSink(t, bucket, blobsink.Config{})
	const files = 2500
	for i := range files {
		key := fmt.Sprintf("%s/Patient-0-1-%d.output.ndjson", job, i)
		require.NoError(t, bucket.WriteAll(t.Context(), key, []byte("{}\n"), nil))
	}
	found := 0
	for _, err := range sink.Files(t.Context(), job) {
		require.NoError(t, err)
		found++
	}
	require.Equal(t, files, found)
	require.NoError(t, sink.DeleteJob(t.Context(), job))
	_, err := bucket.List(nil).Next(t.Context())
	require.ErrorIs(t, err, io.EOF)
}

// TestKilledWriterInDirectory has what a process leaves that was killed.
func TestKilledWriterInDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	sink := newSink(t, openDirectory(t, dir), blobsink.Config{})
	w := create(t, sink, name)
	write(t, w, []byte("{}\n"))
	left, err := filepath.Glob(filepath.Join(dir, job, "*.tmp"))
	require.NoError(t, err)
	require.Len(t, left, 1)
	content, err := os.ReadFile(left[0])
	require.NoError(t, err)
	require.NoError(t, w.Abort())
	require.NoFileExists(t, left[0])
	require.NoError(t, os.WriteFile(left[0], content, 0o600))

	found := 0
	for file, err := range sink.Files(t.Context(), job) {
		require.NoError(t, err)
		require.Equal(t, name, file.Name)
		require.False(t, file.Committed)
		require.NotZero(t, file.ModTime)
		found++
	}
	require.Equal(t, 1, found)
	requireAbsent(t, sink, name)
	require.NoError(t, sink.DeleteFile(t.Context(), job, name))
	require.NoFileExists(t, left[0])
}

func TestDeniedIsPermanent(t *testing.T) {
	t.Parallel()
	bucket := openS3(t)
	client := newClient(bucket.server.Endpoint(), aws.AnonymousCredentials{}, http.DefaultClient)
	stranger, err := s3blob.OpenBucket(t.Context(), client, bucketName, nil)
	require.NoError(t, err)
	sink := newSink(t, stranger, blobsink.Config{})
	for _, length := range []int{10, inParts} {
		w := create(t, sink, name)
		_, err := w.Write(data(1, length))
		err = errors.Join(err, w.Commit())
		require.ErrorIs(t, err, bulkexport.ErrPermanent)
		requireNamed(t, err)
		require.NoError(t, w.Abort())
	}
	_, err = sink.Open(t.Context(), job, name)
	require.ErrorIs(t, err, bulkexport.ErrPermanent)
	requireNamed(t, err)
	err = sink.DeleteFile(t.Context(), job, name)
	require.ErrorIs(t, err, bulkexport.ErrPermanent)
	requireNamed(t, err)
}
