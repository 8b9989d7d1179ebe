package fhir_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

const (
	tag       = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`
	taggedNew = `"meta":{"tag":[` + tag + `]}`
)

func project(tb testing.TB, v fhir.Version, resourceType, elements, resource string) string {
	tb.Helper()
	p, err := v.NewProjection(resourceType, strings.Fields(elements))
	require.NoError(tb, err)
	got, err := p.Append([]byte("before"), []byte(resource))
	require.NoError(tb, err)
	reduced, appended := strings.CutPrefix(string(got), "before")
	require.True(tb, appended)
	require.True(tb, json.Valid([]byte(reduced)), reduced)
	return reduced
}

func TestProjection(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ resourceType, elements, resource, want string }{
		"mandatory elements stay": {
			"Observation", "subject",
			`{"resourceType":"Observation","id":"1","status":"final","category":[{}],"code":{"text":"x"},` +
				`"subject":{"reference":"Patient/1"},"issued":"2024-01-01T00:00:00Z"}`,
			`{"resourceType":"Observation","id":"1","status":"final","code":{"text":"x"},` +
				`"subject":{"reference":"Patient/1"},` + taggedNew + `}`,
		},
		"elements that change the meaning stay": {
			"Patient", "name",
			`{"resourceType":"Patient","implicitRules":"urn:x","language":"de","text":{"status":"empty"},` +
				`"contained":[{"resourceType":"Basic"}],"extension":[{"url":"u"}],` +
				`"modifierExtension":[{"url":"m"}],"active":false,"name":[{"family":"N"}],` +
				`"gender":"female","deceasedBoolean":true,"link":[{"type":"refer"}]}`,
			`{"resourceType":"Patient","implicitRules":"urn:x","modifierExtension":[{"url":"m"}],` +
				`"active":false,"name":[{"family":"N"}],"deceasedBoolean":true,` +
				`"link":[{"type":"refer"}],` + taggedNew + `}`,
		},
		"modifiers of one type": {
			"MedicationRequest", "id",
			`{"resourceType":"MedicationRequest","doNotPerform":true,"priority":"stat",` +
				`"_status":{"extension":[]},"intent":"order","medicationReference":{"display":"x"}}`,
			`{"resourceType":"MedicationRequest","doNotPerform":true,"_status":{"extension":[]},` +
				`"intent":"order","medicationReference":{"display":"x"},` + taggedNew + `}`,
		},
		"elements of every resource stay when asked": {
			"Patient", "text extension contained language meta id",
			`{"resourceType":"Patient","language":"de","_language":{},"text":{},"contained":[],"extension":[]}`,
			`{"resourceType":"Patient","language":"de","_language":{},"text":{},"contained":[],"extension":[],` +
				taggedNew + `}`,
		},
		"extensions of primitives go with them": {
			"Patient", "birthDate",
			`{"resourceType":"Patient","_gender":{"id":"g"},"_birthDate":{"id":"b"},"gender":"male",` +
				`"birthDate":"1970"}`,
			`{"resourceType":"Patient","_birthDate":{"id":"b"},"birthDate":"1970",` + taggedNew + `}`,
		},
		"a choice": {
			"Observation", "value",
			`{"resourceType":"Observation","valueQuantity":{"value":1.10},"valueString":"s",` +
				`"_valueString":{"id":"x"},"value":1,"valueset":2,"valueFoo":3,"effectiveDateTime":"2024"}`,
			`{"resourceType":"Observation","valueQuantity":{"value":1.10},"valueString":"s",` +
				`"_valueString":{"id":"x"},` + taggedNew + `}`,
		},
		"a choice as the definitions write it": {
			"Observation", "effective[x]",
			`{"effectivePeriod":{},"valueString":"s","resourceType":"Observation"}`,
			`{"effectivePeriod":{},"resourceType":"Observation",` + taggedNew + `}`,
		},
		"one type of a choice": {
			"Observation", "valueQuantity",
			`{"resourceType":"Observation","valueQuantity":{"value":1.10},"_valueString":{"id":"x"}}`,
			`{"resourceType":"Observation","valueQuantity":{"value":1.10},` + taggedNew + `}`,
		},
		"white space and number text": {
			"Observation", "component",
			" {\n  \"issued\" : \"x\" ,\n  \"resourceType\" : \"Observation\",\n  \"id\": \"1\",\n" +
				"  \"note\": [ ],\n\t\"component\": [ {\"a\" : 1.50e+02 } ] ,\n  \"focus\": []\n}\n",
			" {\n  \"resourceType\" : \"Observation\",\n  \"id\": \"1\",\n" +
				"\t\"component\": [ {\"a\" : 1.50e+02 } ]," + taggedNew + "\n}\n",
		},
		"many members before the first that stays": {
			"Basic", "id",
			`{"a":1 , "b":{"c":[",",{}]},"d":"," ,"resourceType":"Basic","e":null}`,
			`{"resourceType":"Basic",` + taggedNew + `}`,
		},
		"escapes in names": {
			"Basic", "subject",
			`{"resourceType":"Basic","s\u0075bject":{"x":"\"}"},"\u005fauthor":{},"m\u0065ta":{}}`,
			`{"resourceType":"Basic","s\u0075bject":{"x":"\"}"},"m\u0065ta":{"tag":[` + tag + `]}}`,
		},
		"members that the type lacks": {
			"Basic", "id",
			`{"resourceType":"Basic","fhir_comments":["x"],"":1,"_":2,"__id":3,"ID":4}`,
			`{"resourceType":"Basic",` + taggedNew + `}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, tt.want, project(t, fhir.R4, tt.resourceType, tt.elements, tt.resource))
		})
	}
}

