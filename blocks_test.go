package bulkexport_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

const organized = "organizeOutputBy=Patient"

func header(patient string) string {
	return `{"resourceType":"Parameters","parameter":[{"name":"header","valueReference":{"reference":"Patient/` +
		patient + `"}}]}`
}

func TestBlocks(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.put("Patient/a", "Observation/a1 "+of("a"), "Patient/b", "Condition/b1 "+of("b"), "Location/l",
			"Observation/a2 "+of("a"), "Patient/c")
		obs := func(id, patient string) string {
			return fmt.Sprintf(`{"resourceType":"Observation","id":%q,%s}`, id, of(patient))
		}
		want := []string{
			header("a"), `{"resourceType":"Patient","id":"a"}`, obs("a1", "a"), obs("a2", "a"),
			header("b"), `{"resourceType":"Patient","id":"b"}`, `{"resourceType":"Condition","id":"b1",` + of("b") + `}`,
			header("c"), `{"resourceType":"Patient","id":"c"}`,
		}
		status, lines := c.export(c.parameters("patient", organized))
		require.Equal(t, want, lines[""])
		manifest := bulkexport.NewManifest(status, false, func(name string) string { return name })
		require.Equal(t, "Patient", manifest.OutputOrganizedBy)
		require.Len(t, manifest.Output, 1)
		require.Equal(t, [2]string{"", "blocks.ndjson"}, [2]string{manifest.Output[0].Type, manifest.Output[0].URL})
		wire, err := manifest.MarshalJSON()
		require.NoError(t, err)
		require.Contains(t, string(wire), `"outputOrganizedBy":"Patient","output":[{"url":"blocks.ndjson","count":9,`)

		// What belongs to no Patient is left out, which is said.
		_, lines = c.export(c.parameters("system", organized))
		require.Equal(t, want, lines[""])
		require.Len(t, lines["OperationOutcome"], 1)
		require.Contains(t, lines["OperationOutcome"][0], `"severity":"information"`)

		_, lines = c.export(c.parameters("patient", organized+"&_type=Observation"))
		require.Equal(t, []string{header("a"), obs("a1", "a"), obs("a2", "a")}, lines[""])
		_, lines = c.export(c.parameters("patient", organized+"&_typeFilter=Observation%3F_id%3Da2&_type=Observation"))
		require.Equal(t, []string{header("a"), obs("a2", "a")}, lines[""])
		since := c.put("Observation/a1 " + of("a")).Add(-time.Millisecond).Format(time.RFC3339Nano)
		_, lines = c.export(c.parameters("patient", organized+"&_since="+since))
		require.Equal(t, []string{header("a"), obs("a1", "a")}, lines[""])

		c.refused(c.parameters("patient", "organizeOutputBy=Observation"), "organizeOutputBy", "not-supported")
		c.refused(c.parameters("patient", organized+"&includeAssociatedData=LatestProvenanceResources"),
			"organizeOutputBy", "not-supported")
	})
}

// TestBlocksAreWholeWherePossible has files of eight lines: blocks of up to four
// are whole, and larger ones continue.
func TestBlocksAreWholeWherePossible(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{MaxFileResources: 8, Slice: 1}, func(t *testing.T, c *clinic) {
		for p, size := range []int{1, 1, 2, 0, 20, 2, 1} {
			c.put(fmt.Sprintf("Patient/p%d", p))
			for i := range size {
				c.put(fmt.Sprintf("Observation/o%d-%02d %s", p, i, of(fmt.Sprintf("p%d", p))))
			}
		}
		status, lines := c.export(c.parameters("patient", organized))
		continued := map[string]bool{}
		var all []string
		for _, file := range status.Files {
			require.LessOrEqual(t, file.Count, int64(8))
			part := strings.Split(strings.TrimSuffix(c.content(status.Job.ID, file.PublicName), "\n"), "\n")
			require.Contains(t, part[0], `"header"`)
			if continued[file.Name] {
				require.Equal(t, header("p4"), part[0], "the header is repeated")
				part = part[1:]
			}
			continued[file.ContinuedBy] = file.ContinuedBy != ""
			all = append(all, part...)
		}
		require.Len(t, continued, 3, "the large block has two files more")
		require.Len(t, all, 7+7+27)
		require.Len(t, lines[""], 7+7+27+2)
		headers := 0
		for _, line := range all {
			if strings.Contains(line, `"header"`) {
				headers++
			}
		}
		require.Equal(t, 7, headers)
	})
}
