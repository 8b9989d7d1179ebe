package bulkexport

import (
	"fmt"
	"strings"
	"time"
)

// Level is the export level: which population a kick-off asks for.
type Level string

const (
	// LevelSystem exports every resource, patient-related or not.
	LevelSystem Level = "system"
	// LevelPatient exports every Patient and what the Patient compartment ties
	// to one.
	LevelPatient Level = "patient"
	// LevelGroup exports one Group, the Patients that are its members, and what
	// the Patient compartment ties to one of them.
	LevelGroup Level = "group"
)

// Caller is who makes a request, as the host's authorization found out.
type Caller struct {
	// Tenant is the partition of the host's data. Empty where there is but one.
	Tenant string
	// Client is the client within the tenant. Jobs belong to it.
	Client string
}

// Access is a caller together with what it may export.
type Access struct {
	Caller
	// Types, if not nil, are the only resource types that the caller may export.
	// A kick-off that names another one is refused ([ErrForbidden]); one that
	// names none is narrowed to these. An empty slice that is not nil allows
	// nothing. A Group export needs Group to be among them, and the parameter patient
	// needs Patient, since its answer tells which there are.
	Types []string
}

// allows reports whether the caller may export the type.
func (a Access) allows(resourceType string) bool {
	if a.Types == nil {
		return true
	}
	for _, name := range a.Types {
		if name == resourceType {
			return true
		}
	}
	return false
}

// ExportRequest is a kick-off request: what to export, in normal form. Make one
// with [ParseRequest] or fill it by hand; [Exporter.KickOff] checks it. Its JSON
// form is stored with the job.
type ExportRequest struct {
	// URL is the full kick-off URL as the client used it. It is given back in
	// the manifest ("request").
	URL string `json:"url"`
	// Level is the export level, Group the id of the Group at LevelGroup.
	Level Level  `json:"level"`
	Group string `json:"group,omitempty"`
	// Types are the resource types asked for (_type), sorted, each once; nil
	// means all.
	Types []string `json:"types,omitempty"`
	// Since and Until, if not zero, select resources last updated strictly later
	// and strictly earlier (_since, _until).
	Since time.Time `json:"since,omitzero"`
	Until time.Time `json:"until,omitzero"`
	// Elements are the root elements to keep (_elements), as "element" or
	// "Type.element"; nil keeps all.
	Elements []string `json:"elements,omitempty"`
	// Patients limits the Patient and Group levels (patient).
	Patients PatientSet `json:"patients,omitzero"`
	// Associated are the values of includeAssociatedData, sorted, each once.
	Associated []string `json:"associated,omitempty"`
	// TypeFilters are FHIR searches (_typeFilter), such as
	// "Observation?status=final". Of a type that has some, only resources that
	// match one of them are exported.
	TypeFilters []string `json:"typeFilters,omitempty"`
	// OrganizeBy is the type by whose instances files are organized
	// (organizeOutputBy); empty means that each file has one type.
	OrganizeBy string `json:"organizeBy,omitempty"`
	// AllowPartial allows manifests of several pages, the first of them while the
	// export runs (allowPartialManifests).
	AllowPartial bool `json:"allowPartial,omitempty"`

	// Lenient has what cannot be honoured ignored instead of refused (Prefer:
	// handling=lenient). Each such parameter is added to Ignored and reported in
	// an error file (Bulk Data Access, "Query Parameters").
	Lenient bool               `json:"lenient,omitempty"`
	Ignored []IgnoredParameter `json:"ignored,omitempty"`
	// SeparateStatus has the status of the job told apart from that of the
	// status request (Prefer: separate-export-status).
	SeparateStatus bool `json:"separateStatus,omitempty"`
}

// IgnoredParameter is a parameter, or a value of one, that a lenient kick-off
// does without. Its fields are those of [RequestError].
type IgnoredParameter struct {
	Parameter string `json:"parameter"`
	Code      string `json:"code"`
	Reason    string `json:"reason"`
}

// The values of includeAssociatedData that the guide defines. A server's own
// begin with "_", see [Config].
const (
	// LatestProvenance adds the most recent Provenance of each exported resource.
	LatestProvenance = "LatestProvenanceResources"
	// RelevantProvenance adds all Provenance of each exported resource.
	RelevantProvenance = "RelevantProvenanceResources"
)

// The names of the kick-off parameters (Bulk Data Access, "Query Parameters").
const (
	paramType         = "_type"
	paramSince        = "_since"
	paramUntil        = "_until"
	paramOutputFormat = "_outputFormat"
	paramElements     = "_elements"
	paramPatient      = "patient"
	paramAssociated   = "includeAssociatedData"
	paramTypeFilter   = "_typeFilter"
	paramOrganizeBy   = "organizeOutputBy"
	paramAllowPartial = "allowPartialManifests"
	paramFormat       = "_format"
	paramPretty       = "_pretty"
)

// quote makes a client's text fit to be repeated in an error message.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(s, "\uFFFD"))
}
