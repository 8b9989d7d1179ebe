//go:build unix

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/pgtest"
)

// A few seconds of it, so that it is there when it is needed.
func TestSoak(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) {
		t.Parallel()
		soakFor(t, 1, "")
	})
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		soakFor(t, 2, pgtest.DSN(t))
	})
}

func soakFor(t *testing.T, servers int, dsn string) {
	t.Helper()
	var output strings.Builder
	violations, err := run(t.Context(), options{
		duration: 6 * time.Second, dsn: dsn, dir: t.TempDir(), servers: servers, clients: 4, seed: 1, size: 300,
		writePause: 10 * time.Millisecond, faultPause: 2 * time.Second, output: &output,
	})
	require.NoError(t, err)
	require.Zero(t, violations, output.String())
	require.Regexp(t, `completed +[1-9]`, output.String())
	require.Regexp(t, `resources checked +[1-9]`, output.String())
}

func TestFlagsAreChecked(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-db", "oracle"}, {"-clients", "1"}, {"30m"}, {"-resources", "1"}} {
		_, err := command(t.Context(), args, t.Output())
		require.Error(t, err)
	}
}
