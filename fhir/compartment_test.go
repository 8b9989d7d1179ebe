package fhir_test

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

type row struct {
	Param, Path string
	Targets     []string
}

// suffixes are those of the files that the tables are generated from.
var suffixes = map[fhir.Version]string{fhir.R4: "r4", fhir.R5: "r5"}

func definition(tb testing.TB, v fhir.Version) map[string][]row {
	tb.Helper()
	data, err := os.ReadFile("internal/gen/patient-compartment-" + suffixes[v] + ".json")
	require.NoError(tb, err)
	var rows map[string][]row
	require.NoError(tb, json.Unmarshal(data, &rows))
	require.Greater(tb, len(rows), 60)
	return rows
}

// nest puts a reference under a dotted path, each step written by format.
func nest(path, format, reference string) string {
	value := fmt.Sprintf(format, `{"display":"x","reference":"`+reference+`"}`)
	steps := strings.Split(path, ".")
	for i := len(steps) - 1; i > 0; i-- {
		value = fmt.Sprintf(format, `{"id":"e","`+steps[i]+`":`+value+`}`)
	}
	return `"` + steps[0] + `":` + value
}

func patientIDs(t *testing.T, resource string, baseURLs ...string) []string {
	t.Helper()
	require.True(t, json.Valid([]byte(resource)), resource)
	ids, err := fhir.R4.AppendPatientIDs(nil, []byte(resource), baseURLs...)
	require.NoError(t, err)
	return ids
}

func TestAppendPatientIDsFollowsEveryPathOfTheDefinition(t *testing.T) {
	t.Parallel()
	for v := range suffixes {
		for name, rows := range definition(t, v) {
			for _, r := range rows {
				if r.Path == "" {
					continue // the resource itself
				}
				t.Run(string(v)+" "+name+"."+r.Path, func(t *testing.T) {
					t.Parallel()
					ids := func(format, reference string) []string {
						resource := `{` + nest(r.Path, format, reference) + `,"resourceType":"` + name + `"}`
						require.True(t, json.Valid([]byte(resource)), resource)
						ids, err := v.AppendPatientIDs(nil, []byte(resource))
						require.NoError(t, err)
						return ids
					}
					require.Equal(t, []string{"p1"}, ids(`%s`, "Patient/p1"))
					require.Equal(t, []string{"p1"}, ids(`[{},null,%s,[],1]`, "Patient/p1"))
					require.Empty(t, ids(`%s`, "Practitioner/p1"))
					require.Empty(t, ids(`{"other":%s}`, "Patient/p1"))
					require.Empty(t, ids(`[[%s]]`, "Patient/p1"), "FHIR has no such arrays")
				})
			}
		}
	}
}

func TestAppendPatientIDs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		resource string
		want     []string
	}{
		"a Patient is in its own compartment": {
			`{"resourceType":"Patient","id":"b"}`, []string{"b"},
		},
		"and in that of the patients it links to": {
			`{"resourceType":"Patient","id":"b","link":[{"other":{"reference":"Patient/c"}},
				{"other":{"reference":"RelatedPerson/x"}},{"other":{"reference":"Patient/a"}}]}`,
			[]string{"a", "b", "c"},
		},
		"a Patient without id": {`{"resourceType":"Patient"}`, nil},
		"each once": {
			`{"resourceType":"Observation","subject":{"reference":"Patient/a"},
				"performer":[{"reference":"Patient/b"},{"reference":"Patient/a"},
				{"reference":"Patient/a/_history/2"}]}`,
			[]string{"a", "b"},
		},
		"members of a Group": {
			`{"resourceType":"Group","id":"g","member":[{"entity":{"reference":"Patient/a"}},
				{"entity":{"reference":"Practitioner/x"}},{"entity":{"reference":"Patient/b"}}]}`,
			[]string{"a", "b"},
		},
		"SupplyRequest by deliverTo alone": {
			`{"resourceType":"SupplyRequest","requester":{"reference":"Patient/a"},
				"deliverTo":{"reference":"Patient/b"}}`,
			[]string{"b"},
		},
		"EnrollmentRequest by candidate": {
			`{"resourceType":"EnrollmentRequest","candidate":{"reference":"Patient/a"}}`, []string{"a"},
		},
		"RequestGroup by its top level actions": {
			`{"resourceType":"RequestGroup","action":[{"participant":[{"reference":"Patient/a"}],
				"action":[{"participant":[{"reference":"Patient/b"}]}]}]}`,
			[]string{"a"},
		},
		"Provenance by its target, not its agent": {
			`{"resourceType":"Provenance","target":[{"reference":"Patient/a"}],
				"agent":[{"who":{"reference":"Patient/b"}}]}`,
			[]string{"a"},
		},
		"escapes": {
			`{"resourceType":"Observation","s\u0075bject":{"refer\u0065nce":"Patient\/\u0061"}}`,
			[]string{"a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, patientIDs(t, tt.resource))
		})
	}
}

