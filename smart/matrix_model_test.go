package smart_test

import (
	"fmt"
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
