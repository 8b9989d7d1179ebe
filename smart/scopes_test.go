package smart_test

import (
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/smart"
)

func TestScopesThatAllowExports(t *testing.T) {
	t.Parallel()
	for scopes, want := range map[string][]string{
		"system/*.read":                                {"*"},
		"system/*.*":                                   {"*"},
		"system/*.rs":                                  {"*"},
		"system/*.cruds":                               {"*"},
		"system/*.crs":                                 {"*"},
		"system/*.r system/*.s":                        {"*"},
		"openid system/*.rs launch":                    {"*"},
		"system/Patient.rs system/*.rs":                {"*"},
		"system/Patient.read":                          {"Patient"},
		"system/Patient.*":                             {"Patient"},
		"system/Patient.rs":                            {"Patient"},
		"system/Patient.rus":                           {"Patient"},
		"system/Patient.r system/Patient.s":            {"Patient"},
		"system/Patient.s system/Patient.cr":           {"Patient"},
		"system/*.r system/Patient.s":                  {"Patient"},
		"system/*.s system/Patient.r system/Group.r":   {"Group", "Patient"},
		"system/Patient.rs  system/Group.read":         {"Group", "Patient"},
		"system/Patient.rs system/Patient.read":        {"Patient"},
		"system/NutritionOrder.rs system/Transport.rs": {"NutritionOrder", "Transport"}, // R5
	} {
		types := smart.ParseScopes(scopes).Types()
		if want[0] == "*" {
			assert.Nil(t, types, scopes)
		} else {
			assert.Equal(t, want, types, scopes)
		}
	}
}

// useless are scopes that allow no export, alone or with each other.
var useless = []string{
	// not enough
	"system/*.write", "system/Patient.write", "system/*.cud", "system/Patient.c", "system/Patient.d",
	"system/Patient.u", "system/Observation.r", "system/Group.s", "system/Observation.cru", "system/Group.uds",
	// with a query, which cannot be enforced
	"system/*.rs?_id=1", "system/Patient.rs?", "system/Patient.rs?_id=1", "system/Patient.read?_id=1",
	"system/Patient.r?a=b", "system/Patient.s?a=b", "system/*.s?a=b", "system/*?.rs", "system?/*.rs", "?system/*.rs",
	// of others
	"user/*.rs", "user/Patient.read", "patient/*.rs", "patient/Patient.read", "patient/*.*", "System/*.rs",
	"SYSTEM/*.rs", "systems/*.rs", "system*.rs", "/*.rs", "*.rs", "system", "system/", "openid", "fhirUser",
	"launch/patient", "offline_access",
	// malformed
	"", " ", "  ", "system/*", "system/*.", "system/.rs", "system/Patient", "system/Patient.", "system/Patientrs",
	"system/*.sr", "system/*.rss", "system/*.rrs", "system/*.rsr", "system/*.scrud", "system/*.rs.", "system/*..rs",
	"system/*.rs,system/Patient.rs", "system/*.rsx", "system/*.rw", "system/*.RS", "system/*.Read", "system/*.READ",
	"system/*.reads", "system/*.rea", "system/*.**", "system/**.rs", "system/*.rs/", "system//*.rs", "system/*/*.rs",
	"system/*.r*", "system/*.rs\t", "\tsystem/*.rs", "system/*.rs\n", "system/*.rs\x00", "system/*.rs\u00a0",
	"system/*.r\u017f", "system/\u2217.rs", "\"system/*.rs\"", "system/*.rs;", "system%2F*.rs", "system/%2A.rs",
	"system:*.rs", "system/*:rs", "system\\*.rs",
	// of no type
	"system/patient.rs", "system/PATIENT.rs", "system/Patients.rs", "system/Pat.rs", "system/Resource.rs",
	"system/DomainResource.rs", "system/all.rs", "system/Pat*.rs", "system/Patient .rs", "system/Patient,Group.rs",
}

func TestScopesThatAllowNoExport(t *testing.T) {
	t.Parallel()
	all := strings.Join(useless, " ")
	for _, scopes := range append(useless, all) {
		types := smart.ParseScopes(scopes).Types()
		require.NotNil(t, types, "%q", scopes)
		require.Empty(t, types, "%q", scopes)
	}
	for _, scopes := range useless {
		if smart.ParseScopes("system/Encounter.rs "+scopes).Types() == nil {
			require.Fail(t, "everything", "%q", scopes)
		}
	}
	require.Equal(t, []string{"Encounter"}, smart.ParseScopes(all+" system/Encounter.rs "+all).Types())
	require.NotNil(t, smart.Scopes{}.Types())
}

