package httpadapter_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// resources are what the tests of the whole flow export.
const resources = `{"resourceType":"Patient","id":"p1","active":true}
{"resourceType":"Patient","id":"p2","multipleBirthInteger":2}
{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"},"valueQuantity":{"value":1.50}}
{"resourceType":"Organization","id":"g1"}
`

func loaded(t *testing.T, tenant string) *memsource.Source {
	t.Helper()
	source := memsource.New(memsource.Config{})
	_, err := source.Load(t.Context(), tenant, strings.NewReader(resources))
	require.NoError(t, err)
	return source
}

// liveSetup is a setup whose exporter can run: its clock goes.
func liveSetup(t *testing.T) setup {
	t.Helper()
	return setup{core: bulkexport.Config{Source: loaded(t, ""), Now: time.Now}}
}

// files downloads the output of a completed export by type.
func (k *kit) files(status string) map[string]string {
	k.Helper()
	files := map[string]string{}
	for _, item := range *k.manifest(status).Output {
		res := k.get(k.path(item.URL))
		require.Equal(k, http.StatusOK, res.status)
		require.Equal(k, item.Count, strings.Count(string(res.body), "\n"))
		files[item.Type] += string(res.body)
	}
	return files
}

func TestFlow(t *testing.T) {
	t.Parallel()
	line := strings.SplitAfter(resources, "\n")
	system := map[string]string{"Patient": line[0] + line[1], "Observation": line[2], "Organization": line[3]}
	for _, test := range []struct {
		name   string
		target string
		want   map[string]string
	}{
		{"system", "/fhir/$export", system},
		{"escaped dollar", "/fhir/%24export", system},
		{"patient", "/fhir/Patient/$export",
			map[string]string{"Patient": line[0] + line[1], "Observation": line[2]}},
		{"patient, escaped dollar", "/fhir/Patient/%24export?_type=Patient", map[string]string{"Patient": line[0] + line[1]}},
		{"types", "/fhir/$export?_type=Organization,Observation&_outputFormat=application/fhir+ndjson",
			map[string]string{"Observation": line[2], "Organization": line[3]}},
		{"nothing", "/fhir/$export?_since=2026-01-01T00:00:00%2B02:00&_type=Group", map[string]string{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, liveSetup(t))
			k.start()
			status := k.kickOff(test.target, "Prefer: respond-async", "Accept: application/fhir+json")
			require.Equal(t, status, "/bulk-export/"+<-k.ended)
			require.Equal(t, test.want, k.files(status))
			require.Equal(t, k.base+test.target, *k.manifest(status).Request, "as the client spelled it")
			require.Empty(t, *k.manifest(status).Error)

			files := *k.manifest(status).Output
			deleted := k.do("DELETE", status)
			require.Equal(t, http.StatusNoContent, deleted.status)
			require.Empty(t, deleted.body)
			for _, file := range files {
				require.Equal(t, http.StatusNotFound, k.get(k.path(file.URL)).status)
			}
			for _, method := range []string{"GET", "DELETE"} {
				again := k.do(method, status)
				require.Equal(t, http.StatusNotFound, again.status)
				require.Equal(t, "not-found", outcomeOf(t, again.body).Issue[0].Code)
			}
		})
	}
}

// gatedSource says when Patients are read, and waits to be let on.
type gatedSource struct {
	*memsource.Source
	entered, gate chan struct{}
}

func (s gatedSource) Resources(ctx context.Context, q bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	if q.Type != "Patient" {
		return s.Source.Resources(ctx, q)
	}
	return func(yield func(bulkexport.Resource, error) bool) {
		s.entered <- struct{}{}
		select {
		case <-s.gate:
			s.Source.Resources(ctx, q)(yield)
		case <-ctx.Done():
			yield(bulkexport.Resource{}, ctx.Err())
		}
	}
}

