package bulkexport_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func target(names ...string) string {
	return `"target":[{"reference":"` + strings.Join(names, `"},{"reference":"`) + `"}]`
}

// recorded fills a clinic with Provenance of several ages.
func (c *clinic) recorded() {
	c.put("Patient/a", "Observation/a1 "+of("a"), "Observation/a2 "+of("a"), "Location/l",
		`Provenance/old "recorded":"2020-01-01T00:00:00Z",`+target("Observation/a1"),
		`Provenance/new "recorded":"2021-01-01T00:00:00Z",`+target("Observation/a1", "Observation/none"),
		`Provenance/both "recorded":"2020-06-01T00:00:00Z",`+target("Observation/a1", "Observation/a2"),
		`Provenance/location "recorded":"2020-01-01T00:00:00Z",`+target("Location/l"),
		`Provenance/none "recorded":"2020-01-01T00:00:00Z",`+target("Observation/none"))
}

func TestProvenance(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.recorded()
		data := []string{"Location/l", "Observation/a1", "Observation/a2", "Patient/a"}
		provenance := func(list []string, ids ...string) []string {
			for _, id := range ids {
				list = append(list, "Provenance/"+id)
			}
			return list
		}
		const (
			latest   = "includeAssociatedData=LatestProvenanceResources"
			relevant = "includeAssociatedData=RelevantProvenanceResources"
		)
		require.Equal(t, provenance(data, "both", "location", "new", "none", "old"), c.names("system", ""))
		require.Equal(t, provenance(data, "both", "location", "new", "old"), c.names("system", relevant))
		require.Equal(t, provenance(data, "both", "location", "new"), c.names("system", latest))
		require.Equal(t, provenance(data, "both", "location", "new", "old"), c.names("system", latest+","+
			"RelevantProvenanceResources"))
		require.Equal(t, provenance(data[1:], "both", "new", "old"), c.names("patient", ""))
		require.Equal(t, provenance(data[1:], "both", "new"), c.names("patient", latest))

		// It is added to the types asked for, and follows what really is exported.
		require.Equal(t, provenance(data[:1], "location"), c.names("system", latest+"&_type=Location"))
		require.Equal(t, provenance(data[:1], "location"), c.names("system", relevant+"&_type=Location,Provenance"))
		require.Equal(t, data[:1], c.names("system", "_type=Location"))

		// However old it is.
		since := c.put("Observation/a2 " + of("a")).Add(-time.Millisecond)
		require.Equal(t, []string{"Observation/a2", "Provenance/both"},
			c.names("system", relevant+"&_since="+since.Format(time.RFC3339Nano)))
	})
}

func TestProvenanceFollowsFilters(t *testing.T) {
	t.Parallel()
	cfg := bulkexport.Config{BaseURLs: []string{"https://here/fhir"}}
	inClinic(t, cfg, func(t *testing.T, c *clinic) {
		c.put(`Patient/a "gender":"male"`, `Patient/b "gender":"female"`,
			"Provenance/a "+target("https://here/fhir/Patient/a"), "Provenance/b "+target("Patient/b"),
			"Provenance/c "+target("https://there/fhir/Patient/a"))
		require.Equal(t, []string{"Patient/a", "Provenance/a"}, c.names("system",
			"includeAssociatedData=RelevantProvenanceResources&_typeFilter=Patient%3Fgender%3Dmale"))
	})
}

func TestProvenanceNeedsAccess(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		narrow := alice
		narrow.Types = []string{"Patient"}
		_, err := c.exporter.KickOff(t.Context(), narrow, bulkexport.ExportRequest{
			Level: bulkexport.LevelSystem, Associated: []string{bulkexport.RelevantProvenance},
		})
		require.ErrorIs(t, err, bulkexport.ErrForbidden)
	})
}

// everywhere is a source whose data belong to every population.
type everywhere struct{ *memsource.Source }

func (s everywhere) Types(ctx context.Context, _ bulkexport.Scope) ([]string, error) {
	return s.Source.Types(ctx, bulkexport.Scope{Tenant: "north", Level: bulkexport.LevelSystem})
}

func (s everywhere) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	q.Level = bulkexport.LevelSystem
	return s.Source.Resources(ctx, q)
}

