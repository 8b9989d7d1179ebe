package main

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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

// process is a server in a process of its own.
type process struct {
	cmd     *exec.Cmd
	baseURL string
	ended   chan struct{} // closed when it has
	err     error         // what it ended with
	log     syncBuffer
}

var listening = regexp.MustCompile(`msg=listening .*'(http://[^/]+)/`)

// start starts a server on a free port and waits until it listens.
func start(t *testing.T, args ...string) *process {
	t.Helper()
	p := &process{ended: make(chan struct{})}
	// Tests poll without pause; one that does not want to says so in its args.
	args = append([]string{"-addr", "127.0.0.1:0", "-poll-limit", "-1"}, args...)
	p.cmd = exec.Command(os.Args[0], args...)
	p.cmd.Env = append(os.Environ(), runAsServer+"=1")
	reader, writer := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = writer, writer
	require.NoError(t, p.cmd.Start())
	go func() {
		p.err = p.cmd.Wait()
		writer.Close()
		close(p.ended)
	}()
	t.Cleanup(func() { p.kill(t) })

	found := make(chan string, 1)
	go func() {
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			p.log.add(lines.Bytes())
			if url := listening.FindSubmatch(lines.Bytes()); url != nil {
				found <- string(url[1])
			}
		}
	}()
	select {
	case p.baseURL = <-found:
	case <-p.ended:
		t.Fatalf("server ended: %v\n%s", p.err, p.log.String())
	}
	return p
}

// kill ends the process as a crash does.
func (p *process) kill(t *testing.T) {
	t.Helper()
	_ = p.cmd.Process.Kill() // it may have ended already
	<-p.ended
}

// syncBuffer is what a process printed.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) add(line []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(line)
	b.buf.WriteByte('\n')
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
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
func kickOff(t *testing.T, p *process, token string) string {
	t.Helper()
	got := request(t, http.MethodGet, p.baseURL+"/fhir/$export", token)
	require.Equal(t, http.StatusAccepted, got.status, got.body)
	location := got.header.Get("Content-Location")
	require.Contains(t, location, p.baseURL+"/bulk-export/")
	return location[len(p.baseURL):]
}

// poll asks for the status of a job until the answer is as wanted.
func poll(t *testing.T, p *process, job, token string, wanted func(answer) bool) answer {
	t.Helper()
	var got answer
	require.Eventually(t, func() bool {
		got = request(t, http.MethodGet, p.baseURL+job, token)
		return wanted(got)
	}, time.Minute, 20*time.Millisecond)
	return got
}

func complete(a answer) bool { return a.status != http.StatusAccepted }

func underWay(a answer) bool { return !strings.Contains(a.body, `"progress":0}`) }
