package bulkexport_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
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

		c.put(`Group/g "actual":true,"member":[{"entity":{"reference":"Patient/a"}}]`)
		_, lines = c.export(c.parameters("group/g", organized+"&_type=Patient,Group"))
		require.Equal(t, []string{header("a"), `{"resourceType":"Patient","id":"a"}`}, lines[""], "no Group in a block")
		require.Len(t, lines["OperationOutcome"], 1)

		c.refused(c.parameters("patient", "organizeOutputBy=Observation"), "organizeOutputBy", "not-supported")
		c.refused(c.parameters("patient", organized+"&includeAssociatedData=LatestProvenanceResources"),
			"organizeOutputBy", "not-supported")
	})
}

// TestBlocksAreWholeWherePossible has files of eight lines: blocks of up to four
// are whole, and larger ones continue.
func TestBlocksAreWholeWherePossible(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{MaxFileResources: 8, Slice: 1, Now: ticking()}, func(t *testing.T, c *clinic) {
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
			if file.Kind == bulkexport.FileError {
				continue // what is left out
			}
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

// TestBlocksGoOnOverPages has a block of many files, and a page for each file.
func TestBlocksGoOnOverPages(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{MaxFileResources: 4, ManifestFiles: 1}, func(t *testing.T, c *clinic) {
		c.put("Patient/a")
		for i := range 10 {
			c.put(fmt.Sprintf("Observation/o%d %s", i, of("a")))
		}
		status, _ := c.export(c.parameters("patient", organized+"&allowPartialManifests=true"))
		var files, continued []string
		for number := 1; ; number++ {
			page := c.page(status.Job.ID, number)
			entry := bulkexport.NewManifest(page, false, func(name string) string { return "http://x/" + name }).Output[0]
			files = append(files, entry.URL)
			continued = append(continued, entry.ContinuesInFile)
			if !page.More {
				break
			}
		}
		require.Len(t, files, 4)
		require.Equal(t, append(files[1:], ""), continued)
	})
}

// TestWhatContinuesABlockCanBeOpened has a page that ends with a file which the
// next page continues, and is shown before that page.
func TestWhatContinuesABlockCanBeOpened(t *testing.T) {
	t.Parallel()
	var open chan struct{} // of the bubble
	hold := func(ctx context.Context, _ bulkexport.Job, _ string, resource []byte) ([]byte, error) {
		if !strings.Contains(string(resource), `"b0"`) {
			return resource, nil
		}
		select {
		case <-open:
			return resource, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	cfg := bulkexport.Config{MaxFileResources: 8, ManifestFiles: 2, Filter: hold}
	inClinic(t, cfg, func(t *testing.T, c *clinic) {
		open = make(chan struct{})
		defer close(open)
		c.put("Patient/a")
		for i := range 20 {
			c.put(fmt.Sprintf("Observation/a%02d %s", i, of("a")))
		}
		c.put("Patient/b")
		for i := range 20 {
			c.put(fmt.Sprintf("Observation/b%d %s", i, of("b")))
		}
		job, err := c.try(c.parameters("patient", organized+"&allowPartialManifests=true"))
		require.NoError(t, err)
		synctest.Wait()
		page := c.page(job.ID, 1)
		require.True(t, page.Ready)
		require.False(t, c.page(job.ID, 2).Ready)
		for _, file := range page.Files {
			if file.Kind == bulkexport.FileError {
				continue
			}
			require.NotEmpty(t, file.ContinuesIn)
			require.Contains(t, c.content(job.ID, file.ContinuesIn), header("a"))
		}
	})
}

// TestBlocksAreFiltered has a source that could evaluate the search itself, but
// not for several types in one stream.
func TestBlocksAreFiltered(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.put(`Patient/a "active":true`, `Patient/b "active":false`)
		c.open(bulkexport.Config{Source: &searchingSource{Source: c.source}})
		c.start()
		defer c.stopper()()
		_, lines := c.export(c.parameters("patient", organized+"&_typeFilter=Patient%3Factive%3Dtrue"))
		require.Equal(t, []string{header("a"), `{"resourceType":"Patient","id":"a","active":true}`}, lines[""])
	})
}

// wardSource organizes by Location.
type wardSource struct {
	*memsource.Source
	types []string
	block []bulkexport.BlockResource
}

func (s *wardSource) OrganizesBy(resourceType string) bool { return resourceType == "Location" }

func (s *wardSource) Blocks(
	_ context.Context, _ bulkexport.Query, types []string,
) iter.Seq2[bulkexport.BlockResource, error] {
	s.types = types
	return func(yield func(bulkexport.BlockResource, error) bool) {
		for _, r := range s.block {
			if !yield(r, nil) {
				return
			}
		}
	}
}

// TestBlocksOfOtherTypes: only blocks by Patient are limited to its compartment.
func TestBlocksOfOtherTypes(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		source := &wardSource{Source: c.source}
		c.open(bulkexport.Config{Source: source})
		c.start()
		defer c.stopper()()
		c.export(c.parameters("system", "organizeOutputBy=Location&_type=Location,Encounter"))
		require.Equal(t, []string{"Encounter", "Location"}, source.types)
		c.export(c.parameters("patient", "organizeOutputBy=Location&_type=Location,Encounter"))
		require.Equal(t, []string{"Encounter"}, source.types)
	})
}

// TestBlocksOfWhatWasNotAsked: a source that does not keep to the types, or does
// not say whose block it is, fails the export.
func TestBlocksOfWhatWasNotAsked(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		resource := bulkexport.Resource{Key: []byte("k"), JSON: []byte(`{"resourceType":"Encounter","id":"e"}`)}
		for query, want := range map[string]bulkexport.JobState{
			"Encounter": bulkexport.JobCompleted, "Location": bulkexport.JobFailed,
		} {
			block := bulkexport.BlockResource{Resource: resource, Type: "Encounter", Owner: "l"}
			for _, owner := range []string{"l", ""} {
				if block.Owner = owner; owner == "" {
					want = bulkexport.JobFailed
				}
				source := &wardSource{Source: c.source, block: []bulkexport.BlockResource{block}}
				c.stop() // lest the one before, with another source, takes the job
				c.open(bulkexport.Config{Source: source, MaxAttempts: 2})
				c.start()
				defer c.stopper()()
				job, err := c.try(c.parameters("system", "organizeOutputBy=Location&_type="+query))
				require.NoError(t, err)
				require.Equal(t, want, c.wait(job.ID).Job.State, "%s, %q", query, owner)
			}
		}
	})
}
