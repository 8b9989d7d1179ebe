package bulkexport

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/synthetic"
)

// BenchmarkCheckLine reports beside its own figures how many times as long
// encoding/json takes for the same resources in the same run. BULKEXPORT_DATA
// may name a folder with the NDJSON files of an export.
func BenchmarkCheckLine(b *testing.B) {
	b.Run("synthetic", func(b *testing.B) {
		var lines bytes.Buffer
		require.NoError(b, synthetic.Write(&lines, 100))
		benchmarkCheckLine(b, lines.Bytes())
	})
	folder := os.Getenv("BULKEXPORT_DATA")
	if folder == "" {
		return
	}
	b.Run("files", func(b *testing.B) {
		files, err := filepath.Glob(filepath.Join(folder, "*.ndjson"))
		require.NoError(b, err)
		require.NotEmpty(b, files)
		var lines []byte
		for _, file := range files {
			data, err := os.ReadFile(file)
			require.NoError(b, err)
			lines = append(lines, data...)
		}
		benchmarkCheckLine(b, lines)
	})
}

// benchmarkCheckLine takes all resources for one operation.
func benchmarkCheckLine(b *testing.B, ndjson []byte) {
	b.Helper()
	lines := bytes.Split(bytes.TrimSuffix(ndjson, []byte("\n")), []byte("\n"))
	b.SetBytes(int64(len(ndjson)))
	b.ReportAllocs()
	var other time.Duration
	for b.Loop() {
		for _, line := range lines {
			if _, fault := checkLine(line); fault != nil {
				b.Fatal(fault)
			}
		}
		b.StopTimer()
		start := time.Now()
		for _, line := range lines {
			if !json.Valid(line) {
				b.Fatal("not valid")
			}
		}
		other += time.Since(start)
		b.StartTimer()
	}
	own := b.Elapsed()
	b.ReportMetric(float64(own.Nanoseconds())/float64(b.N*len(lines)), "ns/resource")
	b.ReportMetric(float64(other)/float64(own), "times-faster-than-json.Valid")
}