func TestProjectionTagsMeta(t *testing.T) {
	t.Parallel()
	const other = `{"system":"urn:x","code":"SUBSETTED"}`
	for in, want := range map[string]string{
		`{}`:                     `{"tag":[` + tag + `]}`,
		`{ }`:                    `{ "tag":[` + tag + `]}`,
		`{"versionId":"1"}`:      `{"versionId":"1","tag":[` + tag + `]}`,
		`{"tag":[]}`:             `{"tag":[` + tag + `]}`,
		`{"tag":[ ],"source":1}`: `{"tag":[ ` + tag + `],"source":1}`,
		`{"tag":[` + other + ` ],"lastUpdated":"2024"}`: `{"tag":[` + other + ` ,` + tag + `],"lastUpdated":"2024"}`,
		`{"tag":[1,[],` + other + `]}`:                  `{"tag":[1,[],` + other + `,` + tag + `]}`,
		`{"tag":[{"system":1,"code":[]}]}`:              `{"tag":[{"system":1,"code":[]},` + tag + `]}`,
		`{"tag":[` + tag + `]}`:                         `{"tag":[` + tag + `]}`,
		`{"tag":[` + tag + `,` + other + `]}`:           `{"tag":[` + tag + `,` + other + `]}`,
		`{"tag":[{"code":"SUBSETT\u0045D","display":"x","system":` +
			`"http:\/\/terminology.hl7.org\/CodeSystem\/v3-ObservationValue"}]}`: `{"tag":[{"code":` +
			`"SUBSETT\u0045D","display":"x","system":` +
			`"http:\/\/terminology.hl7.org\/CodeSystem\/v3-ObservationValue"}]}`,
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			require.Equal(t,
				`{"resourceType":"Basic","meta":`+want+`,"id":"1"}`,
				project(t, "", "Basic", "", `{"resourceType":"Basic","meta":`+in+`,"id":"1","created":"2024"}`),
			)
		})
	}
}