func TestRunningThenCompleted(t *testing.T) {
	t.Parallel()
	source := gatedSource{loaded(t, ""), make(chan struct{}), make(chan struct{})}
	k := newKit(t, setup{core: bulkexport.Config{Source: source, Now: time.Now}})
	k.start()
	status := k.kickOff("/fhir/$export?_type=Patient")
	<-source.entered
	running := k.get(status)
	require.Equal(t, http.StatusAccepted, running.status)
	require.Equal(t, "0% (0 / 2 resources)", running.header.Get("X-Progress"))
	require.Equal(t, http.StatusNotFound, k.get(status+"/Patient.ndjson").status, "files come with the manifest")
	close(source.gate)
	<-k.ended
	require.Len(t, k.files(status), 1)
}

func TestDeleteWhileRunning(t *testing.T) {
	t.Parallel()
	source := gatedSource{loaded(t, ""), make(chan struct{}), make(chan struct{})}
	k := newKit(t, setup{
		core: bulkexport.Config{Source: source, Now: time.Now},
		http: httpadapter.Config{DeleteStatus: http.StatusAccepted},
	})
	k.start()
	status := k.kickOff("/fhir/$export?_type=Patient")
	<-source.entered
	require.Equal(t, http.StatusAccepted, k.do("DELETE", status).status)
	require.Equal(t, http.StatusNotFound, k.get(status).status)
	require.Equal(t, http.StatusNotFound, k.do("DELETE", status).status)
}

// untouchable is a source that a kick-off must leave alone.
type untouchable struct{ t *testing.T }

func (u untouchable) Types(context.Context, bulkexport.Scope) ([]string, error) {
	u.t.Error("Types was called")
	return nil, nil
}

func (u untouchable) Resources(context.Context, bulkexport.Query) iter.Seq2[bulkexport.Resource, error] {
	u.t.Error("Resources was called")
	return func(func(bulkexport.Resource, error) bool) {}
}

func (u untouchable) Count(context.Context, bulkexport.Query) (int64, error) {
	u.t.Error("Count was called")
	return 0, nil
}

func (u untouchable) TransactionTime(context.Context, string) (time.Time, error) {
	u.t.Error("TransactionTime was called")
	return now, nil
}

func TestKickOffTouchesNoResource(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{Source: untouchable{t}}})
	res := k.get("/fhir/Patient/$export?_type=Patient,Observation&_since=2026-01-01T00:00:00Z")
	require.Equal(t, http.StatusAccepted, res.status)
	require.Len(t, res.header.Values("Content-Location"), 1)
	require.Regexp(t, "^"+k.base+"/bulk-export/[a-z2-7]{26}$", res.header.Get("Content-Location"))
	require.Empty(t, res.body)
	status := k.get(k.path(res.header.Get("Content-Location")))
	require.Equal(t, http.StatusAccepted, status.status)
	require.Equal(t, "0% (0 resources)", status.header.Get("X-Progress"))
}

