package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	ada    = `{"resourceType":"Patient","id":"ada"}` + "\n"
	pulse  = `{"resourceType":"Observation","id":"pulse"}` + "\n"
	token  = "Bearer ey.very.secret"
	secret = "ey.very.secret"
)

// fhirServer is somebody else's server: what it answers is written down in each
// test. Its routes are those of a http.ServeMux.
type fhirServer struct {
	*httptest.Server
	mux *http.ServeMux

	mu   sync.Mutex
	seen []*http.Request
}

func newServer(t *testing.T) *fhirServer {
	t.Helper()
	s := &fhirServer{mux: http.NewServeMux()}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r)
		s.mu.Unlock()
		s.mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// on answers the requests of a pattern: with each answer once, and with the
// last one from then on.
func (s *fhirServer) on(pattern string, answers ...http.HandlerFunc) {
	var mu sync.Mutex
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		answer := answers[0]
		if len(answers) > 1 {
			answers = answers[1:]
		}
		mu.Unlock()
		answer(w, r)
	})
}

// onJob answers everything but the files: the kick-off, and the status of /job,
// which is the manifest after what is given for the time when it runs.
func (s *fhirServer) onJob(manifest map[string]any, running ...http.HandlerFunc) {
	s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", s.URL+"/job"))
	s.onStatus(append(running, s.manifest(manifest))...)
}

// onStatus answers the status of /job, DELETE with 202, and then 404.
func (s *fhirServer) onStatus(answers ...http.HandlerFunc) {
	var deleted atomic.Bool
	s.on("DELETE /job", func(w http.ResponseWriter, _ *http.Request) {
		deleted.Store(true)
		w.WriteHeader(http.StatusAccepted)
	})
	for i, status := range answers {
		answers[i] = func(w http.ResponseWriter, r *http.Request) {
			if deleted.Load() {
				status = refusal(http.StatusNotFound, "not-found", "No job here.")
			}
			status(w, r)
		}
	}
	s.on("GET /job", answers...)
}

// requests returns those that were made of a path.
func (s *fhirServer) requests(method, path string) (found []*http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.seen {
		if r.Method == method && r.URL.Path == path {
			found = append(found, r)
		}
	}
	return found
}

func (s *fhirServer) authorizations(path string) (found []string) {
	for _, r := range s.requests(http.MethodGet, path) {
		found = append(found, r.Header.Get("Authorization"))
	}
	return found
}

// answer has header fields as pairs of name and value.
func answer(status int, body string, fields ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i < len(fields); i += 2 {
			w.Header().Set(fields[i], fields[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func refusal(status int, code, text string, fields ...string) http.HandlerFunc {
	body, err := json.Marshal(map[string]any{"resourceType": "OperationOutcome", "issue": []any{
		map[string]any{"severity": "error", "code": code, "details": map[string]any{"text": text}},
	}})
	if err != nil {
		panic(err) // the test is wrong
	}
	return answer(status, string(body), append(fields, "Content-Type", "application/fhir+json")...)
}

// manifest is completed by what each has to have.
func (s *fhirServer) manifest(members map[string]any) http.HandlerFunc {
	whole := map[string]any{
		"transactionTime": "2026-03-07T11:42:10.318Z", "request": s.URL + "/fhir/$export",
		"requiresAccessToken": true, "output": []any{}, "error": []any{},
	}
	for name, value := range members {
		if whole[name] = value; value == nil {
			delete(whole, name)
		}
	}
	text, err := json.Marshal(whole)
	if err != nil {
		panic(err) // the test is wrong
	}
	return answer(http.StatusOK, string(text), "Content-Type", "application/json")
}

// item is a file in a manifest; no count if that is negative.
func item(resourceType, url string, count int) map[string]any {
	entry := map[string]any{"url": url}
	if resourceType != "" {
		entry["type"] = resourceType
	}
	if count >= 0 {
		entry["count"] = count
	}
	return entry
}

// exported is what is left of an export.
type exported struct {
	printed string
	err     error
	dir     string
	waits   []time.Duration
}

// export runs the quickstart against the server, on a clock that needs no time.
func export(ctx context.Context, t *testing.T, url string, headers ...string) *exported {
	t.Helper()
	e := &exported{dir: filepath.Join(t.TempDir(), "export")}
	var printed bytes.Buffer
	e.err = run(ctx, options{
		url: url, headers: headers, dir: e.dir, out: printer{&printed},
		sleep: func(ctx context.Context, d time.Duration) error {
			e.waits = append(e.waits, d)
			return ctx.Err()
		},
	})
	e.printed = printed.String()
	return e
}

// files returns the content of each file by its name.
func (e *exported) files(t *testing.T) map[string]string {
	t.Helper()
	entries, err := os.ReadDir(e.dir)
	require.NoError(t, err)
	files := map[string]string{}
	for _, entry := range entries {
		text, err := os.ReadFile(filepath.Join(e.dir, entry.Name()))
		require.NoError(t, err)
		files[entry.Name()] = string(text)
	}
	return files
}

func seconds(all ...int) []time.Duration {
	var waits []time.Duration
	for _, n := range all {
		waits = append(waits, time.Duration(n)*time.Second)
	}
	return waits
}
