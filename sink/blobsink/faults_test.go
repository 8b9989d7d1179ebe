package blobsink_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"gocloud.dev/blob"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/faulttest"
	"github.com/bulkexport/bulkexport/sink/blobsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// TestFaults has exporters on buckets fail, killed and frozen. On S3 it tries less,
// since each call there takes its time.
func TestFaults(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	buckets := 0
	for about, c := range map[string]struct {
		every, schedules int
		open             func(t *testing.T) *blob.Bucket
	}{
		"memory": {every: 20, schedules: 10, open: func(t *testing.T) *blob.Bucket {
			t.Helper()
			return openMemory(t)
		}},
		"S3": {every: 150, schedules: 3, open: func(t *testing.T) *blob.Bucket {
			t.Helper()
			buckets++
			name := fmt.Sprintf("%s-%d", bucketName, buckets)
			require.NoError(t, server.CreateBucket(name))
			return connect(t, server, name).Bucket
		}},
	} {
		t.Run(about, func(t *testing.T) {
			t.Parallel()
			faulttest.Run(t, faulttest.Harness{
				Open: func(t *testing.T) faulttest.Parts {
					t.Helper()
					sink := newSink(t, c.open(t), blobsink.Config{Prefix: "exports/"})
					return faulttest.Parts{Source: population(t), Store: memstore.New(), Sink: sink}
				},
				Request:   bulkexport.ExportRequest{Level: bulkexport.LevelSystem},
				Config:    bulkexport.Config{MaxFileResources: 3, GzipLevel: 1},
				Every:     c.every,
				Schedules: c.schedules,
			})
		})
	}
}

// population is a few resources of two types.
func population(t *testing.T) *memsource.Source {
	t.Helper()
	source := memsource.New(memsource.Config{})
	for i := range 10 {
		for _, name := range []string{"Patient", "Observation"} {
			_, err := source.Put("", fmt.Appendf(nil, `{"resourceType":%q,"id":"x%d"}`, name, i))
			require.NoError(t, err)
		}
	}
	return source
}