func TestAppendPatientIDsOutside(t *testing.T) {
	t.Parallel()
	for name, resource := range map[string]string{
		"Task is outside":   `{"resourceType":"Task","for":{"reference":"Patient/a"}}`,
		"Device is outside": `{"resourceType":"Device","patient":{"reference":"Patient/a"}}`,
		"an unknown type":   `{"resourceType":"Transport","subject":{"reference":"Patient/a"}}`,
		"contained resources do not count": `{"resourceType":"Observation",
				"contained":[{"resourceType":"Observation","subject":{"reference":"Patient/a"}}],
				"extension":[{"subject":{"reference":"Patient/b"}}]}`,
		"a subject that is not a reference": `{"resourceType":"Observation","subject":"Patient/a"}`,
		"a reference that is not a string": `{"resourceType":"Observation",
				"subject":{"reference":{"reference":"Patient/a"}}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, patientIDs(t, resource))
		})
	}
}

func TestAppendPatientIDsReferenceForms(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 64)
	tests := map[string]string{
		"Patient/a":                                     "a",
		"Patient/" + long:                               long,
		"Patient/a/_history/3":                          "a",
		"https://ehr.example/fhir/Patient/a":            "a",
		"https://ehr.example/fhir/Patient/a/_history/3": "a",
		"http://old.example:8080/Patient/a":             "a",
		"https://ehr.example/fhir/r4/Patient/a":         "a",

		"":                                    "",
		"Patient/":                            "",
		"Patient/a/":                          "",
		"Patient/a/_history":                  "",
		"Patient/a/_history/":                 "",
		"Patient/a/_history/1/2":              "",
		"Patient/a/Observation/b":             "",
		"Patient/a b":                         "",
		"Patient/a#x":                         "",
		"Patient/" + long + "x":               "",
		"Patient?identifier=a":                "",
		"patient/a":                           "",
		"/Patient/a":                          "",
		"PatientX/a":                          "",
		"#a":                                  "",
		"#Patient/a":                          "",
		"urn:uuid:Patient/a":                  "",
		"https://ehr.example/fhirPatient/a":   "",
		"https://ehr.example/fhir//Patient/a": "",
		"https://ehr.example/fhir2/Patient/a": "",
		"https://ehr.example/Patient/a":       "",
		"https://elsewhere.example/Patient/a": "",
		"https://ehr.example/fhir/Person/a":   "",
	}
	for reference, want := range tests {
		t.Run(reference, func(t *testing.T) {
			t.Parallel()
			resource := `{"resourceType":"Flag","subject":{"reference":"` + reference + `"}}`
			got := patientIDs(t, resource,
				"https://ehr.example/fhir", "http://old.example:8080/", "https://ehr.example/fhir/r4")
			require.Equal(t, want, strings.Join(got, " "))
			if strings.Contains(reference, "://") {
				require.Empty(t, patientIDs(t, resource), "absolute without own bases")
			}
		})
	}
}

func TestAppendPatientIDsAppends(t *testing.T) {
	t.Parallel()
	resource := []byte(`{"resourceType":"Flag","subject":{"reference":"Patient/a"}}`)
	dst := make([]string, 0, 4)
	for range 2 {
		var err error
		dst, err = fhir.R4.AppendPatientIDs(dst, resource)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"a", "a"}, dst, "what was there before is not compared")
}

func TestAppendPatientIDsMalformed(t *testing.T) {
	t.Parallel()
	more := map[string]string{
		"cut after the type":      `{"resourceType":"Observation"`,
		"cut in a reference":      `{"resourceType":"Observation","subject":{"reference":"Patient/a`,
		"cut in an array":         `{"resourceType":"Flag","subject":[{"reference":"Patient/a"},`,
		"Patient with numeric id": `{"resourceType":"Patient","id":1}`,
	}
	for _, set := range []map[string]string{malformed, more} {
		for name, resource := range set {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				got, err := fhir.R4.AppendPatientIDs([]string{"before"}, []byte(resource))
				require.ErrorIs(t, err, fhir.ErrMalformed)
				require.Equal(t, []string{"before"}, got)
			})
		}
	}
}

func TestAppendPatientIDsHugeGroup(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(`{"resourceType":"Group","member":[{}`)
	for i := range 40_000 {
		fmt.Fprintf(&b, `,{"entity":{"reference":"Patient/p%d"}}`, i%20_000)
	}
	b.WriteString(`]}`)
	require.Len(t, patientIDs(t, b.String()), 20_000)
}

func FuzzAppendPatientIDs(f *testing.F) {
	rows := definition(f, fhir.R4)
	for _, resource := range malformed {
		f.Add([]byte(resource))
	}
	f.Add([]byte(observation))
	f.Add([]byte(`{"resourceType":"Patient","id":"a","link":[{"other":{"reference":"Patient/b"}}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ids, err := fhir.R4.AppendPatientIDs(nil, data)
		if err != nil {
			require.ErrorIs(t, err, fhir.ErrMalformed)
			require.Empty(t, ids)
			return
		}
		for i, id := range ids {
			require.True(t, fhir.ValidID(id))
			require.True(t, i == 0 || ids[i-1] < id, "sorted, each once")
		}
		members, ok := decode(data)
		if !ok {
			return
		}
		name, _ := members["resourceType"].(string)
		for _, r := range rows[name] {
			for _, reference := range references(members, strings.Split(r.Path+".reference", ".")) {
				if id, ok := strings.CutPrefix(reference, "Patient/"); ok && fhir.ValidID(id) {
					require.Contains(t, ids, id)
				}
			}
		}
	})
}

// references finds what fhir should find, in decoded values.
func references(value any, path []string) []string {
	var found []string
	switch v := value.(type) {
	case string:
		if len(path) == 0 {
			found = append(found, v)
		}
	case map[string]any:
		if len(path) > 0 {
			found = references(v[path[0]], path[1:])
		}
	case []any:
		for _, e := range v {
			if _, nested := e.([]any); !nested {
				found = append(found, references(e, path)...)
			}
		}
	}
	return found
}

func BenchmarkAppendPatientIDs(b *testing.B) {
	resource := []byte(observation)
	b.SetBytes(int64(len(resource)))
	b.ReportAllocs()
	var ids []string
	for b.Loop() {
		var err error
		if ids, err = fhir.R4.AppendPatientIDs(ids[:0], resource); err != nil || len(ids) != 1 {
			b.Fatal(ids, err)
		}
	}
}
