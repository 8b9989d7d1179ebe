package smart_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/bulkexport/bulkexport"
)

// The matrix is every token against every endpoint of every export. What must come of
// each is said here, without a look at what the library does.

// population is how many resources of each type a tenant has. Two types are those of
// one tenant only, and no number is that of the other tenant too, but that of Groups.
var population = map[string]map[string]int{
	"north": {"Group": 1, "Immunization": 5, "Observation": 7, "Organization": 2, "Patient": 3},
	"south": {"Flag": 9, "Group": 1, "Observation": 6, "Organization": 8, "Patient": 4},
}

// dataTypes are all types of all tenants.
var dataTypes = []string{"Flag", "Group", "Immunization", "Observation", "Organization", "Patient"}

// fileResources is how many resources a file has, at most.
const fileResources = 5

// record returns a resource. All of a tenant have its canary, and are about its first
// patient.
func record(tenant, resourceType string, n int) string {
	first := "canary-" + tenant + "-patient-1"
	id := fmt.Sprintf("canary-%s-%s-%d", tenant, strings.ToLower(resourceType), n)
	about := ""
	switch resourceType {
	case "Group":
		id = "group-" + tenant
		about = `,"type":"person","actual":true,"member":[{"entity":{"reference":"Patient/` + first + `"}}]`
	case "Immunization":
		about = `,"patient":{"reference":"Patient/` + first + `"}`
	case "Flag", "Observation":
		about = `,"subject":{"reference":"Patient/` + first + `"}`
	}
	return `{"resourceType":"` + resourceType + `","id":"` + id + `","language":"canary-` + tenant + `"` + about + `}`
}

// records are all resources of a type, as files have them.
func records(tenant, resourceType string) []string {
	var all []string
	for n := range population[tenant][resourceType] {
		all = append(all, record(tenant, resourceType, n+1))
	}
	return all
}

// owners are those who export: two clients of one tenant, and one of the same name in
// the other.
var owners = []bulkexport.Caller{
	{Tenant: "north", Client: "alice"}, {Tenant: "north", Client: "bob"}, {Tenant: "south", Client: "alice"},
}

// scopeSet is what a token has, and the types that this allows: nil are all.
type scopeSet struct {
	scope string
	types []string
}

var scopeSets = []scopeSet{
	{"system/*.rs", nil},
	{"system/*.read", nil},
	{"system/Patient.rs", []string{"Patient"}},
	{"system/Patient.read system/Observation.rs", []string{"Observation", "Patient"}},
	{"system/Patient.rs system/Group.rs", []string{"Group", "Patient"}},
	{"system/Group.rs", []string{"Group"}},
	{"system/Observation.rs", []string{"Observation"}},
	{"system/Patient.rs system/Observation.r system/*.cud", []string{"Patient"}},
	{"", []string{}},
	{"system/*.cud", []string{}},
	{"system/Observation.rs?category=x", []string{}},
	{"system/*.r", []string{}},
	{"user/*.rs", []string{}},
	{"system/*.sr system/.rs system/**.rs", []string{}},
	{"openid launch", []string{}},
}

// bearer is who sends a request. A token that is not valid is nobody's.
type bearer struct {
	scopeSet
	caller bulkexport.Caller
	valid  bool
	token  string
}

func (b bearer) String() string {
	if !b.valid {
		return b.scope
	}
	return fmt.Sprintf("%s/%s with %q", b.caller.Tenant, b.caller.Client, b.scope)
}

func (b bearer) may(types ...string) bool {
	return b.types == nil ||
		!slices.ContainsFunc(types, func(name string) bool { return !slices.Contains(b.types, name) })
}

func bearerOf(caller bulkexport.Caller, set scopeSet) bearer {
	token := scoped(set.scope, "client_id", caller.Client, "tenant", caller.Tenant)
	return bearer{set, caller, true, token}
}

