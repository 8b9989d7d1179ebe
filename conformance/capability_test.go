package conformance_test

import (
	"encoding/json"
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir/search"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func capabilityChecks() []check {
	return []check{
		{
			title: "the CapabilityStatement instantiates the guide's, and can be read without a token",
			ids:   ids("C-01", "R-25", "T-40"), run: checkInstantiates,
		},
		{
			title: "it lists the operation of each level, under both names",
			ids:   ids("C-02", "C-03", "C-04", "C-05", "K-04", "R-25", "T-40"), run: checkOperations,
		},
		{
			title: "it lists the types that are exported, and what _typeFilter takes",
			ids:   ids("C-06", "C-07"), run: checkResources,
		},
		{
			title: "types that a level cannot export carry operation-not-supported",
			ids:   ids("C-08", "T-17"), run: checkNotSupported,
		},
		{
			title: "what the source cannot do is neither listed nor accepted",
			ids:   ids("C-02", "P-62", "P-75", "P-92", "P-110", "W-44"), run: checkBareSource,
		},
		{
			title: "levels, parameters and their values are documented by OperationDefinitions, choices on this page",
			ids:   ids("C-09", "P-23", "P-47"), run: checkDocumented,
		},
	}
}

// capabilities is a CapabilityStatement.
type capabilities struct {
	ResourceType string
	Instantiates []string
	FHIRVersion  string
	Rest         []struct {
		Mode      string
		Operation []operation
		Resource  []restResource
	}
}

type restResource struct {
	Type        string
	Extension   []struct{ URL, ValueCanonical string }
	SearchParam []struct{ Name, Type, Definition string }
	Operation   []operation
}

type operation struct{ Name, Definition string }

const guide = "http://hl7.org/fhir/uv/bulkdata/"

func (k *server) capabilities() capabilities {
	k.Helper()
	a := k.get("/metadata")
	require.Equal(k, http.StatusOK, a.status)
	require.Equal(k, "application/fhir+json", a.header.Get("Content-Type"))
	var c capabilities
	require.NoError(k, json.Unmarshal(a.body, &c))
	require.Equal(k, "CapabilityStatement", c.ResourceType)
	require.Len(k, c.Rest, 1)
	return c
}

// resource is what is said of a type; nil if nothing is.
func (c capabilities) resource(name string) *restResource {
	i := slices.IndexFunc(c.Rest[0].Resource, func(r restResource) bool { return r.Type == name })
	if i < 0 {
		return nil
	}
	return &c.Rest[0].Resource[i]
}

func checkInstantiates(t *testing.T) {
	k := start(t, setup{secure: true})
	c := k.capabilities()
	require.Contains(t, c.Instantiates, guide+"CapabilityStatement/bulk-data")
	require.Equal(t, "4.0.1", c.FHIRVersion)
	require.Equal(t, "server", c.Rest[0].Mode)
}

func checkOperations(t *testing.T) {
	k := start(t, setup{data: ward()})
	c := k.capabilities()
	named := func(names []string, definition string) []operation {
		var list []operation
		for _, name := range names {
			list = append(list, operation{name, guide + "OperationDefinition/" + definition})
		}
		return list
	}
	require.Equal(t, named([]string{"export"}, "export"), c.Rest[0].Operation)
	for resourceType, definition := range map[string]string{"Patient": "patient-export", "Group": "group-export"} {
		require.ElementsMatch(t, named([]string{"export", definition}, definition), c.resource(resourceType).Operation)
	}
	for _, target := range []string{"/$export", "/Patient/$export", "/Group/ward/$export"} {
		k.kickOff(target)
	}
}

func checkResources(t *testing.T) {
	k := start(t, setup{core: bulkexport.Config{ResourceTypes: []string{"Patient", "Observation", "ValueSet"}}})
	c := k.capabilities()
	for _, r := range c.Rest[0].Resource {
		if r.Type == "Group" {
			continue // it is there for its operation
		}
		require.Contains(t, []string{"Patient", "Observation", "ValueSet"}, r.Type)
		require.Len(t, r.SearchParam, len(search.Parameters(r.Type)))
		k.kickOff("/$export?_type=" + r.Type)
	}
	for _, parameter := range c.resource("Patient").SearchParam {
		require.NotEmpty(t, parameter.Type)
		require.NotEmpty(t, parameter.Definition)
		if parameter.Name == "gender" {
			k.kickOff("/$export?_typeFilter=Patient%3Fgender%3Dmale")
			return
		}
	}
	require.Fail(t, "gender is not listed")
}

func checkNotSupported(t *testing.T) {
	k := start(t, setup{})
	c := k.capabilities()
	require.Empty(t, c.resource("Observation").Extension)
	var canonicals []string
	for _, e := range c.resource("ValueSet").Extension {
		require.Equal(t, guide+"StructureDefinition/operation-not-supported", e.URL)
		canonicals = append(canonicals, e.ValueCanonical)
	}
	require.ElementsMatch(t, canonicals,
		[]string{guide + "OperationDefinition/patient-export", guide + "OperationDefinition/group-export"})
}

// bareSource has no abilities.
type bareSource struct{ bulkexport.ResourceSource }

func checkBareSource(t *testing.T) {
	source := memsource.New(memsource.Config{})
	for _, resource := range []string{`Patient/a "gender":"male"`, `Patient/b "gender":"female"`} {
		_, err := source.Put("", resourceOf(resource))
		require.NoError(t, err)
	}
	k := start(t, setup{core: bulkexport.Config{Source: bareSource{source}}})
	require.Equal(t, []string{"Patient/b"}, k.filtered("", "Patient?gender=female"), "judged in memory")
	if group := k.capabilities().resource("Group"); group != nil {
		require.Empty(t, group.Operation)
	}
	k.fails(k.get("/Group/ward/$export"), http.StatusNotFound)
	k.refused(k.get("/$export?"+organized), 400, "organizeOutputBy")
	k.refused(k.get("/$export?"+latest), 400, "includeAssociatedData")
	k.refused(k.post("/Patient/$export", parametersOf(parameter("patient", "Reference", "Patient/a"))), 400, "patient")
	definition := string(k.get("/OperationDefinition/patient-export").body)
	for _, name := range []string{"organizeOutputBy", "includeAssociatedData", `"patient"`} {
		require.NotContains(t, definition, name)
	}
	require.Contains(t, definition, `"_since"`)
}

func checkDocumented(t *testing.T) {
	k := start(t, setup{})
	for id, want := range map[string][]string{
		"export": {"_outputFormat", "_since", "_until", "_type", "_elements", "includeAssociatedData", "_typeFilter",
			"organizeOutputBy", "allowPartialManifests"},
		"patient-export": {"patient", "_since", "LatestProvenanceResources"},
		"group-export":   {"patient", "_since", "LatestProvenanceResources"},
	} {
		definition := k.get("/OperationDefinition/" + id)
		require.Equal(t, http.StatusOK, definition.status)
		require.Equal(t, "OperationDefinition", k.object(definition.body)["resourceType"])
		for _, text := range want {
			require.Contains(t, string(definition.body), `"`+text, id)
		}
	}
	page, err := os.ReadFile(documentFile)
	require.NoError(t, err)
	for _, decision := range []string{"T-07", "T-08", "T-10"} {
		require.Contains(t, string(page), "| "+decision+" |")
	}
}