func TestGrant(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ requested, allowed, want string }{
		{"system/*.rs", "system/*.rs", "system/*.rs"},
		{"system/*.read", "system/*.rs", "system/*.read"},
		{"system/*.rs", "system/*.read", "system/*.rs"},
		{"system/Patient.read", "system/*.rs", "system/Patient.read"},
		{"system/*.rs", "system/Patient.rs", "system/Patient.rs"},
		{"system/*.read", "system/Patient.rs system/Group.cruds", "system/Group.read system/Patient.read"},
		{"system/*.*", "system/*.read", "system/*.read"},
		{"system/*.cruds", "system/*.read", "system/*.rs"},
		{"system/*.*", "system/*.crs", "system/*.crs"},
		{"system/Patient.*", "system/Patient.*", "system/Patient.*"},
		{"system/Patient.read", "system/Patient.r", "system/Patient.r"},
		{"system/*.rs", "system/*.r system/Patient.s", "system/*.r system/Patient.rs"},
		{"system/*.rs", "system/*.rs system/Patient.rs", "system/*.rs"},
		{"system/Patient.rs", "system/*.r system/Patient.s", "system/Patient.rs"},
		{"system/Patient.rs system/Group.rs", "system/*.rs", "system/Patient.rs system/Group.rs"},
		{"system/Patient.rs system/Group.r system/Patient.rs", "system/*.rs", "system/Patient.rs system/Group.r"},
		{"system/Patient.rs", "system/Group.rs", ""},
		{"system/Patient.write", "system/Patient.rs", ""},
		{"system/*.rs?_id=1", "system/*.rs", ""},
		{"system/*.rs", "system/*.rs?_id=1", ""},
		{"system/*.sr", "system/*.rs", ""},
		{"user/*.rs openid", "system/*.rs", ""},
		{"system/*.rs", "user/*.rs", ""},
		{"system/Nothing.rs", "system/*.rs", ""},
		{"", "system/*.rs", ""},
		{"system/*.rs", "", ""},
	} {
		assert.Equal(t, c.want, smart.Grant(c.requested, c.allowed), "%q within %q", c.requested, c.allowed)
	}
}

var scopePattern = regexp.MustCompile(`^system/(\*|[A-Z][A-Za-z]+)\.(c?r?u?d?s?|read|write|\*)$`)

// permissions is what scopes allow, read in another way: pairs like Patient.r.
func permissions(scopes string) map[string]bool {
	allowed := map[string]bool{}
	for _, text := range strings.Split(scopes, " ") {
		match := scopePattern.FindStringSubmatch(text)
		if match == nil {
			continue
		}
		spelled := map[string]string{"read": "rs", "write": "cud", "*": "cruds"}[match[2]]
		if spelled == "" {
			spelled = match[2]
		}
		for _, name := range append(fhir.R4.ResourceTypes(), fhir.R5.ResourceTypes()...) {
			for _, letter := range spelled {
				if match[1] == "*" || match[1] == name {
					allowed[name+"."+string(letter)] = true
				}
			}
		}
	}
	return allowed
}

// checkScopes compares with what permissions says.
func checkScopes(t *testing.T, requested, allowed string) {
	t.Helper()
	asked, limit := permissions(requested), permissions(allowed)
	granted := smart.Grant(requested, allowed)
	both := map[string]bool{}
	for name := range asked {
		if limit[name] {
			both[name] = true
		}
	}
	require.Equal(t, both, permissions(granted), "%q within %q: %q", requested, allowed, granted)
	require.Equal(t, granted, smart.Grant(granted, allowed), "granted once more")
	require.Equal(t, granted, smart.Grant(granted, granted), "granted by itself")

	types := smart.ParseScopes(requested).Types()
	for _, name := range fhir.R4.ResourceTypes() {
		want := asked[name+".r"] && asked[name+".s"]
		require.Equal(t, want, types == nil || slices.Contains(types, name), "%s in %q", name, requested)
	}
	require.True(t, slices.IsSorted(types))
	for _, name := range types {
		require.True(t, asked[name+".r"] && asked[name+".s"], "%s in %q", name, requested)
	}
}

func TestGrantIsWhatBothSidesHave(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() string {
		var scopes []string
		for range random.IntN(5) {
			name := []string{"*", "Patient", "Group", "Observation", "Transport", "Nothing"}[random.IntN(6)]
			permissions := []string{"read", "write", "*", "r", "s", "rs", "cr", "cruds", "uds", "cud", "sr", "", "rs?a=b"}
			scopes = append(scopes, "system/"+name+"."+permissions[random.IntN(len(permissions))])
		}
		return strings.Join(scopes, " ")
	}
	for range 500 {
		checkScopes(t, draw(), draw())
	}
}

func FuzzScopes(f *testing.F) {
	f.Add("system/*.read system/Patient.r", "system/Patient.rs system/*.s")
	f.Add("system/*.cruds user/*.rs", "system/*.r system/Group.s")
	for i, scopes := range useless {
		f.Add(scopes, useless[len(useless)-1-i])
		f.Add(scopes, "system/*.*")
		f.Add("system/*.*", scopes)
	}
	f.Fuzz(checkScopes)
}
