package conformance_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/source/memsource"
)

func levelChecks() []check {
	return []check{
		{
			title: "system level has everything, Patient level what belongs to any patient",
			ids:   ids("L-01", "L-02", "L-04", "P-42", "T-15", "W-41"), run: checkPopulations,
		},
		{
			title: "what belongs to a patient is what the compartment of R4 says",
			ids:   ids("L-05", "P-42"), run: checkCompartment,
		},
		{
			title: "R5 has its own types and compartment",
			ids:   ids("L-05", "W-57"), run: checkR5,
		},
		{
			title: "references are written as they are stored, relative or absolute",
			ids:   ids("L-09"), run: checkReferences,
		},
		{
			title: "a Binary is exported at system level only",
			ids:   ids("L-07", "L-08", "T-37"), run: checkBinary,
		},
		{
			title: "only the latest version is exported, once",
			ids:   ids("L-14", "W-55"), run: checkLatestVersion,
		},
		{
			title: "patient limits the export to patients, by relative and absolute references",
			ids:   ids("P-60", "T-14"), run: checkPatients,
		},
		{
			title: "unknown patients are refused, with handling=lenient reported",
			ids:   ids("P-61", "R-21"), run: checkUnknownPatients,
		},
		{
			title: "patient is for POST at Patient and Group level",
			ids:   ids("P-63"), run: checkPatientElsewhere,
		},
		{
			title: "a value of includeAssociatedData that the host names adds what its source has",
			ids:   ids("P-70", "P-73"), run: func(t *testing.T) { checkStaff(t, "") },
		},
		{
			title: "such a value adds what patient data refer to, at Patient and Group level too",
			ids:   ids("L-06", "P-46", "W-47"), run: checkContextResources,
		},
	}
}

func checkPopulations(t *testing.T) {
	k := start(t, setup{data: ward()})
	require.Equal(t, everything(), k.export("/$export").names())
	require.Equal(t, ofPatients(), k.export("/Patient/$export").names())
	require.Equal(t, ofWard(), k.export("/Group/ward/$export").names())
}

// checkCompartment has a resource for each path by which R4 ties one to a
// patient.
func checkCompartment(t *testing.T) {
	k := start(t, setup{})
	paths := map[string]string{
		"Account": "subject", "AllergyIntolerance": "patient", "Condition": "asserter", "Coverage": "beneficiary",
		"EnrollmentRequest": "candidate", "Observation": "performer", "SupplyRequest": "deliverTo", "Provenance": "target",
		"MedicationRequest": "subject", "Specimen": "subject", "RelatedPerson": "patient", "Schedule": "actor",
	}
	want := []string{"Patient/a"}
	k.put("Patient/a")
	for resourceType, path := range paths {
		k.put(
			fmt.Sprintf(`%s/in %q:{"reference":"Patient/a"}`, resourceType, path),
			fmt.Sprintf(`%s/out %q:{"reference":"Practitioner/a"}`, resourceType, path),
		)
		want = append(want, resourceType+"/in")
	}
	k.put(`Appointment/in "participant":[{"actor":{"reference":"Patient/a"}}]`, `Task/out "for":{"reference":"Patient/a"}`,
		`Device/out "patient":{"reference":"Patient/a"}`, `Communication/in "recipient":[{"reference":"Patient/a"}]`)
	require.Equal(t, sorted(append(want, "Appointment/in", "Communication/in")...), k.export("/Patient/$export").names())
}

func checkR5(t *testing.T) {
	k := start(t, setup{core: bulkexport.Config{FHIRVersion: fhir.R5}})
	k.put("Patient/a", `Task/t "for":{"reference":"Patient/a"}`, `NutritionIntake/n `+subject("a"), `Device/d "x":1`,
		`EncounterHistory/h `+subject("a"))
	require.Equal(t, sorted("EncounterHistory/h", "NutritionIntake/n", "Patient/a", "Task/t"),
		k.export("/Patient/$export").names())
	k.refused(k.get("/$export?_type=DeviceUseStatement"), 400, "_type")
	require.Equal(t, []string{"Task/t"}, k.export("/$export?_type=Task").names())
}

func checkReferences(t *testing.T) {
	k := start(t, setup{})
	absolute := fmt.Sprintf(`"subject":{"reference":"%s/Patient/a"}`, k.base)
	k.put("Patient/a", "Observation/relative "+subject("a"), "Observation/absolute "+absolute,
		`Observation/versioned "subject":{"reference":"Patient/a/_history/2"}`)
	e := k.export("/Patient/$export?_type=Observation")
	require.Equal(t, []string{"Observation/absolute", "Observation/relative", "Observation/versioned"}, e.names())
	require.Contains(t, e.line("Observation/absolute"), absolute)
	require.Contains(t, e.line("Observation/relative"), subject("a"))
}

func checkBinary(t *testing.T) {
	k := start(t, setup{data: []string{
		"Patient/a", `Binary/b "contentType":"text/plain","securityContext":{"reference":"Patient/a"},"data":"eA=="`,
		`DocumentReference/d "status":"current",` + subject("a"),
	}})
	want := []string{"DocumentReference/d", "Patient/a"}
	require.Equal(t, want, k.export("/Patient/$export").names())
	k.refused(k.get("/Patient/$export?_type=Binary"), 400, "_type")
	require.Equal(t, []string{"Binary/b"}, k.export("/$export?_type=Binary").names())

	// A host that keeps patients' data in Binary leaves the type out.
	tied := func(_ context.Context, _ bulkexport.Job, resourceType string, resource []byte) ([]byte, error) {
		if resourceType == "Binary" && bytes.Contains(resource, []byte(`"Patient/`)) {
			return nil, nil
		}
		return resource, nil
	}
	host := start(t, setup{core: bulkexport.Config{Source: k.source, Filter: tied}})
	require.Equal(t, want, host.export("/$export").names())
}

