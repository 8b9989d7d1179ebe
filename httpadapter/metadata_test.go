package httpadapter_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/httpadapter"
)

const guide = "http://hl7.org/fhir/uv/bulkdata/"

// capabilities is a CapabilityStatement as clients read it.
type capabilities struct {
	ResourceType string
	FHIRVersion  string
	Instantiates []string
	Rest         []struct {
		Operation []namedDefinition
		Resource  []struct {
			Type        string
			Extension   []struct{ URL, ValueCanonical string }
			SearchParam []struct{ Name, Type, Definition string }
			Operation   []namedDefinition
		}
	}
}

type namedDefinition struct{ Name, Definition string }

// operationDefinition is an OperationDefinition as clients read it.
type operationDefinition struct {
	ResourceType, URL, Code, Base string
	System, Type, Instance        bool
	Parameter                     []struct{ Name, Type, Max string }
}

func (k *kit) capabilities() capabilities {
	k.Helper()
	res := k.get("/fhir/metadata")
	require.Equal(k, http.StatusOK, res.status)
	require.Equal(k, "application/fhir+json", res.header.Get("Content-Type"))
	require.Equal(k, res.body, k.handler.CapabilityStatement())
	var found capabilities
	require.NoError(k, json.Unmarshal(res.body, &found))
	return found
}

// TestGoldenMetadata has few types, for people to read.
func TestGoldenMetadata(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{
		core: bulkexport.Config{
			Source: wards(t, ""), ResourceTypes: []string{"Patient", "Slot"},
			AssociatedData: map[string]bulkexport.ResourceSource{"_notes": wards(t, "")},
		},
		http: httpadapter.Config{Authorize: authorize},
	})
	k.golden("metadata", k.get("/fhir/metadata"))
	for _, id := range []string{"export", "patient-export", "group-export"} {
		k.golden("metadata-"+id, k.get("/fhir/OperationDefinition/"+id))
	}
	require.Empty(t, k.do("HEAD", "/fhir/metadata").body)
}

func TestMetadata(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{Source: wards(t, "")}})
	found := k.capabilities()
	require.Equal(t, "CapabilityStatement", found.ResourceType)
	require.Equal(t, []string{guide + "CapabilityStatement/bulk-data"}, found.Instantiates)
	require.Equal(t, "4.0.1", found.FHIRVersion)
	server := found.Rest[0]
	require.Equal(t, []namedDefinition{{"export", guide + "OperationDefinition/export"}}, server.Operation)
	var types []string
	for _, resource := range server.Resource {
		types = append(types, resource.Type)
		inside := fhir.R4.IsPatientCompartmentType(resource.Type)
		require.Equal(t, inside, len(resource.Extension) == 0, resource.Type)
		require.NotEmpty(t, resource.SearchParam)
		for _, param := range resource.SearchParam {
			require.NotEmpty(t, param.Type)
			require.True(t, strings.HasPrefix(param.Definition, "http://hl7.org/fhir/SearchParameter/"))
		}
		switch resource.Type {
		case "Patient", "Group":
			name := strings.ToLower(resource.Type) + "-export"
			definition := guide + "OperationDefinition/" + name
			require.Equal(t, []namedDefinition{{"export", definition}, {name, definition}}, resource.Operation)
		default:
			require.Empty(t, resource.Operation)
		}
	}
	require.Equal(t, fhir.R4.ResourceTypes(), types)
}

