package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommittedTablesAreCurrent(t *testing.T) {
	t.Parallel()
	want, err := tables()
	require.NoError(t, err)
	got, err := os.ReadFile("../../tables.go")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "run go generate ./fhir")
}
