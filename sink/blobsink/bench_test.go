package blobsink_test

import (
	"context"
	"io"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/bulkexport/bulkexport/sink/blobsink"
)

// Compare the two of each kind: what the sink costs beside the bucket, and whether
// it is a bucket at all that holds things up. Writes come as the exporter's do.
const (
	benchFile  = 64 << 20
	benchWrite = 64 << 10
)

func BenchmarkWrite(b *testing.B) {
	bucket := openS3(b)
	sink := bucket.sink(b, blobsink.Config{})
	options := &blob.WriterOptions{
		BufferSize: 8 << 20, MaxConcurrency: 2, ContentType: "application/fhir+ndjson",
	}
	piece := data(1, benchWrite)
	fill := func(b *testing.B, w io.Writer) {
		b.Helper()
		for range benchFile / benchWrite {
			_, err := w.Write(piece)
			require.NoError(b, err)
		}
	}
	b.Run("sink", func(b *testing.B) {
		b.SetBytes(benchFile)
		for b.Loop() {
			w, err := sink.Create(context.Background(), job, name)
			require.NoError(b, err)
			fill(b, w)
			require.NoError(b, w.Commit())
		}
	})
	b.Run("bucket", func(b *testing.B) {
		b.SetBytes(benchFile)
		for b.Loop() {
			w, err := bucket.NewWriter(context.Background(), "key", options)
			require.NoError(b, err)
			fill(b, w)
			require.NoError(b, w.Close())
		}
	})
}

func BenchmarkRead(b *testing.B) {
	bucket := openS3(b)
	sink := bucket.sink(b, blobsink.Config{})
	put(b, sink, name, data(1, benchFile))
	// As the download endpoint reads.
	buffer := make([]byte, 256<<10)
	drain := func(b *testing.B, r io.Reader) {
		b.Helper()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buffer)
		require.NoError(b, err)
		require.EqualValues(b, benchFile, n)
	}
	b.Run("sink", func(b *testing.B) {
		b.SetBytes(benchFile)
		for b.Loop() {
			r, err := sink.Open(context.Background(), job, name)
			require.NoError(b, err)
			drain(b, r)
			require.NoError(b, r.Close())
		}
	})
	b.Run("bucket", func(b *testing.B) {
		b.SetBytes(benchFile)
		for b.Loop() {
			r, err := bucket.NewReader(context.Background(), job+"/"+name, nil)
			require.NoError(b, err)
			drain(b, r)
			require.NoError(b, r.Close())
		}
	})
}
