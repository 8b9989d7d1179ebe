package httpadapter_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// now is what the clock of an exporter says in tests where nothing runs.
var now = time.Date(2026, 3, 7, 12, 0, 0, 0, time.UTC)

// jobID is the id of the job that tests put into the store by hand.
const jobID = "abcdefghijklmnopqrstuvwx27"

// lines is the content of the file of that job.
var lines = func() string {
	var b strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&b, `{"resourceType":"Patient","id":"%s"}`+"\n", sum(strconv.Itoa(i)))
	}
	return b.String()
}()

// setup is what a kit is made of. Zero fields are filled.
type setup struct {
	core bulkexport.Config
	http httpadapter.Config
	// prefix is the path of BaseURL.
	prefix string
	// mount puts the handler into a host.
	mount func(*httpadapter.Handler) http.Handler
}

// kit is an exporter behind a handler behind a real HTTP server.
type kit struct {
	testing.TB
	store    bulkexport.JobStore
	sink     bulkexport.OutputSink
	exporter *bulkexport.Exporter
	handler  *httpadapter.Handler
	addr     string
	base     string
	log      *logBuffer
	ended    chan string // ids of jobs that have ended
}

func newKit(tb testing.TB, s setup) *kit {
	tb.Helper()
	k := &kit{TB: tb, log: &logBuffer{}, ended: make(chan string, 100)}
	logger := slog.New(slog.NewTextHandler(k.log, nil))
	if s.core.Source == nil {
		s.core.Source = memsource.New(memsource.Config{})
	}
	if s.core.Store == nil {
		s.core.Store = memstore.New()
	}
	if s.core.Sink == nil {
		s.core.Sink = memsink.New()
	}
	if s.core.Now == nil {
		s.core.Now = func() time.Time { return now }
	}
	s.core.Logger = logger
	s.core.Observer.JobEnded = func(_ context.Context, job bulkexport.Job) { k.ended <- job.ID }
	k.store, k.sink = s.core.Store, s.core.Sink

	var err error
	k.exporter, err = bulkexport.New(s.core)
	require.NoError(tb, err)

	server := httptest.NewUnstartedServer(nil)
	k.addr = server.Listener.Addr().String()
	k.base = "http://" + k.addr + s.prefix
	if s.http.BaseURL == "" {
		s.http.BaseURL = k.base
	}
	s.http.Open = s.http.Authorize == nil
	s.http.Logger = logger
	k.handler, err = httpadapter.New(k.exporter, s.http)
	require.NoError(tb, err)
	server.Config.Handler = k.handler
	if s.mount != nil {
		server.Config.Handler = s.mount(k.handler)
	}
	server.Start()
	tb.Cleanup(server.Close)
	return k
}

// start lets the exporter work until the test ends.
func (k *kit) start() {
	k.Helper()
	require.NoError(k, k.exporter.Start(k.Context()))
	k.Cleanup(func() {
		require.NoError(k, k.exporter.Stop(context.Background()))
	})
}

// addJob puts a job with its parts into the store.
func (k *kit) addJob(job bulkexport.Job, parts ...bulkexport.Part) {
	k.Helper()
	job.CreatedAt = now.Add(-time.Minute)
	job.Request.Level = bulkexport.LevelSystem
	if job.Request.URL == "" {
		job.Request.URL = k.base + "/fhir/$export"
	}
	if job.State.Ended() && job.ExpiresAt.IsZero() {
		job.EndedAt, job.ExpiresAt = now, now.Add(24*time.Hour)
	}
	for i := range parts {
		parts[i].Index = i
	}
	require.NoError(k, k.store.CreateJob(k.Context(), job))
	require.NoError(k, k.store.SetParts(k.Context(), job.ID, parts))
}

// addFile puts a completed job with one file, Patient.ndjson, into the store.
func (k *kit) addFile(owner bulkexport.Caller, content string) {
	k.Helper()
	file := bulkexport.File{
		Name: "part-0-1.ndjson", Type: "Patient", Kind: bulkexport.FileOutput,
		Count: int64(strings.Count(content, "\n")), Size: int64(len(content)), SHA256: sum(content),
	}
	k.addJob(bulkexport.Job{
		ID: jobID, Tenant: owner.Tenant, Client: owner.Client, State: bulkexport.JobCompleted,
		TransactionTime: now.Add(-time.Second),
	}, bulkexport.Part{
		Type: "Patient", Total: file.Count, Done: true,
		Processed: file.Count, Seen: file.Count, Files: []bulkexport.File{file},
	})
	writer, err := k.sink.Create(k.Context(), jobID, file.Name)
	require.NoError(k, err)
	_, err = io.WriteString(writer, content)
	require.NoError(k, err)
	require.NoError(k, writer.Commit())
}

func sum(content string) string {
	hash := sha256.Sum256([]byte(content))
	return hex.EncodeToString(hash[:])
}

// response is an HTTP response as it came over the wire: nothing is inflated.
type response struct {
	status int
	header http.Header
	body   []byte
	err    error // of reading the body
}

// do sends a request exactly as it is spelled here, and with a Host header that
// must not be believed. Headers are lines.
func (k *kit) do(method, target string, headers ...string) response {
	k.Helper()
	conn := k.send(method, target, headers...)
	defer conn.Close()
	res, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(k, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, body, err}
}

