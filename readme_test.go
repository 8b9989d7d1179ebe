package bulkexport_test

import (
	"bufio"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/internal/serverproc"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	return string(text)
}

// blocks returns the fenced blocks of a language.
func blocks(text, language string) []string {
	var found []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

func TestReadmeShowsTheExample(t *testing.T) {
	t.Parallel()
	example, err := os.ReadFile("example_embed_test.go")
	require.NoError(t, err)
	code := blocks(readme(t), "go")
	require.Len(t, code, 1)
	require.Contains(t, string(example), code[0])
}

func TestReadmeLinksLeadSomewhere(t *testing.T) {
	t.Parallel()
	links := regexp.MustCompile(`\]\(([^)]+)\)`).FindAllStringSubmatch(readme(t), -1)
	require.NotEmpty(t, links)
	for _, link := range links {
		if !strings.Contains(link[1], "://") {
			_, err := os.Stat(link[1])
			require.NoError(t, err)
		}
	}
}

// TestReadmeUseCases sends every request of the table of use cases and looks
// at the types that come back.
func TestReadmeUseCases(t *testing.T) {
	t.Parallel()
	source := memsource.New(memsource.Config{})
	for _, resource := range []string{
		`{"resourceType":"Patient","id":"p"}`,
		`{"resourceType":"Observation","id":"o","subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"Condition","id":"c","subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"MedicationRequest","id":"m","subject":{"reference":"Patient/p"}}`,
		`{"resourceType":"AuditEvent","id":"a"}`,
		`{"resourceType":"Organization","id":"x"}`,
		`{"resourceType":"Group","id":"ward-7","actual":true,"member":[{"entity":{"reference":"Patient/p"}}]}`,
	} {
		_, err := source.Put("", []byte(resource))
		require.NoError(t, err)
	}
	base := serveSource(t, source)

	compartment := []string{"Condition", "Group", "MedicationRequest", "Observation", "Patient"}
	everything := []string{
		"AuditEvent", "Condition", "Group", "MedicationRequest", "Observation", "Organization", "Patient",
	}
	want := map[string][]string{
		"full migration":            everything,
		"incremental sync":          everything,
		"analytics on chosen types": {"Condition", "MedicationRequest", "Observation"},
		"compliance audit":          {"AuditEvent"},
		"population health":         compartment,
		"one ward, panel or study":  compartment,
		"chosen records":            nil, // none is final
		"lean files":                {"Patient"},
		"patient by patient":        {""},
	}
	rows := regexp.MustCompile("(?m)^\\| ([^|:]+)[^|]* \\| `GET (/fhir/[^`]+)` \\|$").FindAllStringSubmatch(readme(t), -1)
	require.Len(t, rows, len(want))
	for _, row := range rows {
		use, request := strings.TrimSpace(row[1]), row[2]
		t.Run(use, func(t *testing.T) {
			t.Parallel()
			types := exportedTypes(t, base+request)
			require.Equal(t, want[use], types)
			// Nothing has changed since: an incremental export has nothing.
			if strings.Contains(request, "_since") {
				later := regexp.MustCompile(`_since=[^&]+`).ReplaceAllString(request,
					"_since="+url.QueryEscape(time.Now().Add(time.Minute).Format(time.RFC3339)))
				require.Empty(t, exportedTypes(t, base+later))
			}
		})
	}
}

func serveSource(t *testing.T, source bulkexport.ResourceSource) (base string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	base = "http://" + server.Listener.Addr().String()
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: source, Store: memstore.New(), Sink: memsink.New(), Logger: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	handler, err := httpadapter.New(exporter, httpadapter.Config{BaseURL: base, Open: true})
	require.NoError(t, err)
	server.Config.Handler = handler
	server.Start()
	require.NoError(t, exporter.Start(t.Context()))
	t.Cleanup(func() {
		server.Close()
		require.NoError(t, exporter.Stop(context.Background()))
	})
	return base
}

// exportedTypes runs an export over HTTP and returns the types in its manifest.
func exportedTypes(t *testing.T, request string) []string {
	t.Helper()
	response := get(t, request)
	require.Equal(t, http.StatusAccepted, response.StatusCode)
	job := response.Header.Get("Content-Location")
	var types []string
	require.Eventually(t, func() bool {
		response := get(t, job)
		if response.StatusCode != http.StatusOK {
			return false
		}
		var manifest struct{ Output []bulkexport.ManifestFile }
		require.NoError(t, json.NewDecoder(response.Body).Decode(&manifest))
		for _, file := range manifest.Output {
			types = append(types, file.Type)
		}
		return true
	}, time.Minute, time.Millisecond)
	slices.Sort(types)
	return types
}

func get(t *testing.T, address string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	require.NoError(t, err)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() })
	return response
}

