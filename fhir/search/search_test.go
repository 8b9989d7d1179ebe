package search_test

import (
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/search"
)

// judgement is a resource with queries that it meets and queries that it does
// not meet. A query without type is about the type of the resource.
type judgement struct {
	resource    string
	met, missed []string
}

func judge(t *testing.T, judgements map[string]judgement) {
	t.Helper()
	for name, j := range judgements {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.True(t, json.Valid([]byte(j.resource)), j.resource)
			for _, q := range j.met {
				require.True(t, matches(t, q, j.resource), "%s should be met", q)
			}
			for _, q := range j.missed {
				require.False(t, matches(t, q, j.resource), "%s should not be met", q)
			}
		})
	}
}

func matches(t *testing.T, query, resource string) bool {
	t.Helper()
	if id, err := fhir.Identify([]byte(resource)); err == nil && !strings.Contains(query, "?") {
		query = id.Type + "?" + query
	}
	f, err := search.Compile(query, options)
	require.NoError(t, err, query)
	met, err := f.Match([]byte(resource))
	require.NoError(t, err, query)
	return met
}

func TestMatch(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"all criteria have to be met": {
			`{"resourceType":"Observation","status":"final","effectiveDateTime":"2026-02-01"}`,
			[]string{"Observation?", "status=final", "status=final&date=ge2026-01-01",
				"&status=final&", "date=ge2026&date=lt2027"},
			[]string{"status=final&date=lt2026", "status=amended&date=ge2026",
				"status=final&status=amended", "date=gt2026&date=lt2027"},
		},
		"any alternative is enough": {
			`{"resourceType":"Observation","status":"final"}`,
			[]string{"status=amended,final"},
			[]string{"status=amended,corrected"},
		},
		"another type is never met": {
			`{"resourceType":"Procedure","status":"final"}`,
			nil,
			[]string{"Observation?", "Observation?status=final", "Observation?status:not=amended"},
		},
		"the type may stand last": {
			`{"status":"final","resourceType":"Observation"}`,
			[]string{"Observation?status=final", "Observation?"},
			[]string{"Procedure?", "Observation?status=amended"},
		},
		"arrays at every step": {
			`{"resourceType":"Patient","contact":[{}],"name":[{"given":["Ann","Eve"]},{"given":["Zoe"]}],
				"communication":[{"language":{"coding":[{"code":"de"}]}},{"language":{"coding":[{"code":"fr"}]}}]}`,
			[]string{"given=zoe", "given=eve", "language=fr", "language=de&language=fr"},
			[]string{"given=ida", "language=it"},
		},
		"contained resources and extensions are not searched": {
			`{"resourceType":"Observation","status":"final","contained":[{"resourceType":"Observation","status":"amended",
				"id":"c"}],"extension":[{"url":"x","valueCode":"amended","status":"amended"}]}`,
			[]string{"status=final"},
			[]string{"status=amended", "_id=c"},
		},
		"escapes in names and values": {
			`{"resourceType":"Observ\u0061tion","st\u0061tus":"fin\u0061l","subject":{"reference":"Patient\/1"}}`,
			[]string{"status=final&subject=Patient/1"},
			[]string{"status=amended"},
		},
		"backslashes and quotes in what is passed over": {
			`{"resourceType":"Observation","x":"\\","y":"\"status\":\\\"","z":["\\\\",{"a":"}\""}],"status":"final"}`,
			[]string{"status=final"},
			[]string{"status=amended"},
		},
		"parameters of all types": {
			`{"resourceType":"Basic","id":"b-1","meta":{"lastUpdated":"2024-03-01T10:20:30.123+01:00",
				"profile":["http://x.example/p|1.0"],"source":"http://src.example/a#1",
				"security":[{"system":"http://sec.example","code":"R"}],"tag":[{"code":"t"}]}}`,
			[]string{"_id=b-1", "_lastUpdated=2024-03-01", "_lastUpdated=gt2024-02",
				"_profile=http://x.example/p", "_profile=http://x.example/p|1.0",
				"_security=http://sec.example|R", "_tag=|t", "_source=http://src.example/a%231",
				"_source:below=http://src.example"},
			[]string{"_id=B-1", "_lastUpdated=2024-03-02", "_profile=http://x.example/p|1.1",
				"_security=http://sec.example|N", "_tag=http://sec.example|t",
				"_source=http://src.example/a"},
		},
		"values of the wrong JSON type are no values": {
			`{"resourceType":"Observation","status":["final",{"x":1}],"code":"c","subject":"Patient/1",
				"effectiveDateTime":{"start":"2026"},"valueQuantity":{"value":"5"},"category":[[{"coding":[]}]]}`,
			[]string{"status=final", "code:missing=false"},
			[]string{"code=c", "subject=Patient/1", "date=2026",
				"value-quantity=5", "category=x"},
		},
	})
}

func TestMatchOfMissing(t *testing.T) {
	t.Parallel()
	judge(t, map[string]judgement{
		"a value": {
			`{"resourceType":"Observation","status":"final","valueQuantity":{"value":1},"subject":{"reference":"Group/1"}}`,
			[]string{"status:missing=false", "value-quantity:missing=false",
				"value-concept:missing=true", "subject:missing=false",
				"patient:missing=true", "date:missing=true", "value-string:missing=true"},
			[]string{"status:missing=true", "value-quantity:missing=true",
				"patient:missing=false", "date:missing=false"},
		},
		"an extension alone is no value": {
			`{"resourceType":"Observation","_status":{"extension":[{"url":"x"}]},"code":{"id":"e","extension":[{"url":"x"}]},
				"subject":{},"category":[null]}`,
			[]string{"status:missing=true", "code:missing=true",
				"subject:missing=true", "category:missing=true"},
			nil,
		},
	})
}

