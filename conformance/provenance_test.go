package conformance_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func provenanceChecks() []check {
	return []check{
		{
			title: "LatestProvenanceResources adds the latest about each resource",
			ids:   ids("P-70", "P-71"), run: checkLatestProvenance,
		},
		{
			title: "RelevantProvenanceResources adds all about each resource",
			ids:   ids("P-70", "P-72"), run: checkRelevantProvenance,
		},
		{
			title: "of both values the larger one counts",
			ids:   ids("P-74", "T-28", "R-23"), run: checkBothProvenance,
		},
		{
			title: "without the parameter Provenance is exported at each level",
			ids:   ids("P-76", "T-11"), run: checkDefaultProvenance,
		},
		{
			title: "Provenance is added to _type, follows what is exported, and is of any age",
			ids:   ids("T-09", "L-13"), run: checkProvenanceFollows,
		},
		{
			title: "other values are refused, with handling=lenient passed over",
			ids:   ids("P-75"), run: checkOtherAssociated,
		},
	}
}

const (
	latest   = "includeAssociatedData=LatestProvenanceResources"
	relevant = "includeAssociatedData=RelevantProvenanceResources"
)

// recorded are resources with Provenance of several ages.
func recorded() []string {
	return []string{
		"Patient/a", "Observation/a1 " + subject("a"), "Observation/a2 " + subject("a"), "Location/l",
		`Provenance/new "recorded":"2021-01-01T00:00:00Z",` + target("Observation/a1"),
		`Provenance/old "recorded":"2020-01-01T00:00:00Z",` + target("Observation/a1"),
		`Provenance/both "recorded":"2020-06-01T00:00:00Z",` + target("Observation/a1", "Observation/a2"),
		`Provenance/place "recorded":"2020-01-01T00:00:00Z",` + target("Location/l"),
		`Provenance/gone "recorded":"2020-01-01T00:00:00Z",` + target("Observation/gone"),
		`Group/g "actual":true,` + members("Patient/a"),
	}
}

// provenance runs an export and returns the ids of Provenance in it.
func (k *server) provenance(target string) []string {
	k.Helper()
	return only(k.export(target).names(), "Provenance")
}

func checkLatestProvenance(t *testing.T) {
	k := start(t, setup{data: recorded()})
	require.Equal(t, []string{"Provenance/both", "Provenance/new", "Provenance/place"}, k.provenance("/$export?"+latest))
	for _, level := range []string{"/Patient", "/Group/g"} {
		require.Equal(t, []string{"Provenance/both", "Provenance/new"}, k.provenance(level+"/$export?"+latest))
	}
}

func checkRelevantProvenance(t *testing.T) {
	k := start(t, setup{data: recorded()})
	want := []string{"Provenance/both", "Provenance/new", "Provenance/old"}
	require.Equal(t, append(want[:3:3], "Provenance/place"), k.provenance("/$export?"+relevant))
	for _, level := range []string{"/Patient", "/Group/g"} {
		require.Equal(t, want, k.provenance(level+"/$export?"+relevant))
	}
}

func checkBothProvenance(t *testing.T) {
	k := start(t, setup{data: recorded()})
	want := k.provenance("/$export?" + relevant)
	require.Len(t, want, 4)
	require.Equal(t, want, k.provenance("/$export?"+latest+"&"+relevant))
	require.Equal(t, want, k.provenance("/$export?"+latest+",RelevantProvenanceResources"))
}

func checkDefaultProvenance(t *testing.T) {
	k := start(t, setup{data: recorded()})
	require.Len(t, k.provenance("/$export"), 5)
	for _, level := range []string{"/Patient", "/Group/g"} {
		require.Subset(t, k.provenance(level+"/$export"), []string{"Provenance/both", "Provenance/new", "Provenance/old"})
		require.NotContains(t, k.provenance(level+"/$export"), "Provenance/place")
		require.Empty(t, k.provenance(level+"/$export?_type=Patient"))
		require.NotEmpty(t, k.provenance(level+"/$export?_type=Provenance"))
	}
}

func checkProvenanceFollows(t *testing.T) {
	k := start(t, setup{data: recorded()})
	require.Equal(t, []string{"Location/l", "Provenance/place"}, k.export("/$export?_type=Location&"+latest).names())
	require.Equal(t, []string{"Observation/a2", "Provenance/both"},
		k.export("/$export?_type=Observation&_typeFilter=Observation%3F_id%3Da2&"+relevant).names())
	at := k.clock.read()
	k.put("Observation/a2 " + subject("a"))
	require.Equal(t, []string{"Observation/a2", "Provenance/both"},
		k.export("/$export?_since="+stamp(at)+"&"+relevant).names())
	require.Equal(t, []string{"Location/l"}, k.export("/$export?_type=Location").names())
}

func checkOtherAssociated(t *testing.T) {
	k := start(t, setup{data: recorded()})
	for _, value := range []string{"_nope", "Provenance", "latestprovenanceresources"} {
		k.refused(k.get("/$export?includeAssociatedData="+value), 400, "includeAssociatedData")
		e := k.export("/$export?includeAssociatedData="+value, "Prefer: handling=lenient")
		require.NotEmpty(t, e.names())
		require.Len(t, k.outcomes(e), 1)
	}
}
