package conformance_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

func bodyChecks() []check {
	return []check{
		{
			title: "POST takes every parameter in the body, under each type that fits",
			ids:   ids("K-07", "W-74", "P-02", "R-17"), run: checkPost,
		},
		{
			title: "lists are repeated or joined, in GET and POST, as either JSON media type",
			ids:   ids("P-01", "R-17"), run: checkLists,
		},
		{
			title: "POST without parameters is a kick-off",
			ids:   ids("K-07", "R-17"), run: checkPostOfNothing,
		},
		{
			title: "request of a POST is the URL alone",
			ids:   ids("M-04"), run: checkRequestOfPost,
		},
		{
			title: "a body that is no Parameters, or too long, is refused",
			ids:   ids("K-14"), run: checkBadBodies,
		},
		{
			title: "with the ballot's form only POST is a kick-off, and the manifest is the ballot's",
			ids:   ids("P-04", "T-39"), run: checkBallot,
		},
	}
}

func checkPost(t *testing.T) {
	k := start(t, setup{data: ward()})
	e := k.exportPost("/Patient/$export",
		parameter("_outputFormat", "String", "application/fhir+ndjson"),
		parameter("_since", "Instant", "2001-01-01T00:00:00Z"),
		parameter("_until", "DateTime", "2100-01-01T00:00:00+02:00"),
		parameter("_type", "String", "Patient,Observation"),
		parameter("_type", "Code", "Condition"),
		parameter("_elements", "String", "Observation.subject,id"),
		parameter("patient", "Reference", "Patient/a"),
		parameter("patient", "Reference", k.base+"/Patient/c"),
		parameter("includeAssociatedData", "Code", bulkexport.LatestProvenance),
		parameter("_typeFilter", "String", "Observation?status=final"),
		`{"name":"allowPartialManifests","valueBoolean":false}`,
	)
	require.Equal(t, sorted("Condition/c2", "Observation/a1", "Observation/c1", "Patient/a", "Patient/c"), e.names())
	require.Contains(t, e.line("Observation/a1"), `"code"`, "mandatory")
	require.NotContains(t, e.line("Patient/a"), "birthDate")

	e = k.exportPost("/Patient/$export",
		`{"name":"includeAssociatedData","valueCoding":{"code":"RelevantProvenanceResources"}}`,
		parameter("_type", "Uri", "Patient"))
	require.Equal(t, only(everything(), "Patient"), e.names())
	e = k.exportPost("/Patient/$export", parameter("organizeOutputBy", "String", "Patient"))
	require.Equal(t, "Patient", *e.OutputOrganizedBy)
}

func checkLists(t *testing.T) {
	k := start(t, setup{data: ward()})
	want := append(only(everything(), "Observation"), only(everything(), "Patient")...)
	for _, query := range []string{
		"_type=Patient,Observation", "_type=Patient&_type=Observation", "_type=Patient%2CObservation",
		"_type=Observation,Patient&_type=Patient",
	} {
		require.Equal(t, want, k.export("/$export?"+query).names(), query)
	}
	for _, mediaType := range []string{
		"application/fhir+json", "application/json", "application/fhir+json; charset=utf-8",
	} {
		for _, body := range []string{
			parametersOf(parameter("_type", "String", "Patient,Observation")),
			parametersOf(parameter("_type", "String", "Patient"), parameter("_type", "String", "Observation")),
		} {
			job := k.accepted(k.send("POST", "/$export", body, "Content-Type: "+mediaType))
			require.Equal(t, want, k.finish(job).names())
		}
	}
	for _, name := range []string{"_elements", "includeAssociatedData"} {
		values := map[string][2]string{
			"_elements":             {"id", "Patient.gender"},
			"includeAssociatedData": {bulkexport.LatestProvenance, bulkexport.RelevantProvenance},
		}[name]
		joined := k.export("/$export?" + name + "=" + values[0] + "," + values[1])
		repeated := k.export("/$export?" + name + "=" + values[0] + "&" + name + "=" + values[1])
		require.Equal(t, joined.lines(), repeated.lines())
		require.NotEmpty(t, joined.lines())
	}
}

func checkPostOfNothing(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, body := range []string{`{"resourceType":"Parameters"}`, `{"resourceType":"Parameters","parameter":[]}`, ""} {
		require.Equal(t, everything(), k.finish(k.accepted(k.post("/$export", body))).names())
	}
}

func checkRequestOfPost(t *testing.T) {
	k := start(t, setup{data: ward()})
	e := k.exportPost("/Patient/$export", parameter("patient", "Reference", "Patient/a"))
	require.Equal(t, k.base+"/Patient/$export", *e.Request)
	require.NotContains(t, string(e.complete.body), "Patient/a")
}

func checkBadBodies(t *testing.T) {
	k := start(t, setup{http: httpadapter.Config{MaxBodyBytes: 1000}})
	for _, body := range []string{"{", "[]", `{"resourceType":"Patient"}`, "null"} {
		k.fails(k.post("/$export", body), http.StatusBadRequest)
	}
	for _, p := range []string{
		`{"name":"_type"}`, `{"name":"_type","valueString":"Patient","valueCode":"Patient"}`,
		`{"name":"_type","valueString":1}`, `{"name":"_type","valueQuantity":{"value":1}}`,
	} {
		k.refused(k.post("/$export", parametersOf(p)), 400, "_type")
	}
	k.fails(k.post("/$export", parametersOf()+strings.Repeat(" ", 1000)), http.StatusRequestEntityTooLarge)
	k.fails(k.send("POST", "/$export", parametersOf(), "Content-Type: text/plain"), http.StatusUnsupportedMediaType)
}

func checkBallot(t *testing.T) {
	k := start(t, setup{data: ward(), http: httpadapter.Config{Guide: bulkexport.STU4Ballot}})
	k.fails(k.get("/$export"), http.StatusMethodNotAllowed)
	at := k.clock.read().Add(-time.Hour)
	k.remove("Patient/c")
	body := []string{
		parameter("_type", "String", "Patient"), parameter("_type", "String", "Observation"),
		parameter("_since", "Instant", at.Format(time.RFC3339)),
	}
	manifestOf := func(headers ...string) map[string]any {
		job := k.accepted(k.post("/$export", parametersOf(body...), headers...))
		k.await(job)
		return k.object(k.get(job).body)
	}
	wire := manifestOf()
	for _, name := range []string{"request", "error", "outcome"} {
		require.NotContains(t, wire, name)
	}
	require.Len(t, wire["deleted"], 1)
	require.NotContains(t, wire["deleted"].([]any)[0], "type")
	require.Equal(t, "http://hl7.org/fhir/uv/bulkdata/StructureDefinition/BulkDataManifest", wire["manifestType"])
	require.Equal(t, "application/fhir+ndjson", wire["outputFormat"])
	require.Len(t, wire["output"], 2)
	require.Contains(t, wire["output"].([]any)[0], "fileSize")
	require.IsType(t, []any{}, wire["extension"])

	body = append(body, parameter("nonsense", "String", "1"))
	outcomes := manifestOf("Prefer: handling=lenient")["outcome"].([]any)
	require.Len(t, outcomes, 1)
	severities := outcomes[0].(map[string]any)["countSeverity"]
	require.Equal(t, []any{map[string]any{"code": "warning", "count": 1.0}}, severities)
}