// TestProjectionOfAllTypes asks each type for each of its elements, of a
// resource that has them all.
func TestProjectionOfAllTypes(t *testing.T) {
	t.Parallel()
	for v := range suffixes {
		types := rootElements(t, v)
		require.Len(t, types, len(v.ResourceTypes()))
		for name, elements := range types {
			t.Run(string(v)+" "+name, func(t *testing.T) {
				t.Parallel()
				all := resourceOf(name, elements, func(rootElement) bool { return true })
				stays := func(e rootElement) bool { return e.flags != "" || e.name == "id" }
				require.Equal(t, resourceOf(name, elements, stays), project(t, v, name, "", all))
				for _, asked := range elements {
					if asked.name == "meta" {
						continue
					}
					want := resourceOf(name, elements, func(e rootElement) bool {
						return stays(e) || e.name == asked.name
					})
					require.Equal(t, want, project(t, v, name, asked.name, all), asked.name)
				}
			})
		}
	}
}

// resourceOf writes a resource with those elements, under all their names.
func resourceOf(name string, elements []rootElement, has func(rootElement) bool) string {
	var b strings.Builder
	b.WriteString(`{"resourceType":"` + name + `"`)
	for _, e := range elements {
		if e.name == "meta" || !has(e) {
			continue
		}
		for _, member := range e.members {
			b.WriteString(`,"` + member + `":["` + member + `",{"a":1.0}],"_` + member + `": {}`)
		}
	}
	b.WriteString(`,` + taggedNew + `}`)
	return b.String()
}

func TestNewProjectionErrors(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "patient", "Resource", "Nope", "RequestOrchestration"} {
		_, err := fhir.R4.NewProjection(name, []string{"id"})
		require.ErrorIs(t, err, fhir.ErrUnknownType)
		require.ErrorContains(t, err, name)
	}
	_, err := fhir.Version("3.0.2").NewProjection("Patient", nil)
	require.ErrorIs(t, err, fhir.ErrUnknownType)
	for _, element := range []string{"", "Name", "name.family", "Patient.name", "resourceType", "_birthDate"} {
		_, err := fhir.R4.NewProjection("Patient", []string{"name", element})
		require.ErrorIs(t, err, fhir.ErrUnknownElement)
		require.ErrorContains(t, err, "Patient."+element)
	}
}

func TestProjectionMalformed(t *testing.T) {
	t.Parallel()
	more := map[string]string{
		"another type":            `{"resourceType":"Group","id":"1"}`,
		"meta twice":              `{"resourceType":"Patient","meta":{},"meta":{}}`,
		"meta.tag twice":          `{"resourceType":"Patient","meta":{"tag":[],"tag":[]}}`,
		"meta not an object":      `{"resourceType":"Patient","meta":null}`,
		"meta.tag not an array":   `{"resourceType":"Patient","meta":{"tag":{}}}`,
		"cut in meta":             `{"resourceType":"Patient","meta":{"tag":[`,
		"cut in a tag":            `{"resourceType":"Patient","meta":{"tag":[{"system":"`,
		"cut in what goes":        `{"resourceType":"Patient","gender":"fem`,
		"cut after what goes":     `{"resourceType":"Patient","gender":"female"`,
		"cut after what stays":    `{"resourceType":"Patient","id":"1"`,
		"cut after a first comma": `{"gender":"female","resourceType":"Patient",`,
		"deep":                    `{"resourceType":"Patient","contact":` + strings.Repeat(`[`, 1_000_000),
	}
	p, err := fhir.R4.NewProjection("Patient", nil)
	require.NoError(t, err)
	for _, set := range []map[string]string{malformed, more} {
		for name, resource := range set {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				got, err := p.Append([]byte("before"), []byte(resource))
				require.ErrorIs(t, err, fhir.ErrMalformed)
				require.Equal(t, "before", string(got))
			})
		}
	}
}

func TestProjectionIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	p, err := fhir.R4.NewProjection("Observation", []string{"subject"})
	require.NoError(t, err)
	want, err := p.Append(nil, []byte(observation))
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 100 {
				got, err := p.Append(nil, []byte(observation))
				if err != nil || string(got) != string(want) {
					t.Errorf("got %s, %v", got, err)
				}
			}
		})
	}
	wg.Wait()
}

