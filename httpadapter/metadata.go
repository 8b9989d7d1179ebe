package httpadapter

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/search"
)

// What Bulk Data Access names by URL. Versions are left out: those of the
// published definitions contradict each other.
const (
	guideURL              = "http://hl7.org/fhir/uv/bulkdata/"
	capabilityURL         = guideURL + "CapabilityStatement/bulk-data"
	definitionURL         = guideURL + "OperationDefinition/"
	operationNotSupported = guideURL + "StructureDefinition/operation-not-supported"
)

// metadata are resources that describe an exporter, as JSON.
type metadata struct {
	statement  []byte
	operations map[string][]byte // by their ids
}

// newMetadata describes what an exporter can do below a FHIR base.
func newMetadata(can bulkexport.Capabilities, fhirBase string) metadata {
	m := metadata{
		statement:  marshal(capabilityStatement(can, fhirBase)),
		operations: map[string][]byte{},
	}
	for _, level := range can.Levels {
		definition := operationDefinition(can, level, fhirBase)
		m.operations[definition.ID] = marshal(definition)
	}
	return m
}

// marshal returns the JSON of what can be marshalled.
func marshal(v any) []byte {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
	return text.Bytes()
}

// CapabilityStatement returns the CapabilityStatement of a server that has
// nothing but the exports, as JSON. A host with one of its own adds to that what
// stands here in instantiates, rest.operation and rest.resource, there to the
// resource of the same type. It says what the exporter can really do: levels,
// types, and the search parameters that _typeFilter takes. The caller owns it.
func (h *Handler) CapabilityStatement() []byte { return bytes.Clone(h.metadata.statement) }

// OperationDefinitions returns the OperationDefinition of each level that the
// exporter offers, as JSON, by its id: export, patient-export, group-export. Each
// has only the parameters that the exporter supports, and is based on the one of
// Bulk Data Access, which the CapabilityStatement names. The caller owns it.
func (h *Handler) OperationDefinitions() map[string][]byte {
	definitions := map[string][]byte{}
	for id, definition := range h.metadata.operations {
		definitions[id] = bytes.Clone(definition)
	}
	return definitions
}

// Metadata answers with the CapabilityStatement. It asks for no token: clients
// read it to learn where to get one.
func (h *Handler) Metadata(w http.ResponseWriter, _ *http.Request) {
	writeResource(w, h.metadata.statement)
}

// OperationDefinition answers with an OperationDefinition. It asks for no token,
// and needs the path value "id".
func (h *Handler) OperationDefinition(w http.ResponseWriter, r *http.Request) {
	definition, ok := h.metadata.operations[r.PathValue("id")]
	if !ok {
		h.notFound(w, r)
		return
	}
	writeResource(w, definition)
}

func writeResource(w http.ResponseWriter, resource []byte) {
	protect(w)
	w.Header().Set("Content-Type", "application/fhir+json")
	_, _ = w.Write(resource) // the client may be gone
}

// statement is a CapabilityStatement.
type statement struct {
	ResourceType   string         `json:"resourceType"`
	Status         string         `json:"status"`
	Date           time.Time      `json:"date"`
	Kind           string         `json:"kind"`
	Instantiates   []string       `json:"instantiates"`
	Software       software       `json:"software"`
	Implementation implementation `json:"implementation"`
	FHIRVersion    string         `json:"fhirVersion"`
	Format         []string       `json:"format"`
	Rest           []rest         `json:"rest"`
}

type software struct {
	Name string `json:"name"`
}

type implementation struct {
	Description string `json:"description"`
	URL         string `json:"url"`
}

type rest struct {
	Mode      string         `json:"mode"`
	Resource  []restResource `json:"resource"`
	Operation []operation    `json:"operation,omitempty"`
}

type restResource struct {
	Extension   []canonicalExtension `json:"extension,omitempty"`
	Type        string               `json:"type"`
	SearchParam []searchParam        `json:"searchParam,omitempty"`
	Operation   []operation          `json:"operation,omitempty"`
}

type canonicalExtension struct {
	URL   string `json:"url"`
	Value string `json:"valueCanonical"`
}

type searchParam struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
	Type       string `json:"type"`
}

type operation struct {
	Name       string `json:"name"`
	Definition string `json:"definition"`
}

func capabilityStatement(can bulkexport.Capabilities, fhirBase string) statement {
	server := rest{Mode: "server"}
	types := can.Types
	for _, level := range can.Levels {
		if owner := ownerOf(level); owner == "" {
			server.Operation = operationsOf(level)
		} else if !slices.Contains(types, owner) {
			types = append(slices.Clone(types), owner)
		}
	}
	slices.Sort(types)
	for _, name := range types {
		server.Resource = append(server.Resource, describeType(can, name))
	}
	return statement{
		ResourceType: "CapabilityStatement", Status: "active", Date: time.Now().UTC().Truncate(time.Second),
		Kind: "instance", Instantiates: []string{capabilityURL},
		Software:       software{"bulkexport"},
		Implementation: implementation{"Bulk Data export", fhirBase},
		FHIRVersion:    string(cmp.Or(can.FHIRVersion, fhir.R4)), Format: []string{"application/fhir+json"},
		Rest: []rest{server},
	}
}

func describeType(can bulkexport.Capabilities, name string) restResource {
	described := restResource{Type: name}
	exported := slices.Contains(can.Types, name)
	if !exported {
		// It is there for an operation on it only.
		described.Extension = []canonicalExtension{{operationNotSupported, capabilityURL}}
	}
	for _, level := range can.Levels {
		switch {
		case ownerOf(level) == name:
			described.Operation = operationsOf(level)
		case exported && level != bulkexport.LevelSystem && !can.FHIRVersion.IsPatientCompartmentType(name):
			unsupported := canonicalExtension{operationNotSupported, definitionURL + definitionID(level)}
			described.Extension = append(described.Extension, unsupported)
		}
	}
	if exported && can.Searchable {
		for _, p := range search.Parameters(name) {
			described.SearchParam = append(described.SearchParam, searchParam{p.Name, p.Definition, p.Type})
		}
	}
	return described
}

// ownerOf returns the type that the operation of a level is one of; empty for
// the whole system.
func ownerOf(level bulkexport.Level) string {
	switch level {
	case bulkexport.LevelPatient:
		return "Patient"
	case bulkexport.LevelGroup:
		return "Group"
	default:
		return ""
	}
}

// definitionID is the id of the OperationDefinition in the guide.
func definitionID(level bulkexport.Level) string {
	if level == bulkexport.LevelSystem {
		return "export"
	}
	return string(level) + "-export"
}

// operationsOf returns the operation of a level: under the name that the guide
// has for it, and under that of STU2, which some clients look for.
func operationsOf(level bulkexport.Level) []operation {
	definition := definitionURL + definitionID(level)
	operations := []operation{{"export", definition}}
	if level != bulkexport.LevelSystem {
		operations = append(operations, operation{definitionID(level), definition})
	}
	return operations
}