func TestMounts(t *testing.T) {
	t.Parallel()
	host := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "host") }
	for _, test := range []struct {
		name  string
		setup setup
		paths [2]string // of kick-off and status
		hosts []string  // paths that stay the host's
	}{
		{
			name:  "beside the host's handlers",
			paths: [2]string{"/fhir/$export", "/bulk-export/"},
			hosts: []string{"/fhir/Patient/p1", "/fhir/metadata", "/fhir/Group/g1", "/bulk-exports", "/"},
			setup: setup{mount: func(h *httpadapter.Handler) http.Handler {
				mux := http.NewServeMux()
				mux.HandleFunc("/fhir/", host)
				mux.HandleFunc("GET /{$}", host)
				mux.HandleFunc("GET /bulk-exports", host)
				for _, pattern := range h.Patterns() {
					mux.Handle(pattern, h)
				}
				return mux
			}},
		},
		{
			name:  "beside patterns with methods and wildcards",
			paths: [2]string{"/fhir/Patient/$export", "/bulk-export/"},
			hosts: []string{"/fhir/Patient/p1", "/fhir/Patient", "/fhir/Group/g1", "/fhir/Group/g1/$everything"},
			setup: setup{mount: func(h *httpadapter.Handler) http.Handler {
				mux := http.NewServeMux()
				mux.HandleFunc("GET /fhir/{type}/{id}", host)
				mux.HandleFunc("GET /fhir/{type}", host)
				mux.HandleFunc("GET /fhir/{type}/{id}/{operation}", host)
				mux.HandleFunc("POST /fhir/{type}", host)
				for _, pattern := range h.Patterns() {
					mux.Handle("GET "+pattern, h)
					mux.Handle("POST "+pattern, h)
				}
				return mux
			}},
		},
		{
			name:  "under a prefix",
			paths: [2]string{"/some/api/fhir/$export", "/some/api/bulk-export/"},
			hosts: []string{"/some/api/other"},
			setup: setup{prefix: "/some/api", mount: func(h *httpadapter.Handler) http.Handler {
				mux := http.NewServeMux()
				mux.HandleFunc("/some/api/other", host)
				mux.Handle("/", h)
				return mux
			}},
		},
		{
			name:  "other paths",
			paths: [2]string{"/$export", "/r4/jobs/"},
			setup: setup{http: httpadapter.Config{FHIRPath: "/", JobPath: "/r4/jobs/"}},
		},
		{
			name:  "a router of the host",
			paths: [2]string{"/fhir/$export", "/bulk-export/"},
			setup: setup{mount: func(h *httpadapter.Handler) http.Handler {
				mux := http.NewServeMux()
				mux.Handle("/{base}/{export}", h.KickOff(bulkexport.LevelSystem))
				mux.HandleFunc("GET /bulk-export/{id}", h.Status)
				mux.HandleFunc("DELETE /bulk-export/{id}", h.Delete)
				mux.HandleFunc("GET /bulk-export/{id}/{file}", h.File)
				return mux
			}},
		},
		{
			name:  "behind a path that the host cuts off",
			paths: [2]string{"/cut/fhir/%24export", "/cut/bulk-export/"},
			setup: setup{prefix: "/cut", mount: func(h *httpadapter.Handler) http.Handler {
				mux := http.NewServeMux()
				mux.Handle("/fhir/$export", h.KickOff(bulkexport.LevelSystem))
				mux.HandleFunc("GET /bulk-export/{id}", h.Status)
				mux.HandleFunc("GET /bulk-export/{id}/{file}", h.File)
				return http.StripPrefix("/cut", mux)
			}},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.setup.core = liveSetup(t).core
			k := newKit(t, test.setup)
			k.start()
			status := k.kickOff(test.paths[0] + "?_type=Patient")
			require.Equal(t, test.paths[1]+<-k.ended, status)
			require.Equal(t, "http://"+k.addr+test.paths[0]+"?_type=Patient", *k.manifest(status).Request)
			require.Len(t, k.files(status), 1)
			for _, path := range test.hosts {
				require.Equal(t, "host", string(k.get(path).body), path)
			}
		})
	}
}

func TestMountedElsewhereAnswersNothing(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{prefix: "/api", http: httpadapter.Config{FHIRPath: "/r4"}})
	for _, path := range []string{"/", "/api", "/r4/$export", "/api/fhir/$export", "/bulk-export/" + jobID} {
		require.Equal(t, http.StatusNotFound, k.get(path).status, path)
	}
}

func TestDownloadsAtOnce(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	k.addFile(bulkexport.Caller{}, lines)
	conns := make([]net.Conn, 16)
	for i := range conns {
		conns[i] = k.send("GET", file)
		defer conns[i].Close()
	}
	var wait sync.WaitGroup
	for _, conn := range conns {
		wait.Go(func() {
			all, err := io.ReadAll(conn)
			assert.NoError(t, err)
			assert.True(t, strings.HasSuffix(string(all), "\r\n\r\n"+lines))
		})
	}
	wait.Wait()
}

func TestStatusSaysThatItIsTriedAgain(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	k.addJob(bulkexport.Job{ID: jobID, State: bulkexport.JobRunning}, bulkexport.Part{
		Type: "Patient", Total: 1_000_000_000_000, Seen: 999_999_999_999,
		Claim: bulkexport.Claim{Attempt: 1, Failures: 1, RetryAt: now.Add(time.Second)},
	})
	running := k.get(status)
	require.Equal(t, http.StatusAccepted, running.status)
	progress := running.header.Get("X-Progress")
	require.Equal(t, "99% (999999999999 / 1000000000000 resources, trying again after an error)", progress)
	require.Less(t, len(progress), 100, "Bulk Data Access, status in progress")
	require.Contains(t, string(running.body), "resources processed, trying again after an error)")
}
