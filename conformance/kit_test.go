package conformance_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// setup is what a server is made of. Zero fields are filled.
type setup struct {
	core bulkexport.Config
	http httpadapter.Config
	// data are resources that are there from the beginning, see [server.put].
	data []string
	// secure asks for tokens, see authorize.
	secure bool
	// before is called before each resource that is read; its error is read
	// instead.
	before func(ctx context.Context, resource []byte) error
	// wrap puts something in front of the handler.
	wrap func(http.Handler) http.Handler
	// unstarted keeps the exporter from working.
	unstarted bool
	// fake has connections in memory and not in the network: for a bubble with a
	// fake clock.
	fake bool
}

// server is a host of the library, and a client of it.
type server struct {
	*testing.T
	source *memsource.Source
	// base is the FHIR base, root the URL without a path.
	base, root string
	client     *http.Client
	log        *logBuffer

	clock *clock
	ended chan string // ids of jobs
	seen  map[string]bool
}

func start(t *testing.T, s setup) *server {
	t.Helper()
	k := &server{
		T: t, log: &logBuffer{}, ended: make(chan string, 1000), seen: map[string]bool{},
		clock: &clock{now: time.Now().UTC().Add(-time.Hour).Truncate(time.Second)},
	}
	web := httptest.NewUnstartedServer(nil)
	if s.fake {
		web.Listener.Close()
		web.Listener = newPipes()
	}
	k.root = "http://" + web.Listener.Addr().String()
	k.base, k.client = k.root+"/fhir", clientOf(web)

	logger := slog.New(slog.NewTextHandler(k.log, nil))
	s.core.Logger, s.http.Logger = logger, logger
	k.source = memsource.New(memsource.Config{
		Now: k.clock.read, BaseURLs: []string{k.base + "/"}, FHIRVersion: s.core.FHIRVersion,
	})
	exporter := k.newExporter(s)
	web.Config.Handler = k.newHandler(exporter, s)
	if s.wrap != nil {
		web.Config.Handler = s.wrap(web.Config.Handler)
	}
	web.Start()
	t.Cleanup(web.Close)
	if !s.unstarted {
		require.NoError(t, exporter.Start(t.Context()))
		t.Cleanup(func() { require.NoError(t, exporter.Stop(context.Background())) })
	}
	k.put(s.data...)
	return k
}

func (k *server) newExporter(s setup) *bulkexport.Exporter {
	k.Helper()
	cfg := s.core
	if cfg.Source == nil {
		cfg.Source = k.source
	}
	if s.before != nil {
		cfg.Source = hookedSource{k.source, s.before}
	}
	if cfg.Store == nil {
		cfg.Store = memstore.New()
	}
	if cfg.Sink == nil {
		cfg.Sink = memsink.New()
	}
	cfg.Observer.JobEnded = func(_ context.Context, job bulkexport.Job) { k.ended <- job.ID }
	exporter, err := bulkexport.New(cfg)
	require.NoError(k, err)
	return exporter
}

func (k *server) newHandler(exporter *bulkexport.Exporter, s setup) *httpadapter.Handler {
	k.Helper()
	cfg := s.http
	if cfg.BaseURL == "" {
		cfg.BaseURL = k.root
	}
	if s.secure {
		cfg.Authorize = authorize
	}
	cfg.Open = cfg.Authorize == nil
	handler, err := httpadapter.New(exporter, cfg)
	require.NoError(k, err)
	return handler
}

// clientOf returns a client that shows answers as they come, not inflated, and
// uses each connection once, so that none outlives its test.
func clientOf(web *httptest.Server) *http.Client {
	transport := &http.Transport{DisableCompression: true, DisableKeepAlives: true}
	if listener, ok := web.Listener.(*pipes); ok {
		transport.DialContext = listener.dial
	}
	return &http.Client{Transport: transport}
}

// put stores resources, one after the other, each a second later than the one
// before, and returns the last update of the last one. A resource is given as
// "Type/id" and further members.
func (k *server) put(resources ...string) time.Time {
	k.Helper()
	var updated time.Time
	for _, resource := range resources {
		k.clock.tick()
		var err error
		updated, err = k.source.Put("", resourceOf(resource))
		require.NoError(k, err)
	}
	return updated
}

// resourceOf is the JSON of a resource as put takes it.
func resourceOf(resource string) []byte {
	name, members, _ := strings.Cut(resource, " ")
	resourceType, id, _ := strings.Cut(name, "/")
	if members != "" {
		members = "," + members
	}
	return fmt.Appendf(nil, `{"resourceType":%q,"id":%q%s}`, resourceType, id, members)
}

func (k *server) remove(names ...string) {
	for _, name := range names {
		resourceType, id, _ := strings.Cut(name, "/")
		k.clock.tick()
		k.source.Delete("", resourceType, id)
	}
}

// await waits until a job has ended, given the URL of its status.
func (k *server) await(job string) {
	k.Helper()
	for id := path.Base(job); !k.seen[id]; {
		select {
		case ended := <-k.ended:
			k.seen[ended] = true
		case <-k.Context().Done():
			require.NoError(k, k.Context().Err())
		}
	}
}

// answer is what a request brought, read whole.
type answer struct {
	request string
	status  int
	header  http.Header
	body    []byte
}

// send makes a request. A target that begins with a slash is one below the FHIR
// base. Headers are lines. Host is one that must not be believed.
func (k *server) send(method, target, body string, headers ...string) answer {
	k.Helper()
	if strings.HasPrefix(target, "/") {
		target = k.base + target
	}
	request, err := http.NewRequestWithContext(k.Context(), method, target, strings.NewReader(body))
	require.NoError(k, err)
	request.Host = "elsewhere.example"
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		request.Header.Add(name, value)
	}
	response, err := k.client.Do(request)
	require.NoError(k, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	require.NoError(k, err)
	return answer{method + " " + target, response.StatusCode, response.Header, content}
}

func (k *server) get(target string, headers ...string) answer {
	k.Helper()
	return k.send("GET", target, "", headers...)
}

// post sends Parameters.
func (k *server) post(target, body string, headers ...string) answer {
	k.Helper()
	return k.send("POST", target, body, append(headers, "Content-Type: application/fhir+json")...)
}
