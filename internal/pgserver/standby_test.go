package pgserver_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/pgserver"
)

func TestStandbyReplaysUnlessPaused(t *testing.T) {
	t.Parallel()
	primary, err := pgserver.Start(t.Context())
	if errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip("needs PostgreSQL: install the package postgresql")
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, primary.Stop()) })
	exec(t, primary, "CREATE TABLE kept (n int)")
	standby, err := primary.Standby(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, standby.Stop()) })
	require.Equal(t, "true", ask(t, standby, "SELECT pg_is_in_recovery()::text"))

	exec(t, primary, "INSERT INTO kept VALUES (1)")
	require.NoError(t, standby.AwaitReplay(t.Context(), primary))
	require.Equal(t, "1", ask(t, standby, "SELECT count(*)::text FROM kept"))

	require.NoError(t, standby.PauseReplay(t.Context()))
	exec(t, primary, "INSERT INTO kept VALUES (2)")
	require.Equal(t, "1", ask(t, standby, "SELECT count(*)::text FROM kept"))
	require.NoError(t, standby.ResumeReplay(t.Context()))
	require.NoError(t, standby.AwaitReplay(t.Context(), primary))
	require.Equal(t, "2", ask(t, standby, "SELECT count(*)::text FROM kept"))
}
