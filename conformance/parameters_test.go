package conformance_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

func parameterChecks() []check {
	return []check{
		{
			title: "every parameter that the guide has is supported",
			ids:   ids("P-02", "P-88"), run: checkSupported,
		},
		{
			title: "a parameter that comes once at most is refused when repeated",
			ids:   ids("P-03"), run: checkCardinality,
		},
		{
			title: "all spellings of NDJSON are accepted, with a plus sign or the blank that it becomes",
			ids:   ids("P-10", "P-11", "P-12", "P-13", "T-16", "R-19", "W-72"), run: checkOutputFormat,
		},
		{
			title: "other formats are refused",
			ids:   ids("P-14", "P-110"), run: checkOtherFormats,
		},
		{
			title: "_type limits the output to these types",
			ids:   ids("P-40", "L-01"), run: checkType,
		},
		{
			title: "without _type there are all types of the level",
			ids:   ids("P-41", "W-46"), run: checkAllTypes,
		},
		{
			title: "types that are unknown, or all outside the compartment, are refused",
			ids:   ids("K-20", "P-44", "A-22", "T-10"), run: checkOtherTypes,
		},
		{
			title: "an empty item of a list is refused",
			ids:   ids("R-32"), run: checkEmptyItem,
		},
		{
			title: "what is not supported is refused by name, and with handling=lenient reported",
			ids:   ids("K-21", "P-45", "P-55", "P-62", "P-110", "P-111", "P-112", "R-24"), run: checkUnsupported,
		},
		{
			title: "lenient or not, a limit never turns into none",
			ids:   ids("P-45", "P-111", "L-02"), run: checkLenientKeepsLimits,
		},
		{
			title: "_format of JSON and _pretty are accepted",
			ids:   ids("T-35"), run: checkGeneralParameters,
		},
		{
			title: "_typeFilter is refused where there are no search parameters",
			ids:   ids("P-88", "P-110"), run: checkNoSearch,
		},
	}
}

func checkSupported(t *testing.T) {
	k := start(t, setup{data: ward(), unstarted: true})
	for _, query := range []string{
		"_outputFormat=ndjson", "_since=2026-01-01T00:00:00Z", "_until=2026-01-01T00:00:00Z", "_type=Patient", "_elements=id",
		"includeAssociatedData=LatestProvenanceResources", "_typeFilter=Patient%3Fgender%3Dmale", "organizeOutputBy=Patient",
		"allowPartialManifests=true", "allowPartialManifests=false",
	} {
		for _, level := range []string{"", "/Patient", "/Group/ward"} {
			k.kickOff(level + "/$export?" + query)
		}
	}
	k.accepted(k.post("/Patient/$export", parametersOf(parameter("patient", "Reference", "Patient/a"))))
}

func checkCardinality(t *testing.T) {
	k := start(t, setup{unstarted: true})
	for name, value := range map[string]string{
		"_outputFormat": "ndjson", "_since": "2026-01-01T00:00:00Z", "_until": "2026-01-01T00:00:00Z",
		"organizeOutputBy": "Patient", "allowPartialManifests": "true",
	} {
		k.refused(k.get("/$export?"+name+"="+value+"&"+name+"="+value), 400, name)
	}
}

func checkOutputFormat(t *testing.T) {
	k := start(t, setup{data: []string{"Patient/a"}})
	for _, query := range []string{
		"", "?_outputFormat=application/fhir%2Bndjson", "?_outputFormat=application/fhir+ndjson",
		"?_outputFormat=application%2Ffhir%2Bndjson", "?_outputFormat=application/ndjson", "?_outputFormat=ndjson",
	} {
		e := k.export("/$export" + query)
		file := k.get((*e.Output)[0].URL)
		require.Equal(t, "application/fhir+ndjson", file.header.Get("Content-Type"))
		require.JSONEq(t, `{"resourceType":"Patient","id":"a"}`, string(file.body))
	}
}

func checkOtherFormats(t *testing.T) {
	k := start(t, setup{unstarted: true})
	for _, format := range []string{"text/csv", "application/fhir+json", "parquet", ""} {
		k.refused(k.get("/$export?_outputFormat="+format), 400, "_outputFormat")
	}
}