// bearers are all who send requests.
func bearers() []bearer {
	var all []bearer
	for _, owner := range owners {
		for _, set := range scopeSets {
			all = append(all, bearerOf(owner, set))
		}
	}
	noTenant := bearer{scopeSets[0], bulkexport.Caller{Client: "alice"}, true, signed(claims())}
	all = append(all, noTenant)
	with := func(members ...any) string { // verified each time, and so by what is quick
		return sign(jose.ES256, "p256", p256Key(), claims(append([]any{"tenant", "north"}, members...)...))
	}
	for name, token := range map[string]string{
		"no token":             "",
		"an expired token":     with("exp", time.Now().Unix()-60),
		"an unknown issuer":    with("iss", "https://evil.example"),
		"another audience":     with("aud", "https://other.example"),
		"a key of nobody":      sign(jose.ES384, "ec", newECKey(p384Key().Curve), claims("tenant", "north")),
		"a tenant of no name":  with("tenant", ""),
		"a tenant of no claim": with("tenant", 7),
	} {
		all = append(all, bearer{scopeSet: scopeSet{scope: name}, token: token})
	}
	return all
}

// export is a job of the matrix.
type export struct {
	name  string
	id    string
	owner bulkexport.Caller
	state bulkexport.JobState
	types []string // nil: all
	paged bool
	extra []string // files besides those of resources
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

// files are those of resources: lines by the name of the file. A type that has several
// is split evenly.
func (e export) files() map[string][]string {
	files := map[string][]string{}
	for _, name := range e.exported() {
		all, number := records(e.owner.Tenant, name), 0
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

// kickOffAsk is a kick-off request.
type kickOffAsk struct {
	method, path, body string
	types              []string // asked for
	group, patient     string   // whose tenant is the last five letters
}

func kickOffAsks() []kickOffAsk {
	post := func(name, value string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"` + name + `",` + value + `}]}`
	}
	get := http.MethodGet
	asks := []kickOffAsk{
		{method: get, path: "/fhir/$export"},
		{method: get, path: "/fhir/$export?_type=Patient", types: []string{"Patient"}},
		{method: get, path: "/fhir/$export?_type=Patient,Observation", types: []string{"Observation", "Patient"}},
		{method: get, path: "/fhir/$export?_type=Flag", types: []string{"Flag"}},
		{method: get, path: "/fhir/$export?_type=Group", types: []string{"Group"}},
		{method: get, path: "/fhir/Patient/$export"},
		{method: get, path: "/fhir/Patient/$export?_type=Observation", types: []string{"Observation"}},
		{method: http.MethodPost, path: "/fhir/$export", body: post("_type", `"valueString":"Patient"`),
			types: []string{"Patient"}},
		{method: http.MethodPost, path: "/fhir/Patient/$export", body: post("_type", `"valueString":"Immunization"`),
			types: []string{"Immunization"}},
	}
	for _, tenant := range []string{"never", "north", "south"} { // the first is of nobody
		group, patient := "group-"+tenant, "canary-"+tenant+"-patient-1"
		asks = append(asks,
			kickOffAsk{method: get, path: "/fhir/Group/" + group + "/$export", group: tenant},
			kickOffAsk{method: get, path: "/fhir/Group/" + group + "/$export?_type=Patient", group: tenant,
				types: []string{"Patient"}},
			kickOffAsk{method: http.MethodPost, path: "/fhir/Patient/$export", patient: tenant,
				body: post("patient", `"valueReference":{"reference":"Patient/`+patient+`"}`)})
	}
	return asks
}

// whose returns the tenant that a request is about, if it names one.
func (a kickOffAsk) whose() string { return a.group + a.patient }

// answerTo is the status of the answer, and the types of the export if there is one.
func (a kickOffAsk) answerTo(b bearer) (status int, types []string) {
	types = a.types
	if types == nil {
		types = b.types
	}
	switch {
	case !b.valid:
		return http.StatusUnauthorized, nil
	case b.types != nil && len(b.types) == 0, a.group != "" && !b.may("Group"), !b.may(a.types...):
		return http.StatusForbidden, nil
	case a.group != "" && a.group != b.caller.Tenant:
		return http.StatusNotFound, nil
	case a.patient != "" && a.patient != b.caller.Tenant:
		return http.StatusBadRequest, nil
	}
	return http.StatusAccepted, types
}
