package httpadapter_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// bucket is a sink with signed URLs, for an hour.
type bucket struct{ *memsink.Sink }

func (bucket) FileURL(_ context.Context, jobID, name string, _ time.Time) (string, time.Time, error) {
	return "https://bucket.example/" + jobID + "/" + name + "?a=1&signature=x", now.Add(time.Hour), nil
}

// TestGoldenSignedURLs: files are where the sink says, need no token, and the
// manifest ends with the first of its URLs.
func TestGoldenSignedURLs(t *testing.T) {
	t.Parallel()
	parts := []bulkexport.Part{
		{Type: "Patient", Total: 3, Seen: 3, Processed: 3, Done: true, Files: []bulkexport.File{
			{Name: "a", Type: "Patient", Kind: bulkexport.FileOutput, Count: 2, Size: 20, SHA256: "aa"},
			{Name: "b", Type: "Patient", Kind: bulkexport.FileOutput, Count: 1, Size: 10, SHA256: "bb"},
		}},
		{Type: "Observation", Total: 3},
	}
	for name, state := range map[string]bulkexport.JobState{
		"completed": bulkexport.JobCompleted, "partial": bulkexport.JobRunning,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, setup{
				core: bulkexport.Config{ManifestFiles: 1, Sink: bucket{memsink.New()}},
				http: httpadapter.Config{Authorize: authorize},
			})
			job := bulkexport.Job{
				ID: jobID, Tenant: "north", Client: "alice", State: state, TransactionTime: now,
				StartedAt: now.Add(-30 * time.Second),
			}
			job.Request.AllowPartial = state == bulkexport.JobRunning
			k.addJob(job, slices.Clone(parts)...)
			k.golden("status-urls-"+name, k.get(status, "Authorization: Bearer alice"))
		})
	}
}