func TestMatchOnMalformedResources(t *testing.T) {
	t.Parallel()
	f, err := search.Compile("Observation?status=final&code=x", search.Options{})
	require.NoError(t, err)
	for _, resource := range []string{
		``, `null`, `[]`, `"x"`, `{`, `{"resourceType"`, `{"resourceType":"Observation"`,
		`{"resourceType":"Observation","code":{"coding":[`,
		`{"resourceType":"Observation" "status":"final"}`,
		`{"resourceType":"Observation","status":"\x"}`, `{"resourceType":"Observation","code":}`,
		`{"code":{"coding":[{"code":"x"`, `{1:2}`, `{"x":nul"`,
	} {
		met, err := f.Match([]byte(resource))
		require.False(t, met, resource)
		require.ErrorIs(t, err, fhir.ErrMalformed, resource)
		require.NotContains(t, err.Error(), "final")
	}
}

func TestMatchIsConcurrentAndDoesNotAllocate(t *testing.T) {
	t.Parallel()
	f,
		err := search.Compile("Observation?code=8480-6&date=ge2013&value-quantity=gt5||mg&patient=Patient/1"+
		"&code-value-quantity=http://loinc.org|8480-6$lt200", search.Options{})
	require.NoError(t, err)
	resource := []byte(`{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"http://loinc.org",
		"code":"8480-6"}]},"effectiveDateTime":"2020-01-01T10:00:00+02:00","subject":{"reference":"Patient/1"},
		"valueQuantity":{"value":107.0,"unit":"mg"}}`)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 100 {
				if met, err := f.Match(resource); !met || err != nil {
					t.Error("a concurrent match failed")
				}
			}
		})
	}
	all.Wait()
}

func TestMatchDoesNotAllocate(t *testing.T) { //nolint:paralleltest // counts the allocations of the process
	f,
		err := search.Compile("Patient?name=ann&birthdate=ge1980&identifier=1&general-practitioner=a&_id=p,q", options)
	require.NoError(t, err)
	resource := []byte(`{"resourceType":"Patient","id":"p","identifier":[{"value":"1"}],"birthDate":"1990-01-01",
		"name":[{"family":"Łoś"},{"given":["Ann"]}],"generalPractitioner":[{"reference":"Practitioner/a"}]}`)
	met, err := f.Match(resource)
	require.NoError(t, err)
	require.True(t, met)
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = f.Match(resource) }))
}

func TestFiltersAreAlternatives(t *testing.T) {
	t.Parallel()
	var filters search.Filters
	for _, q := range []string{"Observation?status=final", "Observation?code=a"} {
		f, err := search.Compile(q, search.Options{})
		require.NoError(t, err)
		filters = append(filters, f)
	}
	for resource, want := range map[string]bool{
		`{"resourceType":"Observation","status":"final"}`:                              true,
		`{"resourceType":"Observation","code":{"coding":[{"code":"a"}]}}`:              true,
		`{"resourceType":"Observation","status":"x","code":{"coding":[{"code":"b"}]}}`: false,
	} {
		met, err := filters.Match([]byte(resource))
		require.NoError(t, err)
		require.Equal(t, want, met, resource)
	}
	_, err := filters.Match([]byte(`{`))
	require.ErrorIs(t, err, fhir.ErrMalformed)
}

func TestParametersCanAllBeCompiled(t *testing.T) {
	t.Parallel()
	require.Nil(t, search.Parameters("Foo"))
	values := map[string]string{"date": "2013", "number": "1", "quantity": "1",
		"reference": "http://x.example/1"}
	total := 0
	for _, resourceType := range fhir.R4.ResourceTypes() {
		last := ""
		for _, p := range search.Parameters(resourceType) {
			require.Greater(t, p.Name, last, resourceType)
			last = p.Name
			require.True(t, strings.HasPrefix(p.Definition, "http://hl7.org/fhir/SearchParameter/"),
				p.Definition)
			if p.Type == "composite" {
				continue // what the parts want differs; the oracle has them all
			}
			value, ok := values[p.Type]
			if !ok {
				value = "true"
			}
			f, err := search.Compile(resourceType+"?"+p.Name+"="+value, search.Options{})
			require.NoError(t, err)
			require.Equal(t, resourceType, f.Type())
			total++
		}
	}
	require.Greater(t, total, 2400)
}

func TestAllParametersOfATypeAtOnce(t *testing.T) {
	t.Parallel()
	for _, resourceType := range fhir.R4.ResourceTypes() {
		var absent []string
		for _, p := range search.Parameters(resourceType) {
			if p.Type != "composite" && p.Name != "deceased" && len(absent) < 63 {
				absent = append(absent, p.Name+":missing=true")
			}
		}
		resource := `{"x":{},"resourceType":"` + resourceType + `","y":[1]}`
		require.True(t, matches(t, resourceType+"?"+strings.Join(absent, "&"), resource),
			resourceType)
		for i := range absent {
			one := slices.Clone(absent)
			one[i] = strings.Replace(one[i], "=true", "=false", 1)
			require.False(t, matches(t, resourceType+"?"+strings.Join(one, "&"), resource), one[i])
		}
	}
	_, err := search.Compile("Basic?"+strings.Repeat("&_id=1", 64), search.Options{})
	require.ErrorContains(t, err, "too many")
}
