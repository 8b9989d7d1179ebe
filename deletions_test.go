package bulkexport_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
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
	inClinic(t, bulkexport.Config{MaxFileResources: 2, Slice: 1}, func(t *testing.T, c *clinic) {
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
