package fhir_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/fhir"
)

func TestResourceTypes(t *testing.T) {
	t.Parallel()
	types := fhir.R4.ResourceTypes()
	require.Len(t, types, 146)
	require.True(t, slices.IsSorted(types))
	require.Len(t, slices.Compact(slices.Clone(types)), 146)
	for _, name := range types {
		require.True(t, fhir.R4.IsResourceType(name), name)
	}
	require.Subset(t, types, []string{"Binary", "OperationOutcome", "Parameters", "Patient", "Task"})
}

func TestResourceTypesBelongToTheCaller(t *testing.T) {
	t.Parallel()
	fhir.R4.ResourceTypes()[0] = "changed"
	require.Equal(t, "Account", fhir.R4.ResourceTypes()[0])
}

func TestIsResourceType(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"", "patient", "Patient ", "Patien", "Resource", "DomainResource", "Element", "Zzz",
	} {
		require.False(t, fhir.R4.IsResourceType(name), "%q", name)
	}
}

func TestIsPatientCompartmentType(t *testing.T) {
	t.Parallel()
	in := 0
	for _, name := range fhir.R4.ResourceTypes() {
		if fhir.R4.IsPatientCompartmentType(name) {
			in++
		}
	}
	require.Equal(t, 66, in)
	for _, name := range []string{"Patient", "Observation", "Group", "SupplyRequest"} {
		require.True(t, fhir.R4.IsPatientCompartmentType(name), name)
	}
	for _, name := range []string{
		"Organization", "Practitioner", "Device", "Task", "Medication", "", "Unknown",
	} {
		require.False(t, fhir.R4.IsPatientCompartmentType(name), name)
	}
}

func TestValidID(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"1", "a-B.9", strings.Repeat("x", 64), ".", "..", "-"} {
		require.True(t, fhir.ValidID(id), "%q", id)
	}
	for _, id := range []string{
		"", strings.Repeat("x", 65), "a_b", "a/b", "a b", "ä", "a\x00", "a\n",
	} {
		require.False(t, fhir.ValidID(id), "%q", id)
	}
}
