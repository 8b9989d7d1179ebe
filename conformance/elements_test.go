package conformance_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const subsetted = `{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}`

func elementsChecks() []check {
	return []check{
		{
			title: "_elements leaves out what is not listed and not mandatory, and tags the rest",
			ids:   ids("P-50", "P-52", "P-53", "P-54"), run: checkElements,
		},
		{
			title: "_elements=id,Patient.meta leaves id, meta and SUBSETTED",
			ids:   ids("R-22"), run: checkElementsOfSuite,
		},
		{
			title: "_elements that are no elements at the root are refused",
			ids:   ids("P-51", "P-55"), run: checkBadElements,
		},
	}
}

func elementsData() []string {
	return []string{
		`Patient/a "meta":{"versionId":"3","tag":[{"code":"vip"}]},"gender":"female","birthDate":"1970-02-01"`,
		`Observation/o "status":"final","code":{"text":"K"},"issued":"2026-01-01T00:00:00.10Z",` + subject("a"),
		`Location/l "name":"Ward 7","mode":"instance"`,
	}
}

func checkElements(t *testing.T) {
	k := start(t, setup{data: elementsData()})
	e := k.export("/$export?_elements=Patient.gender,Observation.issued")
	require.JSONEq(t, `{"resourceType":"Patient","id":"a","meta":{"versionId":"3","tag":[{"code":"vip"},`+subsetted+`]},
		"gender":"female"}`, e.line("Patient/a"))
	require.JSONEq(t, `{"resourceType":"Observation","id":"o","meta":{"tag":[`+subsetted+`]},
		"status":"final","code":{"text":"K"},"issued":"2026-01-01T00:00:00.10Z"}`, e.line("Observation/o"))
	require.JSONEq(t, `{"resourceType":"Location","id":"l","name":"Ward 7","mode":"instance"}`, e.line("Location/l"),
		"a type that no element is about")

	e = k.export("/$export?_elements=birthDate,name")
	require.Contains(t, e.line("Patient/a"), "1970-02-01")
	require.NotContains(t, e.line("Patient/a"), "gender")
	require.Contains(t, e.line("Location/l"), "Ward 7")
	require.NotContains(t, e.line("Location/l"), "mode")
	require.NotContains(t, e.line("Observation/o"), "issued")
}

func checkElementsOfSuite(t *testing.T) {
	k := start(t, setup{data: elementsData()})
	e := k.export("/$export?_elements=id,Patient.meta")
	for _, line := range e.lines() {
		members := k.object([]byte(line))
		require.Contains(t, members, "id")
		require.Contains(t, members, "meta")
		require.Equal(t, 1, strings.Count(line, subsetted), line)
	}
	require.Contains(t, e.line("Patient/a"), `"versionId":"3"`)
	require.NotContains(t, e.line("Patient/a"), "gender")
}

func checkBadElements(t *testing.T) {
	k := start(t, setup{data: elementsData()})
	for _, element := range []string{
		"Patient.name.family", "name.family", "Patent.name", "nonsense", "Patient.nonsense", "Patient.", ".id", "",
	} {
		k.refused(k.get("/$export?_elements="+element), 400, "_elements")
	}
	e := k.export("/$export?_elements=Patient.name.family,Patient.gender", "Prefer: handling=lenient")
	require.NotContains(t, e.line("Patient/a"), "birthDate")
	require.Len(t, k.outcomes(e), 1)
}
