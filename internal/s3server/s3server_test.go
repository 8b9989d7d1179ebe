package s3server_test

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/s3server"
)

func start(t *testing.T) *s3server.Server {
	t.Helper()
	server, err := s3server.Start(t.Context())
	if errors.Is(err, s3server.ErrNotInstalled) && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Stop()) })
	return server
}

func TestServerIsHaltedAndResumed(t *testing.T) {
	t.Parallel()
	server := start(t)
	require.NoError(t, server.CreateBucket("exports"))
	require.Error(t, server.CreateBucket("exports"))
	require.Equal(t, http.StatusForbidden, status(t, server), "it lets in nobody without a signature")

	server.Halt()
	server.Halt()
	_, err := http.Get(server.Endpoint())
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	endpoint := server.Endpoint()
	require.NoError(t, server.Resume(t.Context()))
	require.Equal(t, endpoint, server.Endpoint())
	require.Equal(t, http.StatusForbidden, status(t, server))
}

func TestServersDoNotShare(t *testing.T) {
	t.Parallel()
	one, another := start(t), start(t)
	require.NotEqual(t, one.Endpoint(), another.Endpoint())
	oneKey, oneSecret := one.Credentials()
	anotherKey, anotherSecret := another.Credentials()
	require.NotEqual(t, oneKey, anotherKey)
	require.NotEqual(t, oneSecret, anotherSecret)
}

func status(t *testing.T, server *s3server.Server) int {
	t.Helper()
	resp, err := http.Get(server.Endpoint() + "/exports")
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// TestPortOfAnotherServer has somebody listen where the server was.
func TestPortOfAnotherServer(t *testing.T) {
	t.Parallel()
	server := start(t)
	server.Halt()
	at, err := url.Parse(server.Endpoint())
	require.NoError(t, err)
	l, err := net.Listen("tcp", at.Host)
	require.NoError(t, err)
	another := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	ended := make(chan error)
	go func() { ended <- another.Serve(l) }()
	require.Error(t, server.Resume(t.Context()))
	require.NoError(t, another.Close())
	require.ErrorIs(t, <-ended, http.ErrServerClosed)
	require.NoError(t, server.Resume(t.Context()))
}

const envVictim = "S3SERVER_VICTIM"

// TestVictim is the process that TestServerDiesWithKilledProcess kills. In the
// ordinary run it has nothing to do.
func TestVictim(t *testing.T) {
	t.Parallel()
	if os.Getenv(envVictim) == "" {
		return
	}
	fmt.Println("endpoint " + start(t).Endpoint())
	<-t.Context().Done()
}

func killedProcess(t *testing.T) (endpoint string) {
	t.Helper()
	start(t) // skips where the child would
	child := exec.Command(os.Args[0], "-test.run=^TestVictim$", "-test.v")
	child.Env = append(os.Environ(), envVictim+"=1", "TMPDIR="+t.TempDir())
	stdout, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	for lines := bufio.NewScanner(stdout); endpoint == "" && lines.Scan(); {
		_, endpoint, _ = strings.Cut(lines.Text(), "endpoint ")
	}
	require.NoError(t, child.Process.Kill())
	require.Error(t, child.Wait())
	require.NotEmpty(t, endpoint)
	return endpoint
}
