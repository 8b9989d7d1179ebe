package bulkexport_test

import (
	"bytes"
	"context"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func TestUntil(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.put("Patient/a")
		at := c.put("Patient/b").Format(time.RFC3339Nano)
		c.put("Patient/c")
		require.Equal(t, []string{"Patient/a"}, c.names("system", "_until="+at))
		require.Equal(t, []string{"Patient/c"}, c.names("system", "_since="+at))
		c.refused(c.parameters("system", "_since="+at+"&_until="+at), "_until", "value")
	})
}

func TestElements(t *testing.T) {
	t.Parallel()
	const tag = `"meta":{"tag":[{` +
		`"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}]}`
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.put(`Patient/a "gender":"male","birthDate":"1970-01-01"`, `Location/l "name":"x","mode":"kind"`)
		for query, want := range map[string][2]string{
			"_elements=Patient.gender": {`,"gender":"male"`, `{"resourceType":"Location","id":"l","name":"x","mode":"kind"}`},
			"_elements=birthDate":      {`,"birthDate":"1970-01-01"`, ``},
		} {
			_, lines := c.export(c.parameters("system", query))
			require.Len(t, lines["Patient"], 1)
			require.Equal(t, `{"resourceType":"Patient","id":"a"`+want[0]+`}`, without(lines["Patient"][0], tag))
			if want[1] != "" {
				require.Equal(t, want[1], lines["Location"][0])
				continue
			}
			require.NotContains(t, lines["Location"][0], "name")
			require.Contains(t, lines["Location"][0], tag)
		}
		c.refused(c.parameters("system", "_elements=Patient.name.family"), "_elements", "not-supported")
		c.refused(c.parameters("system", "_elements=Patent.name"), "_elements", "value")
		c.refused(c.parameters("system", "_elements=nonsense"), "_elements", "value")
		c.refused(c.parameters("system", "_elements=Patient.status"), "_elements", "value")
	})
}

// without takes a member out, wherever it stands.
func without(line, member string) string {
	return strings.Replace(strings.Replace(line, member+",", "", 1), ","+member, "", 1)
}

func TestTypeFilter(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.put(`Patient/a "gender":"male"`, `Patient/b "gender":"female"`, `Patient/c "gender":"other"`,
			`Observation/o "status":"final",`+of("a"))
		require.Equal(t, []string{"Observation/o", "Patient/b"}, c.names("system", "_typeFilter=Patient%3Fgender%3Dfemale"))
		require.Equal(t, []string{"Observation/o", "Patient/b", "Patient/c"},
			c.names("system", "_typeFilter=Patient%3Fgender%3Dfemale&_typeFilter=Patient%3Fgender%3Dother"))
		require.Equal(t, []string{"Observation/o", "Patient/a", "Patient/b"},
			c.names("system", "_typeFilter=Patient%3Fgender%3Dmale,Patient%3Fgender%3Dfemale"))
		c.refused(c.parameters("system", "_typeFilter=Patient%3Fnonsense%3D1"), "_typeFilter", "not-supported")

		p := c.parameters("system", "_typeFilter=Patient%3Fnonsense%3D1&_type=Patient&nonsense=2")
		p.Lenient = true
		_, lines := c.export(p)
		require.Len(t, lines["Patient"], 3)
		require.Len(t, lines["OperationOutcome"], 2)
		for _, line := range lines["OperationOutcome"] {
			require.Contains(t, line, `"severity":"warning"`)
			require.Contains(t, line, `"expression":["`)
		}

		p = c.parameters("system", "_typeFilter=Patient%3Fx%2500%3D1")
		p.Lenient = true
		status, _ := c.export(p)
		require.Len(t, status.Job.Request.Ignored, 1)
		require.NotContains(t, status.Job.Request.Ignored[0].Reason, "\x00", "stores need not take it")
	})
}

// searchingSource evaluates one search itself: every even resource.
type searchingSource struct {
	*memsource.Source
	asked []string
}

func (s *searchingSource) Searches(resourceType, filter string) bool {
	return resourceType == "Patient" && filter == "active=true"
}

func (s *searchingSource) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	s.asked = append(s.asked, q.Filters...)
	return func(yield func(bulkexport.Resource, error) bool) {
		for r, err := range s.Source.Resources(ctx, q) {
			if len(q.Filters) > 0 && !bytes.Contains(r.JSON, []byte(`"active":true`)) {
				continue
			}
			if !yield(r, err) {
				return
			}
		}
	}
}

func TestTypeFilterOfTheSource(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.put(`Patient/a "active":true`, `Patient/b "active":false`, `Patient/c "gender":"male"`)
		source := &searchingSource{Source: c.source}
		c.open(bulkexport.Config{Source: source, Runner: bulkexport.NewPool(1)})
		c.start()
		defer c.stopper()()
		require.Equal(t, []string{"Patient/a"}, c.names("system", "_typeFilter=Patient%3Factive%3Dtrue"))
		require.Equal(t, []string{"active=true"}, source.asked)
		// Where it cannot evaluate all, it gets none.
		require.Equal(t, []string{"Patient/a", "Patient/c"},
			c.names("system", "_typeFilter=Patient%3Factive%3Dtrue&_typeFilter=Patient%3Fgender%3Dmale"))
		require.Equal(t, []string{"active=true"}, source.asked)
	})
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	rewrite := func(_ context.Context, job bulkexport.Job, resourceType string, attachment []byte) ([]byte, error) {
		require.Equal(t, "DocumentReference", resourceType)
		return bytes.Replace(attachment, []byte(`"Binary/`), []byte(`"https://x/Binary/`), 1), nil
	}
	inClinic(t, bulkexport.Config{Attachment: rewrite}, func(t *testing.T, c *clinic) {
		c.put("Patient/a", `DocumentReference/d "content":[{"attachment":{"contentType":"text/plain","url":"Binary/b"}}]`)
		_, lines := c.export(c.parameters("system", ""))
		require.Equal(t, []string{`{"resourceType":"DocumentReference","id":"d",` +
			`"content":[{"attachment":{"contentType":"text/plain","url":"https://x/Binary/b"}}]}`}, lines["DocumentReference"])
	})
}