// needShell skips a test where there is no shell, or no curl.
func needShell(t *testing.T) {
	t.Helper()
	for _, tool := range []string{"bash", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s: install the package %s", tool, tool)
		}
	}
}

// TestReadmeCurl runs the README's curl lines in a shell, against the server
// that it starts as the README says.
func TestReadmeCurl(t *testing.T) {
	t.Parallel()
	needShell(t)
	shell := blocks(readme(t), "sh")
	require.Len(t, shell, 6)
	require.Equal(t, "go run ./examples/quickstart\n", shell[0]) // run by its own test
	require.Equal(t, "go test work\n", shell[3])                 // run right now
	base := startServer(t, t.TempDir(), shell[4])
	script := strings.ReplaceAll(shell[5], "http://127.0.0.1:8080", base)
	require.Contains(t, script, base)

	shellCommand := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
	shellCommand.Dir = t.TempDir()
	out, err := shellCommand.CombinedOutput()
	require.NoError(t, err, "%s", out)
	text := strings.ReplaceAll(string(out), "\r", "")
	require.Regexp(t, `(?s)^HTTP/1.1 202 Accepted\n.*Content-Location: http://[^\n]+/bulk-export/[a-z2-7]{26}\n`, text)
	require.Regexp(t, `"output":\[\{"type":"Observation",.*"type":"Patient".*"error":\[\]`, text)
	require.Regexp(t, `(?s)HTTP/1.1 204 No Content\n.*HTTP/1.1 404 Not Found\n.*OperationOutcome`, text)
}

// TestReadmeToken runs what the README says of clients and tokens.
func TestReadmeToken(t *testing.T) {
	t.Parallel()
	needShell(t)
	shell := blocks(readme(t), "sh")
	dir := t.TempDir()
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(dir, "token"), "./examples/server/token")
	out, err := build.CombinedOutput()
	require.NoError(t, err, "%s", out)
	run := func(script string) string {
		script = strings.ReplaceAll(script, "go run ./examples/server/token", "./token")
		command := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", script)
		command.Dir = dir
		out, err := command.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	client, server, found := strings.Cut(shell[1], "\n")
	require.True(t, found)
	run(client)
	base := startServer(t, dir, server)
	// The client looks for the server where it is in the README.
	script := strings.ReplaceAll(shell[2], "-client app", "-client app -url "+base+"/fhir")
	text := run(strings.ReplaceAll(script, "http://127.0.0.1:8080", base))
	require.Regexp(t, `^HTTP/1.1 202 Accepted`, text)
}

func TestSecurityShowsTheExamples(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/security.md")
	require.NoError(t, err)
	code := blocks(string(page), "go")
	require.Len(t, code, 2)
	for i, name := range []string{"smart/example_test.go", "smart/authserver/example_test.go"} {
		example, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Contains(t, string(example), code[i])
	}
}

// startServer builds and starts the server that a command line runs, on a free port and
// with its state in the folder, from which it is run, and returns the base URL that it
// logs.
func startServer(t *testing.T, dir, commandLine string) string {
	t.Helper()
	words := strings.Fields(commandLine)
	require.Equal(t, []string{"go", "run", "./examples/server"}, words[:3])
	binary := filepath.Join(dir, "server")
	require.NoError(t, serverproc.Build(t.Context(), binary))

	words = append(words[3:], "-addr", "127.0.0.1:0", "-dir", filepath.Join(dir, "data"))
	server := exec.CommandContext(t.Context(), binary, words...)
	server.Dir = dir
	server.Cancel = func() error { return server.Process.Signal(os.Interrupt) }
	server.WaitDelay = 20 * time.Second
	log, err := server.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, server.Start())
	t.Cleanup(func() { _ = server.Wait() }) // the context of the test has ended

	address := regexp.MustCompile(`http://[0-9.:]+`)
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if base := address.FindString(lines.Text()); strings.Contains(lines.Text(), "listening") && base != "" {
			go func() {
				for lines.Scan() { // what is not read would stop the server some time
				}
			}()
			return base
		}
	}
	require.Fail(t, "the server does not listen")
	return ""
}
