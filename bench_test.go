package bulkexport_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/internal/synthetic"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// BenchmarkNDJSONWriter writes ordinary records to nowhere, against
// encoding/json.Valid on the same records.
func BenchmarkNDJSONWriter(b *testing.B) {
	var records [][]byte
	size := 0
	for record := range synthetic.Resources(20) {
		records = append(records, bytes.Clone(record))
		size += len(record)
	}
	w := bulkexport.NewNDJSONWriter(io.Discard, bulkexport.FileLimits{})
	var writing, validating time.Duration
	var allocs uint64
	for b.Loop() {
		began, before := time.Now(), mallocs()
		for _, record := range records {
			if err := w.WriteResource(record); err != nil {
				b.Fatal(err)
			}
		}
		writing += time.Since(began)
		allocs += mallocs() - before

		began = time.Now()
		for _, record := range records {
			if !json.Valid(record) {
				b.Fatal("not valid")
			}
		}
		validating += time.Since(began)
	}
	written := float64(len(records)) * float64(b.N)
	b.ReportMetric(float64(size)*float64(b.N)/1e6/writing.Seconds(), "MB/s")
	b.ReportMetric(writing.Seconds()/validating.Seconds(), "to-valid")
	b.ReportMetric(float64(allocs)/written, "allocs/resource")
}

// BenchmarkExport runs whole exports from memory to a sink that keeps nothing,
// against what no export can do without: going through the source, and hashing.
func BenchmarkExport(b *testing.B) {
	const patients = 500
	source := memsource.New(memsource.Config{})
	var records bytes.Buffer
	require.NoError(b, synthetic.Write(&records, patients))
	size := records.Len()
	n, err := source.Load(b.Context(), "", &records)
	require.NoError(b, err)
	ended := make(chan bulkexport.Job, 1)
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: source, Store: memstore.New(), Sink: nowhere{}, Logger: slog.New(slog.DiscardHandler),
		Observer: bulkexport.Observer{JobEnded: func(_ context.Context, job bulkexport.Job) { ended <- job }},
	})
	require.NoError(b, err)
	require.NoError(b, exporter.Start(b.Context()))
	defer func() { require.NoError(b, exporter.Stop(context.Background())) }()

	var exporting, hashing time.Duration
	var allocs uint64
	for b.Loop() {
		began, before := time.Now(), mallocs()
		_, err := exporter.KickOff(b.Context(), bulkexport.Access{},
			bulkexport.ExportRequest{Level: bulkexport.LevelSystem})
		require.NoError(b, err)
		require.Equal(b, bulkexport.JobCompleted, (<-ended).State)
		exporting += time.Since(began)
		allocs += mallocs() - before

		began = time.Now()
		require.Equal(b, n, hash(b, source))
		hashing += time.Since(began)
	}
	exported := float64(n) * float64(b.N)
	b.ReportMetric(float64(size)*float64(b.N)/1e6/exporting.Seconds(), "MB/s")
	b.ReportMetric(exporting.Seconds()/hashing.Seconds(), "to-hashing")
	b.ReportMetric(float64(allocs)/exported, "allocs/resource")
}

// hash goes through a source, on one processor.
func hash(b *testing.B, source bulkexport.ResourceSource) (count int) {
	b.Helper()
	scope := bulkexport.Scope{Level: bulkexport.LevelSystem}
	types, err := source.Types(b.Context(), scope)
	require.NoError(b, err)
	sum := sha256.New()
	for _, name := range types {
		for resource, err := range source.Resources(b.Context(), bulkexport.Query{Scope: scope, Type: name}) {
			require.NoError(b, err)
			sum.Write(resource.JSON)
			count++
		}
	}
	return count
}

func mallocs() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.Mallocs
}

// nowhere is a sink that keeps nothing.
type nowhere struct{}

var errNowhere = errors.New("nothing is kept")

func (nowhere) Create(context.Context, string, string) (bulkexport.FileWriter, error) {
	return discarded{}, nil
}

func (nowhere) Open(context.Context, string, string) (bulkexport.FileReader, error) {
	return nil, errNowhere
}

func (nowhere) DeleteJob(context.Context, string) error { return nil }

type discarded struct{}

func (discarded) Write(p []byte) (int, error) { return len(p), nil }
func (discarded) Commit() error               { return nil }
func (discarded) Abort() error                { return nil }
