package riverrunner_test

import (
	"bufio"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/loopback"
	"github.com/bulkexport/bulkexport/internal/pgtest"
)

// pooler starts a private PgBouncer in front of a database, which hands each
// transaction another session, and returns the DSN to use instead.
func pooler(t *testing.T, dsn string) string {
	t.Helper()
	binary, err := exec.LookPath("pgbouncer")
	if err != nil {
		if binary = "/usr/sbin/pgbouncer"; !exists(binary) {
			t.Skip("needs PgBouncer: install the package pgbouncer")
		}
	}
	target, err := url.Parse(dsn)
	require.NoError(t, err)
	connection := fmt.Sprintf("host=%s port=%s user=%s", target.Hostname(), target.Port(), target.User.Username())
	if password, ok := target.User.Password(); ok {
		connection += " password=" + password
	}
	free, err := loopback.FreePort(t.Context())
	require.NoError(t, err)
	port := strconv.Itoa(free)
	dir, err := os.MkdirTemp("", "pgbouncer") //nolint:usetesting // which no other user can enter
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	require.NoError(t, os.Chmod(dir, 0o755)) //nolint:gosec // for the user that it runs as
	config := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(config, fmt.Appendf(nil, `[databases]
%s = %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 20
`, strings.Trim(target.Path, "/"), connection, port), 0o644)) //nolint:gosec // as above

	args := []string{config}
	if os.Getuid() == 0 {
		args = append([]string{"-u", "postgres"}, args...) // it refuses to run as root
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	log, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Wait() }) // the context of the test has ended
	listening := make(chan bool, 1)
	go func() {
		for lines := bufio.NewScanner(log); lines.Scan(); {
			if strings.Contains(lines.Text(), "listening on 127.0.0.1:"+port) {
				listening <- true
			}
		}
		close(listening)
	}()
	require.True(t, <-listening, "PgBouncer does not listen")
	target.Host = net.JoinHostPort("127.0.0.1", port)
	return target.String()
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// TestBehindPgBouncer is the whole suite behind a pooler in transaction mode.
func TestBehindPgBouncer(t *testing.T) {
	t.Parallel()
	suite(t, pooler(t, pgtest.DSN(t)), true)
}
