package smart_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// none is the id of an export that never existed.
const none = "aaaaaaaaaaaaaaaaaaaaaaaaaa"

// matrix is an exporter behind a real HTTP server. After begin it has the exports of
// all owners.
type matrix struct {
	testing.TB
	base    string
	store   *memstore.Store
	exports []export
	ids     []string // of the exports
	// ended has ids of jobs, entered says that one is running and does not go on.
	ended   chan string
	entered chan struct{}

	diaries diaries
	client  *http.Client
	asked   atomic.Int64 // requests so far
}

func newMatrix(tb testing.TB, urls httpadapter.SignedURLs) *matrix {
	tb.Helper()
	m := &matrix{
		TB: tb, store: memstore.New(),
		ended: make(chan string, 1000), entered: make(chan struct{}, len(owners)),
		client: &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 8}},
	}
	logger := slog.New(slog.DiscardHandler)
	core := bulkexport.Config{
		Source: notedSource{populated(tb)}, Store: notedStore{m.store}, Sink: notedSink{memsink.New()},
		Runner: bulkexport.NewPool(len(owners)), Filter: m.filter, Logger: logger,
		MaxFileResources: fileResources, ManifestFiles: 2,
	}
	core.Observer.JobEnded = func(_ context.Context, job bulkexport.Job) { m.ended <- job.ID }
	exporter, err := bulkexport.New(core)
	require.NoError(tb, err)
	require.NoError(tb, exporter.Start(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, exporter.Stop(context.Background())) })
	m.serve(exporter, httpadapter.Config{
		Authorize: newAuthorizer(tb, issuerKeys(tb)).Authorize, SignedURLs: urls, Logger: logger,
		PollLimit: -1, FailedLogins: httpadapter.Rate{Burst: -1},
	})
	return m
}

// populated is a source with the population, and a deleted patient of each tenant.
func populated(tb testing.TB) *memsource.Source {
	source := memsource.New(memsource.Config{})
	for tenant, counts := range population {
		for name := range counts {
			_, err := source.Load(tb.Context(), tenant, strings.NewReader(strings.Join(records(tenant, name), "\n")))
			require.NoError(tb, err)
		}
		_, err := source.Put(tenant, []byte(record(tenant, "Patient", 100)))
		require.NoError(tb, err)
		source.Delete(tenant, "Patient", "canary-"+tenant+"-patient-100")
	}
	return source
}

// filter makes exports fail or go on for ever, as their names for NDJSON say.
func (m *matrix) filter(ctx context.Context, job bulkexport.Job, _ string, resource []byte) ([]byte, error) {
	switch {
	case strings.HasSuffix(job.Request.URL, "_outputFormat=application/ndjson"):
		return nil, fmt.Errorf("refused: %w", bulkexport.ErrPermanent)
	case strings.HasSuffix(job.Request.URL, "_outputFormat=ndjson"):
		m.entered <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return resource, nil
}

func (m *matrix) serve(exporter *bulkexport.Exporter, cfg httpadapter.Config) {
	m.Helper()
	server := httptest.NewUnstartedServer(nil)
	m.base = "http://" + server.Listener.Addr().String()
	cfg.BaseURL = m.base
	handler, err := httpadapter.New(exporter, cfg)
	require.NoError(m, err)
	discovery, err := smart.Configuration{TokenEndpoint: issuerURL + "/token"}.Handler()
	require.NoError(m, err)
	mux := http.NewServeMux()
	mux.Handle("/fhir"+smart.ConfigurationPath, discovery)
	mux.Handle("/", handler)
	server.Config.Handler = m.diaries.wrap(mux)
	server.Start()
	m.Cleanup(func() {
		m.client.CloseIdleConnections()
		server.Close()
	})
}

// begin has each owner start its exports. Those that run keep all workers busy, so
// that those that come later stay accepted.
func (m *matrix) begin() {
	m.Helper()
	for _, kind := range exportKinds {
		for _, owner := range owners {
			e := kind
			e.owner = owner
			m.start(&e)
			m.exports, m.ids = append(m.exports, e), append(m.ids, e.id)
		}
		if kind.state == bulkexport.JobRunning {
			for range owners {
				<-m.entered
			}
		}
	}
	for _, e := range m.exports {
		job, err := m.store.Job(m.Context(), e.id)
		if e.state == bulkexport.JobDeleted && err != nil {
			continue
		}
		require.NoError(m, err)
		require.Equal(m, e.state, job.State, e.name)
		require.Equal(m, e.types, job.Request.Types, e.name)
	}
}

// start brings an export into its state.
func (m *matrix) start(e *export) {
	m.Helper()
	b := bearerOf(e.owner, scopeSet{scope: e.scope})
	e.id = m.kickOff(e.path, b)
	if e.state.Ended() {
		require.Equal(m, e.id, <-m.ended)
	}
	if e.state == bulkexport.JobDeleted {
		res := m.do(request{method: http.MethodDelete, path: "/bulk-export/" + e.id, token: b.token})
		require.Equal(m, http.StatusNoContent, res.status)
		require.Equal(m, e.id, <-m.ended)
	}
}

func (m *matrix) kickOff(path string, b bearer) (id string) {
	m.Helper()
	res := m.do(request{method: http.MethodGet, path: path, token: b.token})
	require.Equal(m, http.StatusAccepted, res.status, "%s", res.body)
	return res.job()
}

// request is what a client sends, and reply what it gets.
type request struct{ method, path, body, token string }

type reply struct {
	status       int
	header, body string
	location     string
	calls        []string
}

// job returns the id in the Content-Location.
func (r reply) job() string { return r.location[strings.LastIndexByte(r.location, '/')+1:] }

// alike is all that could tell two replies apart.
func (r reply) alike() string {
	return fmt.Sprintf("%d\n%s\n%s\nafter %v", r.status, r.header, r.body, r.calls)
}

// do sends a request and reads all of the reply. Its header is without the date.
func (m *matrix) do(req request) reply {
	m.Helper()
	r, err := http.NewRequestWithContext(m.Context(), req.method, m.base+req.path, strings.NewReader(req.body))
	require.NoError(m, err)
	if req.token != "" {
		r.Header.Set("Authorization", "Bearer "+req.token)
	}
	if req.body != "" {
		r.Header.Set("Content-Type", "application/fhir+json")
	}
	r.Header.Set("Prefer", "respond-async, handling=lenient")
	if req.method == http.MethodPost {
		r.Header.Set("Prefer", "respond-async")
	}
	own := &diary{ended: make(chan struct{})}
	number := strconv.FormatInt(m.asked.Add(1), 10)
	r.Header.Set(diaryHeader, number)
	m.diaries.byRequest.Store(number, own)
	defer m.diaries.byRequest.Delete(number)
	res, err := m.client.Do(r)
	require.NoError(m, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(m, err)
	<-own.ended
	res.Header.Del("Date")
	var head bytes.Buffer
	require.NoError(m, res.Header.Write(&head))
	return reply{res.StatusCode, head.String(), string(body), res.Header.Get("Content-Location"), own.calls}
}
