package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/internal/serverproc"
)

// runAsServer makes this test binary the server: a test can then kill it.
const runAsServer = "BULKEXPORT_RUN_AS_SERVER"

func TestMain(m *testing.M) {
	if os.Getenv(runAsServer) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start starts a server on a free port and waits until it listens.
func start(t *testing.T, args ...string) *serverproc.Process {
	t.Helper()
	// Tests poll without pause; one that does not want to says so in its args.
	cmd := exec.Command(os.Args[0], append([]string{"-poll-limit", "-1"}, args...)...)
	cmd.Env = append(os.Environ(), runAsServer+"=1")
	p, err := serverproc.Start(t.Context(), cmd)
	require.NoError(t, err)
	t.Cleanup(p.Kill)
	return p
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// request sends a request with a bearer token, or without if it is empty.
func request(t *testing.T, method, url, token string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	return send(t, req, token)
}

func send(t *testing.T, req *http.Request, token string) answer {
	t.Helper()
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// kickOff starts a system-level export and returns the path of its status, which
// survives a restart on another port.
func kickOff(t *testing.T, p *serverproc.Process, token string) string {
	t.Helper()
	got := request(t, http.MethodGet, p.BaseURL+"/fhir/$export", token)
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	location := got.header.Get("Content-Location")
	require.Contains(t, location, p.BaseURL+"/bulk-export/")
	return location[len(p.BaseURL):]
}

// poll asks for the status of a job until the answer is as wanted.
func poll(t *testing.T, p *serverproc.Process, job, token string, wanted func(answer) bool) answer {
	t.Helper()
	var got answer
	require.Eventually(t, func() bool {
		got = request(t, http.MethodGet, p.BaseURL+job, token)
		return wanted(got)
	}, time.Minute, 20*time.Millisecond)
	return got
}

func complete(a answer) bool { return a.status != http.StatusAccepted }

func underWay(a answer) bool { return !strings.Contains(a.body, `"progress":0}`) }
