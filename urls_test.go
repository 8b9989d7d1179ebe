package bulkexport_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// urlSink has URLs that last for an hour, but not for the names that it leaves out.
type urlSink struct {
	*memsink.Sink
	without string
	err     error
}

func (s *urlSink) FileURL(_ context.Context, jobID, name string, until time.Time) (string, time.Time, error) {
	if name == s.without || s.err != nil {
		return "", time.Time{}, s.err
	}
	expires := time.Now().Add(time.Hour)
	if until.Before(expires) {
		expires = until
	}
	return "https://bucket.example/" + jobID + "/" + name + "?signature=x", expires, nil
}

func ours(name string) string { return "ours/" + name }

func TestFilesHaveTheURLsOfTheSink(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		source := newListSource(map[string]int{"Patient": 3, "Observation": 2})
		sink := &urlSink{Sink: memsink.New()}
		k := newKit(t, bulkexport.Config{Source: source, Sink: sink, TTL: 90 * time.Minute})
		k.start()
		defer k.stop()
		id := k.kickOff()
		status := k.wait(id)
		require.Equal(t, time.Now().Add(time.Hour).UTC(), status.URLsExpireAt.UTC())
		manifest := bulkexport.NewManifest(status, true, ours)
		require.False(t, manifest.RequiresAccessToken, "who has the URL has the file")
		require.Len(t, manifest.Output, 2)
		for i, entry := range manifest.Output {
			require.Equal(t, "https://bucket.example/"+id+"/"+status.Files[i].Name+"?signature=x", entry.URL)
		}
		require.Equal(t, source.all("Patient", "Observation"), k.lines(id), "the exporter has them too")

		pass(time.Hour)
		status = k.status(id)
		require.Equal(t, status.Job.ExpiresAt.UTC(), status.URLsExpireAt.UTC(), "not longer than the files")

		sink.without = status.Files[1].Name
		status = k.status(id)
		require.Zero(t, status.URLsExpireAt)
		manifest = bulkexport.NewManifest(status, true, ours)
		require.True(t, manifest.RequiresAccessToken, "all files or none")
		require.Equal(t, "ours/Observation.ndjson", manifest.Output[0].URL)

		sink.err = errGate
		_, err := k.exporter.Status(t.Context(), alice, id)
		require.ErrorIs(t, err, errGate)
		require.ErrorContains(t, err, "Observation.ndjson")
	})
}

// TestBlockThatGoesOnElsewhere is about a URL that stands on two pages: they would
// differ, and nobody could tell that it is the same file.
func TestBlockThatGoesOnElsewhere(t *testing.T) {
	t.Parallel()
	sink := &urlSink{Sink: memsink.New()}
	inClinic(t, bulkexport.Config{MaxFileResources: 4, ManifestFiles: 1, Sink: sink}, func(t *testing.T, c *clinic) {
		c.put("Patient/a")
		for i := range 10 {
			c.put(fmt.Sprintf("Observation/o%d %s", i, of("a")))
		}
		status, _ := c.export(c.parameters("patient", organized+"&allowPartialManifests=true"))
		var files, continued []string
		for number := 1; ; number++ {
			page := c.page(status.Job.ID, number)
			entry := bulkexport.NewManifest(page, true, ours).Output[0]
			files, continued = append(files, entry.URL), append(continued, entry.ContinuesInFile)
			if !page.More {
				break
			}
		}
		last := len(files) - 1
		require.Contains(t, files[last], "https://bucket.example/")
		for i, url := range files[:last] {
			require.Contains(t, url, "ours/")
			require.Contains(t, continued[i], "ours/")
		}
	})
}
