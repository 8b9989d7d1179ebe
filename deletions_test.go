package bulkexport_test

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// deleted reads the lines of deleted files.
func deleted(t *testing.T, lines []string) []string {
	t.Helper()
	var urls []string
	for _, line := range lines {
		var bundle struct {
			ResourceType, Type string
			Entry              []struct{ Request struct{ Method, URL string } }
		}
		require.NoError(t, json.Unmarshal([]byte(line), &bundle))
		require.Equal(t, [2]string{"Bundle", "transaction"}, [2]string{bundle.ResourceType, bundle.Type})
		require.NotEmpty(t, bundle.Entry)
		require.LessOrEqual(t, len(bundle.Entry), 100)
		for _, entry := range bundle.Entry {
			require.Equal(t, "DELETE", entry.Request.Method)
			urls = append(urls, entry.Request.URL)
		}
	}
	return urls
}

func TestDeletions(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.put("Patient/a", "Patient/b", "Patient/c", "Observation/o "+of("a"), "Location/l", "Patient/before")
		c.delete("Patient/before")
		first, _ := c.export(c.parameters("system", ""))
		require.Empty(t, bulkexport.NewManifest(first, false, func(string) string { return "" }).Deleted)
		pass(time.Second)
		c.delete("Patient/b")
		c.delete("Observation/o")
		c.delete("Location/l")
		c.delete("Patient/c")
		c.put("Patient/c") // created again: only in the output

		since := "_since=" + first.Job.TransactionTime.Format(time.RFC3339Nano)
		status, lines := c.export(c.parameters("system", since))
		require.Equal(t, []string{"Location/l", "Observation/o", "Patient/b"}, deleted(t, lines["Bundle"]))
		require.Equal(t, 1, len(lines["Patient"]))
		manifest := bulkexport.NewManifest(status, false, func(name string) string { return name })
		require.Len(t, manifest.Deleted, 1)
		require.Equal(t, [2]string{"Bundle", "deleted.ndjson"}, [2]string{manifest.Deleted[0].Type, manifest.Deleted[0].URL})
		require.EqualValues(t, 1, manifest.Deleted[0].Count, "lines, not entries")

		_, lines = c.export(c.parameters("patient", since))
		require.Equal(t, []string{"Observation/o", "Patient/b"}, deleted(t, lines["Bundle"]))
		_, lines = c.export(c.parameters("system", since+"&_type=Location"))
		require.Equal(t, []string{"Location/l"}, deleted(t, lines["Bundle"]))
		_, lines = c.export(c.parameters("patient", since+"&patient=Patient/c"))
		require.Empty(t, lines["Bundle"])
		_, lines = c.export(c.parameters("system", "_type=Location"))
		require.Empty(t, lines["Bundle"])
	})
}

// TestDeletionsGoOn has files of two lines, and slices that end with each file.
func TestDeletionsGoOn(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{MaxFileResources: 2, Slice: 1, Now: ticking()}, func(t *testing.T, c *clinic) {
		var want []string
		since := c.put("Basic/x").Format(time.RFC3339Nano)
		for _, resourceType := range []string{"Observation", "Patient"} {
			for i := range 350 {
				_, err := c.source.Put("north", fmt.Appendf(nil, `{"resourceType":%q,"id":"%d"}`, resourceType, i))
				require.NoError(t, err)
				c.source.Delete("north", resourceType, strconv.Itoa(i))
				want = append(want, fmt.Sprintf("%s/%d", resourceType, i))
			}
		}
		pass(time.Second)
		status, lines := c.export(c.parameters("system", "_since="+since))
		require.Equal(t, want, deleted(t, lines["Bundle"]))
		require.Len(t, status.Files, 4)
	})
}

// namelessSource says that something is deleted, but not what.
type namelessSource struct {
	*memsource.Source
	deletion bulkexport.Deletion
}

func (s namelessSource) Deletions(context.Context, bulkexport.Query) iter.Seq2[bulkexport.Deletion, error] {
	return func(yield func(bulkexport.Deletion, error) bool) { yield(s.deletion, nil) }
}

// slowSource takes a minute for the deletions of each type, or for the latest
// Provenance of each target.
type slowSource struct{ *memsource.Source }

func (s slowSource) Deletions(
	ctx context.Context, q bulkexport.Query,
) iter.Seq2[bulkexport.Deletion, error] {
	return func(yield func(bulkexport.Deletion, error) bool) {
		select {
		case <-time.After(time.Minute):
		case <-ctx.Done():
			yield(bulkexport.Deletion{}, ctx.Err())
			return
		}
		s.Source.Deletions(ctx, q)(yield)
	}
}

func (s slowSource) LatestProvenance(
	ctx context.Context, q bulkexport.Query, targetType, targetID string,
) ([]byte, error) {
	select {
	case <-time.After(time.Minute):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return s.Source.LatestProvenance(ctx, q, targetType, targetID)
}

// TestSlowSearchIsNoStall: a source that answers is not hung, although no
// resource comes for longer than StallTimeout.
func TestSlowSearchIsNoStall(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		since := c.put("Patient/a")
		var names []string
		for i := range 30 {
			names = append(names, fmt.Sprintf("Patient/none%d", i))
		}
		c.put("Provenance/p "+target(append(names, "Patient/a")...), "Patient/a")
		c.stop()
		c.open(bulkexport.Config{Source: slowSource{c.source}, MaxAttempts: 1})
		c.start()
		defer c.stopper()()
		job, err := c.try(c.parameters("system", "includeAssociatedData=LatestProvenanceResources&_since="+
			since.Format(time.RFC3339Nano)))
		require.NoError(t, err)
		pass(3 * time.Hour)
		require.Equal(t, bulkexport.JobCompleted, c.status(job.ID).Job.State)
		require.Equal(t, []string{"Patient/a", "Provenance/p"}, namesOf(c.lines(job.ID)))
	})
}

// TestNamelessDeletions: "DELETE Patient/" is nothing to ask of a client.
func TestNamelessDeletions(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		since := c.put("Patient/a")
		for _, deletion := range []bulkexport.Deletion{{Key: []byte("k")}, {ID: "a"}} {
			c.stop() // lest the one before, with another source, takes the job
			c.open(bulkexport.Config{Source: namelessSource{c.source, deletion}, MaxAttempts: 2})
			c.start()
			defer c.stopper()()
			job, err := c.try(c.parameters("system", "_since="+since.Format(time.RFC3339Nano)))
			require.NoError(t, err)
			require.Equal(t, bulkexport.JobFailed, c.wait(job.ID).Job.State)
		}
	})
}

// TestNoticesComeOnce has files of one line, and slices that end with each.
func TestNoticesComeOnce(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{MaxFileResources: 1, Slice: 1, Now: ticking()}, func(t *testing.T, c *clinic) {
		p := c.parameters("system", "a=1&b=2&c=3")
		p.Lenient = true
		status, lines := c.export(p)
		require.Len(t, lines["OperationOutcome"], 3)
		require.Len(t, status.Files, 3)
	})
}