func checkLatestVersion(t *testing.T) {
	k := start(t, setup{core: bulkexport.Config{MaxFileResources: 2}})
	want := []string{"Observation/0", "Observation/1", "Observation/2", "Observation/3"}
	for version := range 5 {
		for id := range want {
			k.put(fmt.Sprintf(`Observation/%d "status":"final","valueInteger":%d,%s`, id, version, subject("a")))
		}
	}
	for _, level := range []string{"", "/Patient"} {
		e := k.export(level + "/$export")
		require.Equal(t, want, e.names())
		for _, line := range e.lines() {
			require.Contains(t, line, `"valueInteger":4`)
		}
	}
}

func checkPatients(t *testing.T) {
	k := start(t, setup{data: ward()})
	k.put(`Appointment/both "participant":[{"actor":{"reference":"Patient/a"}},{"actor":{"reference":"Patient/c"}}]`,
		`Appointment/c "participant":[{"actor":{"reference":"Patient/c"}}]`)
	want := sorted("Appointment/both", "Encounter/ea", "Group/ward", "Observation/a1", "Observation/a2", "Patient/a")
	for _, reference := range []string{"Patient/a", k.base + "/Patient/a"} {
		one := parameter("patient", "Reference", reference)
		require.Equal(t, want, k.exportPost("/Patient/$export", one).names())
		require.Equal(t, want, k.exportPost("/Group/ward/$export", one).names())
	}
	two := []string{parameter("patient", "Reference", "Patient/a"), parameter("patient", "Reference", "Patient/b")}
	e := k.exportPost("/Patient/$export", two...)
	require.Equal(t, sorted(append(want, "Observation/b1", "Patient/b")...), e.names())
}

func checkUnknownPatients(t *testing.T) {
	k := start(t, setup{data: ward()})
	none, c := parameter("patient", "Reference", "Patient/none"), parameter("patient", "Reference", "Patient/c")
	k.refused(k.post("/Patient/$export", parametersOf(none)), 400, "patient")
	k.refused(k.post("/Group/ward/$export", parametersOf(c)), 400, "patient")
	for _, reference := range []string{"c", "Practitioner/c", "http://elsewhere.example/fhir/Patient/c", "Patient/"} {
		k.refused(k.post("/Patient/$export", parametersOf(parameter("patient", "Reference", reference))), 400, "patient")
	}
	e := k.finish(k.accepted(k.post("/Patient/$export", parametersOf(none, c), "Prefer: handling=lenient")))
	require.Contains(t, e.names(), "Patient/c")
	require.NotContains(t, e.names(), "Patient/a")
	require.Contains(t, k.outcomes(e)[0].Diagnostics, "Patient/none")
}

func checkPatientElsewhere(t *testing.T) {
	k := start(t, setup{data: ward()})
	k.refused(k.get("/Patient/$export?patient=Patient/a"), 400, "patient")
	k.refused(k.post("/$export", parametersOf(parameter("patient", "Reference", "Patient/a"))), 400, "patient")
}

// staff is a source of a host for a value of its own: at every level all that
// there is.
type staff struct{ *memsource.Source }

func (s staff) Types(ctx context.Context, scope bulkexport.Scope) ([]string, error) {
	scope.Level = bulkexport.LevelSystem
	return s.Source.Types(ctx, scope)
}

func (s staff) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	q.Level = bulkexport.LevelSystem
	return s.Source.Resources(ctx, q)
}

func (s staff) Count(ctx context.Context, q bulkexport.Query) (int64, error) {
	q.Level = bulkexport.LevelSystem
	return s.Source.Count(ctx, q)
}

func (s staff) Split(ctx context.Context, q bulkexport.Query, size int64) ([][]byte, error) {
	q.Level = bulkexport.LevelSystem
	return s.Source.Split(ctx, q, size)
}

func checkContextResources(t *testing.T) {
	checkStaff(t, "/Patient")
	checkStaff(t, "/Group/ward")
}

// checkStaff has a source of Practitioner beside the ward.
func checkStaff(t *testing.T, level string) {
	t.Helper()
	long := func() time.Time { return time.Unix(0, 0) }
	associated := staff{memsource.New(memsource.Config{Now: long})}
	k := start(t, setup{data: ward(), core: bulkexport.Config{
		AssociatedData: map[string]bulkexport.ResourceSource{"_staff": associated},
	}})
	for _, resource := range []string{"Practitioner/x", "Practitioner/y"} {
		_, err := associated.Put("", resourceOf(resource))
		require.NoError(t, err)
	}
	without := k.export(level + "/$export").names()
	require.Empty(t, only(without, "Practitioner"))
	require.Equal(t, sorted(append(without, "Practitioner/x", "Practitioner/y")...),
		k.export(level+"/$export?includeAssociatedData=_staff").names())
	k.refused(k.get(level+"/$export?includeAssociatedData=_nope"), http.StatusBadRequest, "includeAssociatedData")
}
