package fhir_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

func TestVersionValid(t *testing.T) {
	t.Parallel()
	for _, v := range []fhir.Version{"", fhir.R4, fhir.R5} {
		require.True(t, v.Valid(), "%q", v)
	}
	for _, v := range []fhir.Version{"4", "R4", "4.3.0", "5.0.0 ", "6.0.0"} {
		require.False(t, v.Valid(), "%q", v)
		require.Empty(t, v.ResourceTypes())
		require.False(t, v.IsResourceType("Patient"))
		require.False(t, v.IsPatientCompartmentType("Patient"))
		require.False(t, v.HasElement("Patient", "id"))
		ids, err := v.AppendPatientIDs(nil, []byte(`{"resourceType":"Patient","id":"a"}`))
		require.NoError(t, err)
		require.Empty(t, ids)
	}
}

func TestVersionResourceTypes(t *testing.T) {
	t.Parallel()
	types := fhir.R5.ResourceTypes()
	require.Len(t, types, 158)
	require.True(t, slices.IsSorted(types))
	require.Len(t, slices.Compact(slices.Clone(types)), 158)
	for _, name := range types {
		require.True(t, fhir.R5.IsResourceType(name), name)
	}
	for _, name := range []string{"Resource", "DomainResource", "CanonicalResource", "MetadataResource"} {
		require.False(t, fhir.R5.IsResourceType(name), name)
	}
	require.Equal(t, fhir.R4.ResourceTypes(), fhir.Version("").ResourceTypes())
	require.Equal(t, fhir.R4.ResourceTypes(), fhir.R4.ResourceTypes())
}

func TestVersionsDiffer(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"DeviceUseStatement", "DocumentManifest", "Media", "RequestGroup"} {
		require.True(t, fhir.R4.IsPatientCompartmentType(name), name)
		require.False(t, fhir.R5.IsResourceType(name), name)
	}
	for _, name := range []string{"DeviceUsage", "GenomicStudy", "RequestOrchestration", "NutritionIntake"} {
		require.False(t, fhir.R4.IsResourceType(name), name)
		require.True(t, fhir.R5.IsPatientCompartmentType(name), name)
	}
	for _, name := range []string{"Task", "Contract", "GuidanceResponse"} {
		require.False(t, fhir.R4.IsPatientCompartmentType(name), name)
		require.True(t, fhir.R5.IsPatientCompartmentType(name), name)
	}
	for _, name := range []string{
		"Device", "Medication", "Location", "Organization", "Practitioner", "PractitionerRole",
	} {
		require.False(t, fhir.R4.IsPatientCompartmentType(name), name)
		require.False(t, fhir.R5.IsPatientCompartmentType(name), name)
	}
	in := slices.DeleteFunc(fhir.R5.ResourceTypes(), func(name string) bool {
		return !fhir.R5.IsPatientCompartmentType(name)
	})
	require.Len(t, in, 73)
}

func TestVersionAppendPatientIDs(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		resource string
		r4, r5   []string
	}{
		"a Patient is in its own compartment": {
			`{"resourceType":"Patient","id":"a"}`, []string{"a"}, []string{"a"},
		},
		"AuditEvent by agent and entity, or by patient": {
			`{"resourceType":"AuditEvent","agent":[{"who":{"reference":"Patient/a"}}],
				"entity":[{"what":{"reference":"Patient/b"}}],"patient":{"reference":"Patient/c"}}`,
			[]string{"a", "b"}, []string{"c"},
		},
		"Provenance by target, or by patient": {
			`{"resourceType":"Provenance","target":[{"reference":"Patient/a"}],
				"patient":{"reference":"Patient/b"}}`,
			[]string{"a"}, []string{"b"},
		},
		"Task": {
			`{"resourceType":"Task","for":{"reference":"Patient/a"},"focus":{"reference":"Patient/b"}}`,
			nil, []string{"a", "b"},
		},
		"CodeableReference": {
			`{"resourceType":"DeviceRequest","performer":{"reference":{"reference":"Patient/a"}}}`,
			nil, []string{"a"},
		},
		"choice of a Reference": {
			`{"resourceType":"RequestOrchestration","action":[{"participant":[
				{"actorReference":{"reference":"Patient/a"}},{"actorCanonical":"Patient/b"}]}]}`,
			nil, []string{"a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r4, err := fhir.R4.AppendPatientIDs(nil, []byte(tt.resource))
			require.NoError(t, err)
			require.Equal(t, tt.r4, r4)
			r5, err := fhir.R5.AppendPatientIDs(nil, []byte(tt.resource))
			require.NoError(t, err)
			require.Equal(t, tt.r5, r5)
		})
	}
}
