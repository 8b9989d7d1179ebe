package memsource_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/source/memsource"
)

const patient = `{"resourceType":"Patient","id":"p"}`

func put(t *testing.T, src *memsource.Source, resources ...string) {
	t.Helper()
	for _, resource := range resources {
		_, err := src.Put("", []byte(resource))
		require.NoError(t, err)
	}
}

func group(resourceType, id string) bulkexport.Query {
	q := query(resourceType)
	q.Level, q.Group = bulkexport.LevelGroup, id
	return q
}

func TestBaseURLsOfMembersAndTargets(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{BaseURLs: []string{"https://ehr.example/fhir/"}})
	const (
		flag   = `{"resourceType":"Flag","id":"f","subject":{"reference":"Patient/p"}}`
		source = `{"resourceType":"Provenance","id":"v",` +
			`"target":[{"reference":"https://ehr.example/fhir/Flag/f"}]}`
	)
	put(t, src, patient, `{"resourceType":"Patient","id":"q"}`, flag, source,
		`{"resourceType":"Group","id":"g","member":[
		  {"entity":{"reference":"https://ehr.example/fhir/Patient/p"}},
		  {"entity":{"reference":"https://other.example/fhir/Patient/q"}}]}`)
	require.NoError(t, src.CheckGroup(t.Context(), "", "g"))
	require.Equal(t, []string{patient}, read(t, src, group("Patient", "g")))
	require.Equal(t, []string{flag}, read(t, src, group("Flag", "g")))
	require.Equal(t, []string{source}, read(t, src, group("Provenance", "g")))
}

func TestFHIRVersion(t *testing.T) {
	t.Parallel()
	const task = `{"resourceType":"Task","id":"t","for":{"reference":"Patient/p"}}`
	q := query("Task")
	q.Level = bulkexport.LevelPatient
	for version, want := range map[fhir.Version][]string{fhir.R4: {}, fhir.R5: {task}} {
		src := memsource.New(memsource.Config{FHIRVersion: version})
		put(t, src, task)
		require.Equal(t, want, read(t, src, q), version)
	}
}

func TestGroupWhoseMembersCannotBeTold(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ members, reason string }{
		"a description": {`"actual":false`, "describes its members and does not name them"},
		"an extension":  {`"modifierExtension":[{"url":"x"}]`, "modifier extension"},
		"malformed":     {`"member":[{"period":{"end":"yesterday"}}]`, "the Group is malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := memsource.New(memsource.Config{})
			put(t, src, `{"resourceType":"Group","id":"g",`+tt.members+`}`)
			err := src.CheckGroup(t.Context(), "", "g")
			var refused *bulkexport.RequestError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, "not-supported", refused.Code)
			require.Contains(t, refused.Reason, tt.reason)

			for _, err := range src.Resources(t.Context(), group("Patient", "g")) {
				require.ErrorAs(t, err, &refused, "the Group may change after it was checked")
			}
			_, err = src.UnknownPatients(t.Context(), group("", "g").Scope, []string{"p"})
			require.ErrorAs(t, err, &refused)
		})
	}
}

func TestPeriodsEndAsOfTheQuery(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 15, 12, 0, 0, 0, time.UTC)
	src := memsource.New(memsource.Config{Now: func() time.Time { return now }})
	put(t, src, patient, `{"resourceType":"Group","id":"g","member":[
		{"entity":{"reference":"Patient/p"},"period":{"end":"2026-03-15"}}]}`)
	q := group("Patient", "g")
	require.Equal(t, []string{patient}, read(t, src, q))
	now = now.AddDate(0, 0, 1)
	require.Empty(t, read(t, src, q), "a query without AsOf is about the present")
	q.AsOf = now.AddDate(0, 0, -1)
	require.Equal(t, []string{patient}, read(t, src, q))
}

func TestProvenanceWithoutInstantIsTheOldest(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{})
	put(t, src, `{"resourceType":"Provenance","id":"a","target":[{"reference":"Patient/p"}],`+
		`"recorded":"2001-01-01T00:00:00Z"}`,
		`{"resourceType":"Provenance","id":"b","target":[{"reference":"Patient/p"}],"recorded":"2026"}`)
	q := query("Provenance")
	latest, err := src.LatestProvenance(t.Context(), q, "Patient", "p")
	require.NoError(t, err)
	q.UpTo = latest
	require.Len(t, read(t, src, q), 1)
}

func TestDeletedTargetsKeepTheirProvenance(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{})
	const source = `{"resourceType":"Provenance","id":"v","target":[{"reference":"Flag/f"}]}`
	put(t, src, `{"resourceType":"Flag","id":"f","subject":{"reference":"Patient/p"}}`, source)
	src.Delete("", "Flag", "f")
	src.Delete("", "Flag", "f")
	q := query("Provenance")
	q.Level = bulkexport.LevelPatient
	require.Equal(t, []string{source}, read(t, src, q))
}

func TestOrganizesByPatientOnly(t *testing.T) {
	t.Parallel()
	src := memsource.New(memsource.Config{})
	require.True(t, src.OrganizesBy("Patient"))
	require.False(t, src.OrganizesBy("Group"))
	for _, err := range src.Blocks(t.Context(), query("Group"), []string{"Patient"}) {
		require.EqualError(t, err, "memsource: blocks: by Group is not supported")
	}
}
