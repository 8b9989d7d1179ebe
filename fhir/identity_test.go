package fhir_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	moment := time.Date(2024, 2, 29, 23, 30, 0, 123_000_000, time.UTC)
	tests := map[string]struct {
		resource string
		want     fhir.Identity
	}{
		"usual order": {
			`{"resourceType":"Patient","id":"p1",` +
				`"meta":{"versionId":"1","lastUpdated":"2024-02-29T23:30:00.123Z"}}`,
			fhir.Identity{Type: "Patient", ID: "p1", LastUpdated: moment},
		},
		"any order, white space, offset": {
			"\n { \"contained\" : [ {\"resourceType\":\"Group\",\"id\":\"x\"} ] ,\t" +
				"\"meta\" : {\"tag\":[{}],\r\n\"lastUpdated\" : \"2024-03-01T00:30:00.123+01:00\" } " +
				`, "id" : "p1" , "resourceType" : "Patient" } `,
			fhir.Identity{Type: "Patient", ID: "p1", LastUpdated: moment},
		},
		"escapes in names and values": {
			`{"\u0072esourceType":"\u0050atient","i\u0064":"p\u0031","text":{"div":"\"},{\\"}}`,
			fhir.Identity{Type: "Patient", ID: "p1"},
		},
		"type alone": {`{"resourceType":"Basic"}`, fhir.Identity{Type: "Basic"}},
		"type that R4 lacks": {
			`{"resourceType":"Transport","id":"1"}`, fhir.Identity{Type: "Transport", ID: "1"},
		},
		"meta without instant": {`{"resourceType":"Basic","meta":{}}`, fhir.Identity{Type: "Basic"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := fhir.Identify([]byte(tt.resource))
			require.NoError(t, err)
			require.Equal(t, tt.want, got)
		})
	}
}