//nolint:paralleltest // allocations of others would count
func TestProjectionAllocatesNothing(t *testing.T) {
	p, err := fhir.R4.NewProjection("Observation", []string{"subject", "value"})
	require.NoError(t, err)
	resource, dst := []byte(observation), make([]byte, 0, 4096)
	require.Zero(t, testing.AllocsPerRun(100, func() { dst, err = p.Append(dst[:0], resource) }))
	require.NoError(t, err)
}

func FuzzProjection(f *testing.F) {
	for _, resource := range malformed {
		f.Add([]byte(resource))
	}
	f.Add([]byte(observation))
	f.Add([]byte(` { "id" : "1" , "meta" : { "tag" : [ ` + tag + ` , {} ] } , "resourceType" : "Observation" } `))
	f.Add([]byte(`{"note":[],"resourceType":"Observation","_status":{},"valueString":"\"","issued":1.0}`))
	p, err := fhir.R4.NewProjection("Observation", []string{"subject", "value"})
	require.NoError(f, err)
	kept := []string{"resourceType", "id", "subject", "_subject", "status", "_status", "valueString", "code"}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := p.Append(nil, data)
		if err != nil {
			require.ErrorIs(t, err, fhir.ErrMalformed)
			return
		}
		before, ok := decode(data)
		if !ok {
			return
		}
		require.True(t, json.Valid(got), "%s", got)
		require.Equal(t, max(1, subsetted(t, data)), subsetted(t, got))
		after, ok := decode(got)
		require.True(t, ok)
		require.NotContains(t, after, "issued")
		require.NotContains(t, after, "component")
		want, found := raw(t, data), raw(t, got)
		for name := range after {
			if name != "meta" {
				require.Equal(t, string(want[name]), string(found[name]))
			}
		}
		for _, name := range kept {
			require.Equal(t, before[name] != nil, after[name] != nil, name)
		}
		again, err := p.Append(nil, got)
		require.NoError(t, err)
		require.Equal(t, string(got), string(again), "nothing more to do")
	})
}

func raw(t *testing.T, data []byte) map[string]json.RawMessage {
	t.Helper()
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(data, &members))
	return members
}

// subsetted counts the tags SUBSETTED.
func subsetted(t *testing.T, data []byte) int {
	t.Helper()
	members, _ := decode(data)
	meta, _ := members["meta"].(map[string]any)
	tags, _ := meta["tag"].([]any)
	n := 0
	for _, e := range tags {
		found, _ := e.(map[string]any)
		if found["code"] == "SUBSETTED" &&
			found["system"] == "http://terminology.hl7.org/CodeSystem/v3-ObservationValue" {
			n++
		}
	}
	return n
}

// BenchmarkProjection reports beside its own figures how many times the cost
// of an Append a round trip through a map has in the same run.
func BenchmarkProjection(b *testing.B) {
	p, err := fhir.R4.NewProjection("Observation", []string{"subject", "value"})
	require.NoError(b, err)
	resource := []byte(observation)
	b.SetBytes(int64(len(resource)))
	b.ReportAllocs()
	var dst []byte
	for b.Loop() {
		if dst, err = p.Append(dst[:0], resource); err != nil {
			b.Fatal(err)
		}
	}
	own := b.Elapsed() / time.Duration(b.N)
	const rounds = 5_000
	start := time.Now()
	for range rounds {
		throughMap(b, resource)
	}
	b.ReportMetric(float64(time.Since(start)/rounds)/float64(own), "times-cheaper")
}

// throughMap does the same with a map.
func throughMap(b *testing.B, resource []byte) {
	var members, meta map[string]json.RawMessage
	require.NoError(b, json.Unmarshal(resource, &members))
	for name := range members {
		switch name {
		case "resourceType", "id", "meta", "status", "code", "subject", "valueQuantity", "valueString":
		default:
			delete(members, name)
		}
	}
	require.NoError(b, json.Unmarshal(members["meta"], &meta))
	meta["tag"] = json.RawMessage(`[` + tag + `]`)
	var err error
	members["meta"], err = json.Marshal(meta)
	require.NoError(b, err)
	_, err = json.Marshal(members)
	require.NoError(b, err)
}