func TestAssociatedDataOfTheHost(t *testing.T) {
	t.Parallel()
	staff := memsource.New(memsource.Config{Now: func() time.Time { return time.Unix(0, 0) }})
	for i := range 3 {
		_, err := staff.Put("north", fmt.Appendf(nil, `{"resourceType":"Practitioner","id":"%d"}`, i))
		require.NoError(t, err)
	}
	cfg := bulkexport.Config{AssociatedData: map[string]bulkexport.ResourceSource{"_staff": everywhere{staff}}}
	inClinic(t, cfg, func(t *testing.T, c *clinic) {
		c.put("Patient/a")
		require.Equal(t, []string{"Patient/a"}, c.names("system", ""))
		require.Equal(t, []string{"Patient/a", "Practitioner/0", "Practitioner/1", "Practitioner/2"},
			c.names("system", "includeAssociatedData=_staff"))
		require.Len(t, c.names("patient", "includeAssociatedData=_staff"), 4, "also from outside the compartment")
		require.Equal(t, []string{"Patient/a"}, c.names("system", "includeAssociatedData=_staff&_type=Patient"))
		c.refused(c.parameters("system", "includeAssociatedData=_nope"), "includeAssociatedData", "not-supported")
	})
}

// TestAssociatedDataOfThePopulation: a source that cannot tell members of a
// Group or single patients must not be asked for theirs.
func TestAssociatedDataOfThePopulation(t *testing.T) {
	t.Parallel()
	cfg := bulkexport.Config{AssociatedData: map[string]bulkexport.ResourceSource{
		"_more": newListSource(map[string]int{"Observation": 1}),
	}}
	inClinic(t, cfg, func(t *testing.T, c *clinic) {
		c.ward()
		const more = "includeAssociatedData=_more"
		require.Contains(t, c.names("patient", more), "Observation/Observation-0")
		for level, query := range map[string]string{"group/ward": "", "patient": "&patient=Patient/a"} {
			p := c.parameters(level, more+query)
			c.refused(p, "includeAssociatedData", "not-supported")
			p.Lenient = true
			_, lines := c.export(p)
			require.NotContains(t, namesOf(lines), "Observation/Observation-0")
			require.Len(t, lines["OperationOutcome"], 1)
		}
	})
}

// TestDeletedProvenance: an export that had it as associated data needs to be
// told when it is gone.
func TestDeletedProvenance(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		c.put("Patient/a", "Provenance/p "+target("Patient/a"))
		const relevant = "includeAssociatedData=RelevantProvenanceResources"
		first, lines := c.export(c.parameters("system", relevant+"&_type=Patient"))
		require.Len(t, lines["Provenance"], 1)
		pass(time.Second)
		c.delete("Provenance/p")
		since := "&_since=" + first.Job.TransactionTime.Format(time.RFC3339Nano)
		status, lines := c.export(c.parameters("system", relevant+"&_type=Patient"+since))
		require.Equal(t, []string{"Provenance/p"}, deleted(t, lines["Bundle"]))

		narrow := alice
		narrow.Types = []string{"Patient"}
		_, err := c.exporter.OpenFile(t.Context(), narrow, status.Job.ID, "deleted.ndjson")
		require.ErrorIs(t, err, bulkexport.ErrForbidden)
	})
}

// shortSource looks up a hundred resources at once, and no more.
type shortSource struct{ *memsource.Source }

func (s shortSource) Lookup(
	ctx context.Context, q bulkexport.Query, ids []string,
) iter.Seq2[bulkexport.Resource, error] {
	if len(ids) > 100 {
		return func(yield func(bulkexport.Resource, error) bool) {
			yield(bulkexport.Resource{}, errors.New("too many"))
		}
	}
	return s.Source.Lookup(ctx, q, ids)
}

func TestProvenanceOfManyTargets(t *testing.T) {
	t.Parallel()
	inClinic(t, bulkexport.Config{}, func(t *testing.T, c *clinic) {
		var names []string
		for i := range 250 {
			names = append(names, fmt.Sprintf("Patient/none%d", i))
		}
		c.put("Patient/a", "Provenance/p "+target(append(names, "Patient/a")...), "Provenance/none "+target(names...))
		c.open(bulkexport.Config{Source: shortSource{c.source}, MaxAttempts: 2})
		c.start()
		defer c.stopper()()
		require.Equal(t, []string{"Patient/a", "Provenance/p"},
			c.names("system", "includeAssociatedData=RelevantProvenanceResources"))
	})
}
