package conformance_test

import (
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

func filterChecks() []check {
	return []check{
		{
			title: "_typeFilter keeps of its type what it matches, and nothing else",
			ids:   ids("P-80", "P-82", "W-44"), run: checkFilter,
		},
		{
			title: "several filters of a type are alternatives, parameters of one must all hold",
			ids:   ids("P-81", "T-13"), run: checkAlternatives,
		},
		{
			title: "a filter leaves other types and _type alone",
			ids:   ids("P-85", "T-13"), run: checkIndependence,
		},
		{
			title: "a comma belongs to the filter unless another filter follows",
			ids:   ids("P-81", "T-12", "R-18", "W-45"), run: checkCommas,
		},
		{
			title: "parameters that shape results are refused",
			ids:   ids("P-83"), run: checkResultParameters,
		},
		{
			title: "searches of the system or of a compartment are refused",
			ids:   ids("P-84"), run: checkContexts,
		},
		{
			title: "what cannot be judged is refused, or reported with handling=lenient",
			ids:   ids("P-86", "P-87", "W-44"), run: checkUnknownFilters,
		},
		{
			title: "dates in a filter are clinical, and take a blank for a plus sign",
			ids:   ids("T-13", "T-16"), run: checkFilterDates,
		},
		{
			title: "filters join with _since, _type, patient and elements",
			ids:   ids("L-13"), run: checkOrderOfFilters,
		},
	}
}

// filtered runs an export with filters, at system level.
func (k *server) filtered(rest string, filters ...string) []string {
	k.Helper()
	return k.export("/$export?" + url.Values{"_typeFilter": filters}.Encode() + rest).names()
}

func checkFilter(t *testing.T) {
	k := start(t, setup{data: ward()})
	const observations = "&_type=Observation"
	require.Equal(t, []string{"Observation/a1", "Observation/c1"}, k.filtered(observations, "Observation?status=final"))
	require.Empty(t, k.filtered(observations, "Observation?status=cancelled"))
	require.Equal(t, []string{"Observation/b1"}, k.filtered(observations, "Observation?subject=Patient/b"))
	require.Equal(t, []string{"Observation/a1"},
		k.export("/Group/ward/$export?_type=Observation&_typeFilter=Observation%3Fstatus%3Dfinal").names())
}

func checkAlternatives(t *testing.T) {
	k := start(t, setup{data: ward()})
	const observations = "&_type=Observation"
	require.Equal(t, []string{"Observation/a2", "Observation/b1"},
		k.filtered(observations, "Observation?status=preliminary", "Observation?status=amended"))
	require.Equal(t, []string{"Observation/a1"},
		k.filtered(observations, "Observation?status=final&subject=Patient/a"))
	require.Equal(t, []string{"Observation/a1", "Observation/b1", "Patient/b"},
		k.filtered("&_type=Observation,Patient", "Observation?status=final&subject=Patient/a", "Observation?status=amended",
			"Patient?gender=male"))
}

func checkIndependence(t *testing.T) {
	k := start(t, setup{data: ward()})
	require.Equal(t, []string{"Encounter/ea", "Patient/b"},
		k.filtered("&_type=Patient,Encounter", "Patient?birthdate=ge2000-01-01"), "the Encounter of a stays")
	require.Equal(t, []string{"Encounter/ea"}, k.filtered("&_type=Encounter", "Patient?gender=male"),
		"Patient is not added")
	require.Len(t, k.filtered("", "Patient?gender=male"), len(everything())-2)
}

func checkCommas(t *testing.T) {
	k := start(t, setup{data: ward()})
	want := []string{"Observation/a2", "Observation/b1"}
	for _, value := range []string{
		"Observation?status=preliminary,amended",
		"Observation?status=preliminary,Observation?status=amended",
		"Observation?status=preliminary%2Camended",
		"Observation?status=preliminary,Observation?status=amended%2Centered-in-error",
	} {
		require.Equal(t, want, k.filtered("&_type=Observation", value), value)
	}
}

func checkResultParameters(t *testing.T) {
	k := start(t, setup{unstarted: true})
	for _, name := range []string{
		"_include", "_revinclude", "_sort", "_count", "_elements", "_summary", "_total", "_contained", "_containedType",
	} {
		filter := url.QueryEscape("Observation?status=final&" + name + "=date")
		k.refused(k.get("/$export?_typeFilter="+filter), 400, "_typeFilter")
	}
}

func checkContexts(t *testing.T) {
	k := start(t, setup{unstarted: true})
	for _, filter := range []string{
		"?status=final", "status=final", "Patient/1/Observation?status=final", "Patient/1?gender=male",
		"/Observation?status=final", "Observation,Condition?status=final", "", "?", "NoSuchType?_id=1",
	} {
		k.refused(k.get("/$export?_typeFilter="+url.QueryEscape(filter)), 400, "_typeFilter")
	}
}

func checkUnknownFilters(t *testing.T) {
	k := start(t, setup{data: ward()})
	for _, filter := range []string{
		"Observation?no-such-parameter=1", "Observation?status:nonsense=final", "Observation?date=yesterday",
		"Observation?subject.name=x", "Observation?_has:Provenance:target:agent=1",
	} {
		k.refused(k.get("/$export?_typeFilter="+url.QueryEscape(filter)), 400, "_typeFilter")
	}
	e := k.export("/$export?_type=Observation&_typeFilter=Observation%3Fno-such-parameter%3D1", "Prefer: handling=lenient")
	require.Equal(t, only(everything(), "Observation"), e.names())
	require.Len(t, k.outcomes(e), 1)
}

func checkFilterDates(t *testing.T) {
	k := start(t, setup{data: []string{
		`Observation/old "effectiveDateTime":"2019-06-01T23:30:00Z"`,
		`Observation/new "effectiveDateTime":"2019-06-02T00:30:00Z"`,
	}})
	require.Equal(t, []string{"Observation/new"}, k.filtered("", "Observation?date=ge2019-06-02"))
	for _, filter := range []string{
		"Observation?date=ge2019-06-02T02:00:00+02:00", "Observation?date=ge2019-06-02T02:00:00%2B02:00",
		"Observation?date=ge2019-06-02T02:00:00 02:00",
	} {
		require.Equal(t, []string{"Observation/new"}, k.filtered("", filter), filter)
	}
}

func checkOrderOfFilters(t *testing.T) {
	k := start(t, setup{data: ward(), secure: true})
	at := k.clock.read()
	k.put(`Observation/a3 "status":"final",`+subject("a"), `Observation/b3 "status":"final",`+subject("b"),
		`Observation/a4 "status":"amended",`+subject("a"), `Condition/a5 `+subject("a"),
		`Provenance/p `+target("Observation/a3"), `Provenance/q `+target("Observation/a4"))
	job := k.accepted(k.post("/Group/ward/$export", parametersOf(
		parameter("_since", "Instant", at.Format("2006-01-02T15:04:05Z07:00")),
		parameter("_type", "String", "Observation"),
		parameter("_typeFilter", "String", "Observation?status=final"),
		parameter("_elements", "String", "Observation.code"),
		parameter("patient", "Reference", "Patient/a"),
		parameter("includeAssociatedData", "Code", "RelevantProvenanceResources"),
	), bearer("alice")))
	require.Equal(t, []string{"Observation/a3", "Provenance/p"}, k.finish(job, bearer("alice")).names())
}