// TestMetadataIsTrue tries what is said: each parameter that is named can be
// used, and each other one is refused.
func TestMetadataIsTrue(t *testing.T) {
	t.Parallel()
	values := map[string]string{
		"_outputFormat": "ndjson", "_since": "2026-01-01T00:00:00Z", "_until": "2026-02-01T00:00:00Z",
		"_type": "Patient", "_elements": "id", "patient": "Patient/p1", "_typeFilter": "Patient?active=true",
		"includeAssociatedData": "RelevantProvenanceResources", "organizeOutputBy": "Patient",
		"allowPartialManifests": "true",
	}
	paths := map[string]string{
		"export": "/fhir/$export", "patient-export": "/fhir/Patient/$export", "group-export": "/fhir/Group/ward/$export",
	}
	for name, config := range map[string]bulkexport.Config{
		"all abilities": {Source: wards(t, "")},
		"none":          {Source: plainSource{wards(t, "")}},
		"R5":            {Source: wards(t, ""), FHIRVersion: fhir.R5},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, setup{core: config})
			definitions := k.handler.OperationDefinitions()
			for id, path := range paths {
				if definitions[id] == nil {
					require.Equal(t, http.StatusNotFound, k.get(path).status)
					require.Equal(t, http.StatusNotFound, k.get("/fhir/OperationDefinition/"+id).status)
					continue
				}
				var definition operationDefinition
				require.NoError(t, json.Unmarshal(definitions[id], &definition))
				require.Equal(t, guide+"OperationDefinition/"+id, definition.Base)
				require.Equal(t, k.base+"/fhir/OperationDefinition/"+id, definition.URL)
				require.Equal(t, definitions[id], k.get(k.path(definition.URL)).body)
				named := map[string]bool{}
				for _, parameter := range definition.Parameter {
					named[parameter.Name] = true
				}
				for parameter, value := range values {
					res := k.do("POST", path+"?"+parameter+"="+url.QueryEscape(value))
					require.Equal(t, named[parameter], res.status == http.StatusAccepted, "%s: %s", parameter, res.body)
				}
				require.Len(t, named, len(definition.Parameter))
			}
		})
	}
}

// TestMetadataOfFewTypes has an operation on a type that is not exported.
func TestMetadataOfFewTypes(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{
		Source: plainSource{wards(t, "")}, ResourceTypes: []string{"Observation"}, FHIRVersion: fhir.R5,
	}})
	found := k.capabilities()
	require.Equal(t, "5.0.0", found.FHIRVersion)
	resources := found.Rest[0].Resource
	require.Len(t, resources, 2)
	require.Equal(t, "Observation", resources[0].Type)
	require.Empty(t, resources[0].SearchParam, "searches are those of R4")
	require.Equal(t, "Patient", resources[1].Type)
	require.Len(t, resources[1].Operation, 2)
	require.Equal(t, guide+"StructureDefinition/operation-not-supported", resources[1].Extension[0].URL)
}

// TestMetadataIsLent has a host change what it was given.
func TestMetadataIsLent(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	clear(k.handler.CapabilityStatement())
	clear(k.handler.OperationDefinitions()["export"])
	clear(k.handler.OperationDefinitions())
	k.capabilities()
	require.True(t, json.Valid(k.handler.OperationDefinitions()["export"]))
}

// countingOrganizer counts how often it is asked what it can do.
type countingOrganizer struct {
	fullSource
	asked *int
}

// fullSource is a source that can be asked for blocks.
type fullSource interface {
	bulkexport.ResourceSource
	bulkexport.SourceOrganizer
}

func (s countingOrganizer) OrganizesBy(name string) bool {
	*s.asked++
	return s.fullSource.OrganizesBy(name)
}

func TestMetadataIsMadeOnce(t *testing.T) {
	t.Parallel()
	asked := 0
	k := newKit(t, setup{core: bulkexport.Config{Source: countingOrganizer{wards(t, ""), &asked}}})
	once := asked
	for range 3 {
		k.capabilities()
	}
	require.Equal(t, once, asked)
}

// TestMetadataStaysTheHosts mounts the metadata where the host wants it.
func TestMetadataStaysTheHosts(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{
		http: httpadapter.Config{Authorize: func(*http.Request) (bulkexport.Access, error) {
			return bulkexport.Access{}, context.DeadlineExceeded
		}},
		mount: func(h *httpadapter.Handler) http.Handler {
			mux := http.NewServeMux()
			for _, pattern := range h.Patterns() {
				mux.Handle(pattern, h)
			}
			mux.HandleFunc("GET /r4/metadata", h.Metadata)
			return mux
		},
	})
	require.Equal(t, http.StatusNotFound, k.get("/fhir/metadata").status)
	require.Equal(t, k.handler.CapabilityStatement(), k.get("/r4/metadata").body)
}
