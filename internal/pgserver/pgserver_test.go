package pgserver_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/pgserver"
)

func TestOpenGoesOnWithWhatIsThere(t *testing.T) {
	t.Parallel()
	// No other user can enter t.TempDir.
	above, err := os.MkdirTemp("", "pgserver") //nolint:usetesting // see above
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(above)) })
	require.NoError(t, os.Chmod(above, 0o755)) //nolint:gosec // see above
	dir := filepath.Join(above, "cluster")

	server := openServer(t, dir)
	require.True(t, pgserver.Installed())
	require.Equal(t, "on", ask(t, server, "SHOW fsync"))
	exec(t, server, "CREATE TABLE kept AS SELECT 7 AS n")
	server.Halt()

	server = openServer(t, dir, "fsync=off", "work_mem=1234kB")
	require.Equal(t, "7", ask(t, server, "SELECT n::text FROM kept"))
	require.Equal(t, "1234kB", ask(t, server, "SHOW work_mem"))
	require.Equal(t, "off", ask(t, server, "SHOW fsync"))
	require.NoError(t, server.Stop())
	require.NoDirExists(t, dir)
}

func openServer(t *testing.T, dir string, settings ...string) *pgserver.Server {
	t.Helper()
	server, err := pgserver.Open(t.Context(), dir, settings...)
	if errors.Is(err, pgserver.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip("needs PostgreSQL: install the package postgresql")
	}
	require.NoError(t, err)
	return server
}

func connect(t *testing.T, server *pgserver.Server) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server.URL().String())
	require.NoError(t, err)
	return conn
}

func exec(t *testing.T, server *pgserver.Server, sql string) {
	t.Helper()
	conn := connect(t, server)
	defer conn.Close(t.Context())
	_, err := conn.Exec(t.Context(), sql)
	require.NoError(t, err)
}

func ask(t *testing.T, server *pgserver.Server, sql string) (answer string) {
	t.Helper()
	conn := connect(t, server)
	defer conn.Close(t.Context())
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&answer))
	return answer
}
