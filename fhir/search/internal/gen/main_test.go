package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommittedTableIsCurrent(t *testing.T) {
	t.Parallel()
	want, err := table()
	require.NoError(t, err)
	got, err := os.ReadFile("../../tables.go")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go generate ./fhir/search")
}

// TestReducedInputs checks the inputs against the originals, where those are at
// hand.
func TestReducedInputs(t *testing.T) {
	t.Parallel()
	originals := os.Getenv("FHIR_R4_DEFINITIONS")
	if originals == "" {
		t.Skip("FHIR_R4_DEFINITIONS names no folder with the unpacked definitions.json.zip of FHIR R4")
	}
	definitions, err := reduceParameters(originals)
	require.NoError(t, err)
	kept, types, err := readInputs()
	require.NoError(t, err)
	require.Equal(t, kept, definitions)
	again, err := reduceElements(originals, definitions)
	require.NoError(t, err)
	require.Equal(t, types, again)
}
