package bulkexport_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
)

func TestReadParameters(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]url.Values{
		`{"resourceType":"Parameters"}`:                  {},
		`{"resourceType":"Parameters","parameter":[]}`:   {},
		`{"resourceType":"Parameters","parameter":null}`: {},
		`{"resourceType":"Parameters","id":"x","parameter":[
			{"name":"_type","valueString":"Patient,Observation"},{"name":"_type","valueCode":"Condition"}]}`: {
			"_type": {"Patient,Observation", "Condition"}},
		`{"resourceType":"Parameters","parameter":[{"name":"_since","valueInstant":"2026-03-01T00:00:00Z"},
			{"name":"_until","valueDateTime":"2026-04-01T00:00:00+02:00"}]}`: {
			"_since": {"2026-03-01T00:00:00Z"}, "_until": {"2026-04-01T00:00:00+02:00"}},
		`{"resourceType":"Parameters","parameter":[{"name":"allowPartialManifests","valueBoolean":true},
			{"name":"includeAssociatedData","valueCoding":{"system":"x","code":"_y"}},
			{"name":"patient","valueReference":{"reference":"Patient/a","display":"A"}}]}`: {
			"allowPartialManifests": {"true"}, "includeAssociatedData": {"_y"}, "patient": {"Patient/a"}},
		`{"resourceType":"Parameters","parameter":[{"name":"_typeFilter",
			"valueString":"Observation?status=final&date=ge2026-01-01T00:00:00+02:00"}]}`: {
			"_typeFilter": {"Observation?status=final&date=ge2026-01-01T00:00:00+02:00"}},
	} {
		got, err := bulkexport.ReadParameters([]byte(body))
		require.NoError(t, err, body)
		require.Equal(t, want, got)
	}
}

func TestReadParametersRefuses(t *testing.T) {
	t.Parallel()
	parameters := func(list string) string { return `{"resourceType":"Parameters","parameter":[` + list + `]}` }
	for body, parameter := range map[string]string{
		"":                             "body",
		"[]":                           "body",
		`{"resourceType":"Patient"}`:   "body",
		`{"resourceType":"Parameters"`: "body",
		parameters(`{"valueString":"` + secret + `"}`): "body",
		parameters(`{"name":1,"valueString":"x"}`):     "body",
		// What others would read as no list at all, or as another one.
		`{"resourceType":"Parameters","parameter":[{"name":"patient"}],"parameter":[]}`: "body",
		`{"resourceType":"Parameters","parameter":{}}`:                                  "body",
		parameters(`null`): "body",
		parameters(`{"name":"_type","valueString":"a","valueString":"b"}`):                  "body",
		parameters(`{"name":"_type","name":"_since","valueString":"a"}`):                    "body",
		parameters(`{"name":"patient","valueReference":{"reference":"a","reference":"b"}}`): "patient",
		parameters(`{"name":"patient","valueReference":{"REFERENCE":"Patient/a"}}`):         "patient",
		parameters(`{"Name":"patient","valueReference":{"reference":"Patient/a"}}`):         "body",
		parameters(`{"name":"_type"}`):                                                      "_type",
		parameters(`{"name":"_type","resource":{"resourceType":"Patient"}}`):                "_type",
		parameters(`{"name":"_type","part":[{"name":"x"}]}`):                                "_type",
		parameters(`{"name":"_type","valueString":null}`):                                   "_type",
		parameters(`{"name":"_type","valueString":["` + secret + `"]}`):                     "_type",
		parameters(`{"name":"_type","valueString":"a","valueCode":"b"}`):                    "_type",
		parameters(`{"name":"_type","valueInteger":1}`):                                     "_type",
		parameters(`{"name":"patient","valueReference":"Patient/a"}`):                       "patient",
		parameters(`{"name":"allowPartialManifests","valueBoolean":"x"}`):                   "allowPartialManifests",
	} {
		_, err := bulkexport.ReadParameters([]byte(body))
		var fault *bulkexport.RequestError
		require.ErrorAs(t, err, &fault, body)
		require.Equal(t, [2]string{parameter, "structure"}, [2]string{fault.Parameter, fault.Code}, body)
		require.NotContains(t, err.Error(), secret)
	}
}

func FuzzReadParameters(f *testing.F) {
	f.Add([]byte(`{"resourceType":"Parameters","parameter":[{"name":"_type","valueString":"Patient"}]}`))
	f.Add([]byte(`{"resourceType":"Parameters","parameter":[` +
		`{"name":"patient","valueReference":{"reference":"Patient/a"}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		values, err := bulkexport.ReadParameters(body)
		if err != nil {
			return
		}
		// Whatever it holds, reading it as a request does not panic.
		_, _ = bulkexport.ParseRequest(bulkexport.Parameters{Level: bulkexport.LevelPatient, Values: values, Post: true})
	})
}
