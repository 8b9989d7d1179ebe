//go:build unix

package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/bulkclient"
	"github.com/bulkexport/bulkexport/internal/pgserver"
	"github.com/bulkexport/bulkexport/internal/s3server"
)

// envArgs are further flags, for a longer run.
const envArgs = "BULKEXPORT_CLUSTER"

// A few exports of each kind that takes seconds, so that it is there when it is
// needed.
func TestCluster(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"kill", "twice", "clocks", "postgres", "delete"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			printed := try(t, "-mode", name, "-exports", "1", "-at-once", "1", "-patients", "60",
				"-rate", "100", "-pause", "1s", "-outage", "1s", "-seed", "1")
			if name != "delete" {
				require.Contains(t, printed, "1 of 1")
				require.Regexp(t, `(kills|restarts of PostgreSQL) +[1-9]`, printed)
			}
			require.Regexp(t, `violations +0\n`, printed)
		})
	}
}

func try(t *testing.T, args ...string) string {
	t.Helper()
	var printed strings.Builder
	violations, err := command(t.Context(), append(args, strings.Fields(os.Getenv(envArgs))...), &printed)
	absent := errors.Is(err, pgserver.ErrNotInstalled) || errors.Is(err, s3server.ErrNotInstalled)
	if absent && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	t.Log(printed.String())
	require.NoError(t, err)
	require.Zero(t, violations)
	return printed.String()
}

func TestFlagsAreChecked(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-mode", "rest"}, {"-nodes", "1"}, {"-exports", "0"}, {"kill"}} {
		_, err := command(t.Context(), args, t.Output())
		require.Error(t, err)
	}
}

// The comparison must find what is wrong.
func TestDifferencesAreSeen(t *testing.T) {
	t.Parallel()
	one, two := bulkclient.Content{SHA256: "1", Lines: 1}, bulkclient.Content{SHA256: "2", Lines: 1}
	r := &rig{want: map[string]bulkclient.Content{"a": one, "b": two}}
	require.NoError(t, r.compare(map[string]bulkclient.Content{"a": one, "b": two}))
	require.ErrorContains(t, r.compare(map[string]bulkclient.Content{"a": one}), "b is missing")
	require.ErrorContains(t, r.compare(map[string]bulkclient.Content{"a": one, "b": one}), "b has other content")
	three := map[string]bulkclient.Content{"a": one, "b": two, "c": one}
	require.ErrorContains(t, r.compare(three), "3 files instead of 2")

	orphans, missing := difference([]string{"j/a", "j/b"}, map[string]bool{"j/a": true, "j/c": true})
	require.Equal(t, []string{"j/b"}, orphans)
	require.Equal(t, 1, missing)
}