func checkType(t *testing.T) {
	k := start(t, setup{data: ward()})
	require.Equal(t, []string{"ValueSet/v"}, k.export("/$export?_type=ValueSet").names())
	require.Equal(t, only(everything(), "Patient"), k.export("/Patient/$export?_type=Patient").names())
	require.Equal(t, only(ofWard(), "Observation"), k.export("/Group/ward/$export?_type=Observation").names())
}

func checkAllTypes(t *testing.T) {
	k := start(t, setup{data: ward()})
	require.Equal(t, everything(), k.export("/$export").names())
	require.Equal(t, ofPatients(), k.export("/Patient/$export").names())
	require.Equal(t, ofWard(), k.export("/Group/ward/$export").names())
}

func checkOtherTypes(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, target := range []string{
		"/$export?_type=NoSuchType", "/$export?_type=Patient,NoSuchType", "/$export?_type=patient",
		"/Patient/$export?_type=ValueSet", "/Patient/$export?_type=Organization,Location",
		"/Group/ward/$export?_type=Location",
	} {
		k.refused(k.get(target), 400, "_type")
	}
	e := k.export("/Patient/$export?_type=Patient,Organization")
	require.Equal(t, only(everything(), "Patient"), e.names(), "a mixed list is another matter")
	require.Equal(t, []any{"Organization"}, extension(e.Extension, "empty-types"))
}

func checkEmptyItem(t *testing.T) {
	k := start(t, setup{unstarted: true})
	for _, list := range []string{"Patient,,Observation", ",Patient", "Patient,", ""} {
		k.refused(k.get("/$export?_type="+list), 400, "_type")
	}
}

func checkUnsupported(t *testing.T) {
	k := start(t, setup{data: ward()})
	query := url.Values{
		"nonsense": {"1"}, "_type": {"Patient,NoSuchType"}, "_elements": {"Patient.name.family"},
		"includeAssociatedData": {"_nope"}, "_typeFilter": {"Patient?no-such-parameter=1"}, "organizeOutputBy": {"Location"},
	}
	target := "/$export?" + query.Encode()
	for name := range query {
		k.refused(k.get("/$export?"+url.Values{name: query[name]}.Encode()), 400, name)
	}
	k.refused(k.get("/$export?patient=Patient/a"), 400, "patient")
	e := k.export(target, "Prefer: respond-async, handling=lenient")
	require.Equal(t, only(everything(), "Patient"), e.names())
	issues := k.outcomes(e)
	require.Len(t, issues, len(query))
	require.Equal(t, len(query), *(*e.Error)[0].Count, "one OperationOutcome for each parameter")
	for name := range query {
		require.True(t, slices.ContainsFunc(issues, func(i issue) bool {
			return i.Severity == "warning" && strings.Contains(i.Diagnostics, "Parameter "+name+" ")
		}), name)
	}
}

func checkLenientKeepsLimits(t *testing.T) {
	k := start(t, setup{data: ward()})
	const lenient = "Prefer: handling=lenient"
	k.refused(k.get("/$export?_type=NoSuchType", lenient), 400, "_type")
	k.refused(k.get("/Patient/$export?_type=ValueSet", lenient), 400, "_type")
	k.refused(k.get("/Patient/$export?patient=Patient/a", lenient), 400, "patient")
	job := k.accepted(k.post("/Patient/$export", parametersOf(parameter("patient", "Reference", "Patient/none")), lenient))
	e := k.finish(job)
	require.Empty(t, e.names(), "a list of unknown patients is not one of all")
	require.Len(t, k.outcomes(e), 1)
}

func checkGeneralParameters(t *testing.T) {
	k := start(t, setup{unstarted: true})
	for _, query := range []string{
		"_format=json", "_format=application/json", "_format=application/fhir%2Bjson", "_format=application/fhir+json",
		"_pretty=true", "_pretty=false",
	} {
		k.kickOff("/$export?" + query)
	}
	k.refused(k.get("/$export?_format=xml"), 400, "_format")
	k.refused(k.get("/$export?_summary=true"), 400, "_summary")
}

func checkNoSearch(t *testing.T) {
	k := start(t, setup{unstarted: true, core: bulkexport.Config{FHIRVersion: fhir.R5}})
	k.refused(k.get("/$export?_typeFilter=Patient%3Fgender%3Dmale"), 400, "_typeFilter")
}
