package main

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommittedTablesAreCurrent(t *testing.T) {
	t.Parallel()
	for _, v := range versions {
		want, err := tables(v.suffix, v.number)
		require.NoError(t, err)
		got, err := os.ReadFile("../../tables_" + v.suffix + ".go")
		require.NoError(t, err)
		require.Equal(t, string(want), string(got), "run go generate ./fhir")
	}
}