// malformed is input that no function may take for a resource.
var malformed = map[string]string{
	"empty":                  ``,
	"white space":            " \n",
	"null":                   `null`,
	"array":                  `[{"resourceType":"Patient"}]`,
	"string":                 `"Patient"`,
	"no type":                `{"id":"1"}`,
	"empty type":             `{"resourceType":"","id":"1"}`,
	"type not a string":      `{"resourceType":7,"id":"1"}`,
	"cut in a name":          `{"resou`,
	"cut before the value":   `{"resourceType":`,
	"cut in the value":       `{"resourceType":"Pat`,
	"cut in an escape":       `{"resourceType":"Patient\`,
	"cut in a nested object": `{"text":{"div":[{}`,
	"name not a string":      `{resourceType:"Patient"}`,
	"no colon":               `{"resourceType" "Patient"}`,
	"no comma":               `{"active":true "resourceType":"Patient"}`,
	"no value":               `{"active":,"resourceType":"Patient"}`,
	"bad escape":             `{"resourceType":"\x50atient"}`,
	"bad literal":            `{"active":?,"resourceType":"Patient"}`,
}

func TestIdentifyMalformed(t *testing.T) {
	t.Parallel()
	more := map[string]string{
		"id not a string":          `{"resourceType":"Patient","id":1}`,
		"meta not an object":       `{"resourceType":"Patient","id":"1","meta":[]}`,
		"lastUpdated not a string": `{"resourceType":"Patient","id":"1","meta":{"lastUpdated":1}}`,
		"lastUpdated a date":       `{"resourceType":"Basic","meta":{"lastUpdated":"2024-01-01"}}`,
		"cut after the id":         `{"resourceType":"Patient","id":"1"`,
	}
	for _, set := range []map[string]string{malformed, more} {
		for name, resource := range set {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				got, err := fhir.Identify([]byte(resource))
				require.ErrorIs(t, err, fhir.ErrMalformed)
				require.Zero(t, got)
			})
		}
	}
}

func TestErrorsQuoteNoContent(t *testing.T) {
	t.Parallel()
	_, err := fhir.Identify([]byte(`{"resourceType":"Basic","meta":{"lastUpdated":"secret"}}`))
	require.Error(t, err)
	require.NotContains(t, err.Error(), "secret")
}

func TestIdentifyDeepNesting(t *testing.T) {
	t.Parallel()
	deep := strings.Repeat(`[`, 2_000_000)
	_, err := fhir.Identify([]byte(`{"extension":` + deep))
	require.ErrorIs(t, err, fhir.ErrMalformed)
	_, err = fhir.R4.AppendPatientIDs(nil, []byte(`{"resourceType":"Basic","subject":`+deep))
	require.ErrorIs(t, err, fhir.ErrMalformed)
}

func FuzzIdentify(f *testing.F) {
	for _, resource := range malformed {
		f.Add([]byte(resource))
	}
	f.Add([]byte(observation))
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := fhir.Identify(data)
		if err != nil {
			require.ErrorIs(t, err, fhir.ErrMalformed)
			return
		}
		members, ok := decode(data)
		if !ok || !utf8.Valid(data) {
			return
		}
		require.Equal(t, members["resourceType"], got.Type)
		if id, ok := members["id"]; ok {
			require.Equal(t, id, got.ID)
		}
	})
}

// decode returns the members of an object; not ok means that it is not valid
// JSON, or names a member twice, where readers may differ.
func decode(data []byte) (map[string]any, bool) {
	if !json.Valid(data) {
		return nil, false
	}
	members := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(data))
	for _, _ = d.Token(); d.More(); {
		token, _ := d.Token()
		name, isName := token.(string)
		if _, twice := members[name]; twice || !isName {
			return nil, false
		}
		var value any
		if d.Decode(&value) != nil {
			return nil, false
		}
		members[name] = value
	}
	return members, true
}

func BenchmarkIdentify(b *testing.B) {
	resource := []byte(observation)
	b.SetBytes(int64(len(resource)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fhir.Identify(resource); err != nil {
			b.Fatal(err)
		}
	}
}

// observation is of a common size: about 2 KB.
const observation = `{"resourceType":"Observation","id":"3ab4f8a2-6c1e-4d8e-9d2b-6a1f0c7e5b90",` +
	`"meta":{"versionId":"3","lastUpdated":"2024-03-01T10:20:30.123+01:00",` +
	`"profile":["http://hl7.org/fhir/StructureDefinition/bp",` +
	`"http://hl7.org/fhir/StructureDefinition/vitalsigns"]},"text":{"status":"generated",` +
	`"div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p><b>Blood pressure systolic and dia` +
	`stolic</b></p><p>120 over 80 mm[Hg], sitting, left arm, after five minutes of rest</p></` +
	`div>"},` +
	`"identifier":[{"system":"urn:ietf:rfc:3986",` +
	`"value":"urn:uuid:187e0c12-8dd2-67e2-99b2-bf273c878281"}],"status":"final",` +
	`"category":[{"coding":[{"system":"http:` +
	`//terminology.hl7.org/CodeSystem/observation-category",` +
	`"code":"vital-signs","display":"Vital Signs"}]}],` +
	`"code":{"coding":[{"system":"http://loinc.org","code":"85354-9",` +
	`"display":"Blood pressure panel with all children optional"}],` +
	`"text":"Blood pressure systemic and diastolic"},` +
	`"subject":{"reference":"Patient/c3f1a5d0-1d7e-4a55-8d3b-2f0e9a7b6c11",` +
	`"display":"A Patient"},` +
	`"encounter":{"reference":"Encounter/5fe62cd5-bfcf-4d3b-a1e9-80d6f75d6f82"},` +
	`"effectiveDateTime":"2024-03-01T10:15:00+01:00",` +
	`"issued":"2024-03-01T10:20:30.123+01:00",` +
	`"performer":[{"reference":"Practitioner/f001"},{"reference":"Organization/o1"}],` +
	`"bodySite":{"coding":[{"system":"http://snomed.info/sct","code":"368209003",` +
	`"display":"Right arm"}]},` +
	`"component":[{"code":{"coding":[{"system":"http://loinc.org","code":"8480-6",` +
	`"display":"Systolic blood pressure"}]},"valueQuantity":{"value":120.0,` +
	`"unit":"mm[Hg]","system":"http://unitsofmeasure.org","code":"mm[Hg]"},` +
	`"interpretation":[{"coding":[{"system":"http:` +
	`//terminology.hl7.org/CodeSystem/v3-ObservationInterpretation",` +
	`"code":"N","display":"Normal"}]}]},{"code":{"coding":[{"system":"http://loinc.org",` +
	`"code":"8462-4","display":"Diastolic blood pressure"}]},` +
	`"valueQuantity":{"value":80.0,"unit":"mm[Hg]","system":"http://unitsofmeasure.org",` +
	`"code":"mm[Hg]"}}]}`
