package smart_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport"
)

// export is a job of the matrix.
type export struct {
	name  string
	id    string
	owner bulkexport.Caller
	state bulkexport.JobState
	types []string // nil: all
	paged bool
	// member says that it is of the Group of the first patient.
	member bool
	extra  []string // files besides those of resources
	// path and scope are those of its kick-off.
	path, scope string
}

// exportKinds are the exports that each owner has.
var exportKinds = []export{
	{name: "all", state: bulkexport.JobCompleted, path: "/fhir/$export", scope: "system/*.rs"},
	{name: "pages", state: bulkexport.JobCompleted, paged: true,
		path: "/fhir/$export?allowPartialManifests=true", scope: "system/*.read"},
	{name: "narrowed", state: bulkexport.JobCompleted, types: []string{"Observation", "Patient"},
		path: "/fhir/$export", scope: "system/Patient.rs system/Observation.rs"},
	{name: "extra files", state: bulkexport.JobCompleted, types: []string{"Patient"},
		extra: []string{"deleted.ndjson", "errors.ndjson"},
		path:  "/fhir/$export?_type=Patient&_since=2000-01-01T00:00:00Z&_typo=x", scope: "system/*.rs"},
	{name: "failed", state: bulkexport.JobFailed, types: []string{"Patient"},
		path: "/fhir/$export?_type=Patient&_outputFormat=application/ndjson", scope: "system/*.rs"},
	{name: "deleted", state: bulkexport.JobDeleted, types: []string{"Patient"},
		path: "/fhir/$export?_type=Patient", scope: "system/*.rs"},
	{name: "running", state: bulkexport.JobRunning, types: []string{"Patient"},
		path: "/fhir/$export?_type=Patient&_outputFormat=ndjson", scope: "system/*.rs"},
	{name: "accepted", state: bulkexport.JobAccepted, path: "/fhir/$export", scope: "system/*.rs"},
}

// exported are the types that an export may have.
func (e export) exported() []string {
	if e.types == nil {
		return dataTypes
	}
	return e.types
}

// records are the resources of a type that an export has.
func (e export) records(name string) []string {
	all := records(e.owner.Tenant, name)
	switch {
	case e.member && name == "Organization":
		return nil
	case e.member && name == "Patient":
		return all[:1]
	}
	return all
}

// files are those of resources: lines by the name of the file. A type that has several
// is split evenly.
func (e export) files() map[string][]string {
	files := map[string][]string{}
	for _, name := range e.exported() {
		all, number := e.records(name), 0
		several := max((len(all)+fileResources-1)/fileResources, 1)
		for lines := range slices.Chunk(all, max((len(all)+several-1)/several, 1)) {
			if number++; number == 1 {
				files[name+".ndjson"] = lines
			} else {
				files[fmt.Sprintf("%s_%05d.ndjson", name, number)] = lines
			}
		}
	}
	return files
}

// fileNames are all that files of any export have, and some that none has.
func fileNames() []string {
	var names []string
	for _, name := range dataTypes {
		names = append(names, name+".ndjson")
	}
	return append(names, "Flag_00002.ndjson", "Observation_00002.ndjson", "Organization_00002.ndjson",
		"deleted.ndjson", "errors.ndjson", "blocks.ndjson", "Patient_00009.ndjson", "Nothing.ndjson")
}

// jobEndpoints are what can be asked of an export: a method and a path behind that of
// the status.
func jobEndpoints() [][2]string {
	endpoints := [][2]string{
		{http.MethodGet, ""}, {http.MethodHead, ""}, {http.MethodGet, "?page=2"}, {http.MethodGet, "?page=99"},
		{http.MethodDelete, ""},
	}
	for _, name := range fileNames() {
		endpoints = append(endpoints, [2]string{http.MethodGet, "/" + name})
	}
	return append(endpoints, [2]string{http.MethodHead, "/Patient.ndjson"})
}

// sees reports whether an export is there, for a bearer.
func (e export) sees(b bearer) bool {
	return b.valid && b.caller == e.owner && e.state != bulkexport.JobDeleted
}

// answerTo is the status of the answer to a bearer that asks something of an export.
func (e export) answerTo(b bearer, method, rest string) int {
	name, file := strings.CutPrefix(rest, "/")
	all := b.types == nil || e.types != nil && b.may(e.types...)
	switch {
	case !b.valid:
		return http.StatusUnauthorized
	case !e.sees(b):
		return http.StatusNotFound
	case file:
		return e.answerToFile(b, name, all)
	case !all:
		return http.StatusForbidden
	case method == http.MethodDelete:
		return http.StatusNoContent
	case e.state == bulkexport.JobFailed:
		return http.StatusInternalServerError
	case rest == "?page=99", rest == "?page=2" && !e.paged:
		return http.StatusNotFound
	case e.state == bulkexport.JobCompleted:
		return http.StatusOK
	}
	return http.StatusAccepted
}

func (e export) answerToFile(b bearer, name string, all bool) int {
	typeName, _, _ := strings.Cut(strings.TrimSuffix(name, ".ndjson"), "_")
	completed := e.state == bulkexport.JobCompleted
	switch {
	case completed && b.may(typeName) && e.files()[name] != nil,
		completed && all && slices.Contains(e.extra, name):
		return http.StatusOK
	case !all:
		return http.StatusForbidden
	}
	return http.StatusNotFound
}
