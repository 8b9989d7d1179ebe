package memsource_test

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/synthetic"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// BenchmarkResources copies all Observations to a buffer, against copying the same
// bytes from a slice.
func BenchmarkResources(b *testing.B) {
	source := memsource.New(memsource.Config{})
	var records bytes.Buffer
	require.NoError(b, synthetic.Write(&records, 1000))
	_, err := source.Load(b.Context(), "", &records)
	require.NoError(b, err)
	q := bulkexport.Query{Scope: bulkexport.Scope{Level: bulkexport.LevelSystem}, Type: "Observation"}
	var plain [][]byte
	for resource, err := range source.Resources(b.Context(), q) {
		require.NoError(b, err)
		plain = append(plain, bytes.Clone(resource.JSON))
	}

	var buffer []byte
	var reading, copying time.Duration
	var allocs uint64
	for b.Loop() {
		began, before, count := time.Now(), mallocs(), 0
		for resource, err := range source.Resources(b.Context(), q) {
			if err != nil {
				b.Fatal(err)
			}
			buffer = append(buffer[:0], resource.JSON...)
			count++
		}
		reading += time.Since(began)
		allocs += mallocs() - before
		require.Len(b, plain, count)

		began = time.Now()
		for _, record := range plain {
			buffer = append(buffer[:0], record...)
		}
		copying += time.Since(began)
	}
	read := float64(len(plain)) * float64(b.N)
	b.ReportMetric(read/reading.Seconds(), "resources/s")
	b.ReportMetric(reading.Seconds()/copying.Seconds(), "to-copying")
	b.ReportMetric(float64(allocs)/read, "allocs/resource")
}

func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}
