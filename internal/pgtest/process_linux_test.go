package pgtest_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/pgtest"
)

const envVictim = "PGTEST_VICTIM"

// TestVictim is the process that TestServerDiesWithKilledTest kills. In the
// ordinary run it has nothing to do.
func TestVictim(t *testing.T) {
	t.Parallel()
	if os.Getenv(envVictim) == "" {
		return
	}
	fmt.Println("dsn " + pgtest.DSN(t))
	<-t.Context().Done()
}

func TestServerDiesWithKilledTest(t *testing.T) {
	t.Parallel()
	child := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
	child.Env = append(os.Environ(), envVictim+"=1", "BULKEXPORT_TEST_POSTGRES=",
		"TMPDIR="+sharedTempDir(t))
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())

	dsn := ""
	for lines := bufio.NewScanner(stdout); dsn == "" && lines.Scan(); {
		if strings.Contains(lines.Text(), "needs PostgreSQL") {
			t.Skip(lines.Text())
		}
		_, dsn, _ = strings.Cut(lines.Text(), "dsn ")
	}
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.NotEmpty(t, dsn, "child gave no DSN")
	require.Eventually(t, func() bool { return refused(dsn) }, 30*time.Second, 50*time.Millisecond)
}

func sharedTempDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "pgtest") //nolint:usetesting // no other user can enter t.TempDir
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	require.NoError(t, os.Chmod(dir, 0o755))
	return dir
}

func refused(dsn string) bool {
	conn, err := pgx.Connect(context.Background(), dsn)
	if err == nil {
		_ = conn.Close(context.Background())
		return false
	}
	return strings.Contains(err.Error(), "connection refused")
}
