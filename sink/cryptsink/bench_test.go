package cryptsink_test

import (
	"io"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/cryptsink"
	"github.com/bulkexport/bulkexport/sink/filesink"
)

// The benchmarks take turns between a plain directory and an encrypted one, and report
// how much longer the latter takes. Writes come as the exporter's do, reads as the
// download endpoint's.
const (
	benchFile  = 64 << 20
	benchWrite = 64 << 10
	benchRead  = 256 << 10
)

func BenchmarkWrite(b *testing.B) {
	piece := data(1, benchWrite)
	compare(b, func(sink bulkexport.OutputSink) {
		w, err := sink.Create(b.Context(), job, name)
		require.NoError(b, err)
		for range benchFile / benchWrite {
			_, err := w.Write(piece)
			require.NoError(b, err)
		}
		require.NoError(b, w.Commit())
	})
}

func BenchmarkRead(b *testing.B) {
	buffer := make([]byte, benchRead)
	written := map[bulkexport.OutputSink]bool{}
	compare(b, func(sink bulkexport.OutputSink) {
		if !written[sink] {
			put(b, sink, job, name, data(1, benchFile))
			written[sink] = true
		}
		r, err := sink.Open(b.Context(), job, name)
		require.NoError(b, err)
		_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{r}, buffer)
		require.NoError(b, err)
		require.NoError(b, r.Close())
	})
}

func compare(b *testing.B, use func(bulkexport.OutputSink)) {
	b.Helper()
	dir := b.TempDir()
	files, err := filesink.New(filepath.Join(dir, "plain"))
	require.NoError(b, err)
	defer func() { require.NoError(b, files.Close()) }()
	inner, err := filesink.New(filepath.Join(dir, "encrypted"))
	require.NoError(b, err)
	defer func() { require.NoError(b, inner.Close()) }()
	keys, err := cryptsink.NewKeyFolder(filepath.Join(dir, "keys"))
	require.NoError(b, err)
	defer func() { require.NoError(b, keys.Close()) }()
	sinks := [2]bulkexport.OutputSink{files, cryptsink.New(inner, keys)}
	for _, sink := range sinks {
		use(sink)
	}
	var took [2]time.Duration
	b.ReportAllocs()
	for b.Loop() {
		for i, sink := range sinks {
			start := time.Now()
			use(sink)
			took[i] += time.Since(start)
		}
	}
	for i, unit := range [2]string{"plain-MB/s", "encrypted-MB/s"} {
		b.ReportMetric(float64(b.N)*benchFile/1e6/took[i].Seconds(), unit)
	}
	b.ReportMetric(took[1].Seconds()/took[0].Seconds(), "times-plain")
}