// get is do for what has to be answered in full.
func (k *kit) get(target string, headers ...string) response {
	k.Helper()
	res := k.do("GET", target, headers...)
	require.NoError(k, res.err)
	return res
}

// post sends a body of JSON.
func (k *kit) post(target, body string, headers ...string) response {
	k.Helper()
	return k.do("POST", target, append(headers, withBody("application/fhir+json", body))...)
}

// withBody is what follows the other headers of a request with a body.
func withBody(mediaType, body string) string {
	return fmt.Sprintf("Content-Type: %s\r\nContent-Length: %d\r\n\r\n%s", mediaType, len(body), body)
}

// accepted returns the request of the job that an answer tells of.
func (k *kit) accepted(res response) bulkexport.ExportRequest {
	k.Helper()
	require.Equal(k, http.StatusAccepted, res.status, "%s", res.body)
	id, ok := strings.CutPrefix(res.header.Get("Content-Location"), k.base+"/bulk-export/")
	require.True(k, ok, "%s", res.header)
	job, err := k.store.Job(k.Context(), id)
	require.NoError(k, err)
	return job.Request
}

func (k *kit) send(method, target string, headers ...string) net.Conn {
	k.Helper()
	var d net.Dialer
	conn, err := d.DialContext(k.Context(), "tcp", k.addr)
	require.NoError(k, err)
	_, err = fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n%s\r\n",
		method, target, strings.Join(append(headers, ""), "\r\n"))
	require.NoError(k, err)
	return conn
}

// kickOff starts an export and returns the path of its status.
func (k *kit) kickOff(target string, headers ...string) string {
	k.Helper()
	res := k.get(target, headers...)
	require.Equal(k, http.StatusAccepted, res.status, "%s", res.body)
	return k.path(res.header.Get("Content-Location"))
}

// path turns a link into what is asked of the server.
func (k *kit) path(link string) string {
	k.Helper()
	path, ok := strings.CutPrefix(link, "http://"+k.addr)
	require.True(k, ok, "%s does not begin with the base URL", link)
	return path
}

// outcome is an OperationOutcome as clients read it.
type outcome struct {
	ResourceType string `json:"resourceType"`
	Issue        []struct {
		Severity    string   `json:"severity"`
		Code        string   `json:"code"`
		Diagnostics string   `json:"diagnostics"`
		Expression  []string `json:"expression"`
	} `json:"issue"`
}

// outcomeOf reads an OperationOutcome and checks what must hold for each.
func outcomeOf(t require.TestingT, body []byte) outcome {
	var o outcome
	require.NoError(t, json.Unmarshal(body, &o), "%q", body)
	require.Equal(t, "OperationOutcome", o.ResourceType)
	require.NotEmpty(t, o.Issue)
	for _, issue := range o.Issue {
		require.NotEmpty(t, issue.Severity)
		require.NotEmpty(t, issue.Code)
		require.NotEmpty(t, issue.Diagnostics)
		for _, text := range append(issue.Expression, issue.Diagnostics) {
			require.NotEmpty(t, text)
			require.NotRegexp(t, `[\x00-\x1f\x7f]`, text)
		}
	}
	return o
}

// manifest is the manifest as clients read it.
type manifest struct {
	TransactionTime     *time.Time `json:"transactionTime"`
	Request             *string    `json:"request"`
	RequiresAccessToken *bool      `json:"requiresAccessToken"`
	Output              *[]entry   `json:"output"`
	Error               *[]entry   `json:"error"`
}

type entry struct {
	Type  string `json:"type"`
	URL   string `json:"url"`
	Count int    `json:"count"`
}

func (k *kit) manifest(path string, headers ...string) manifest {
	k.Helper()
	res := k.get(path, headers...)
	require.Equal(k, http.StatusOK, res.status, "%s", res.body)
	require.Equal(k, "application/json", res.header.Get("Content-Type"))
	var m manifest
	require.NoError(k, json.Unmarshal(res.body, &m))
	require.NotNil(k, m.TransactionTime)
	require.NotNil(k, m.Request)
	require.NotNil(k, m.RequiresAccessToken)
	require.NotNil(k, m.Output)
	require.NotNil(k, m.Error)
	return m
}

// callers by their tokens. Two of them share a tenant, two share a name.
var callers = map[string]bulkexport.Access{
	"alice": {Caller: bulkexport.Caller{Tenant: "north", Client: "alice"}},
	"bob":   {Caller: bulkexport.Caller{Tenant: "north", Client: "bob"}},
	"other": {Caller: bulkexport.Caller{Tenant: "south", Client: "alice"}},
	"narrow": {
		Caller: bulkexport.Caller{Tenant: "north", Client: "alice"},
		Types:  []string{"Observation"},
	},
}

// authorize is the authorization of a host, with some trouble in it.
func authorize(r *http.Request) (bulkexport.Access, error) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	switch token {
	case "suspended":
		return bulkexport.Access{}, fmt.Errorf("client is suspended: %w", bulkexport.ErrForbidden)
	case "trouble":
		return bulkexport.Access{}, errors.New("secret cause")
	}
	access, ok := callers[token]
	if !ok {
		return access, fmt.Errorf("unknown token: %w", httpadapter.ErrUnauthenticated)
	}
	return access, nil
}

// logBuffer is a log that several goroutines write to.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
