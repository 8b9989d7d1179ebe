package audit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/audit"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const records = `{"resourceType":"Patient","id":"a"}
{"resourceType":"Patient","id":"b"}
{"resourceType":"Observation","id":"c","subject":{"reference":"Patient/a"}}
{"resourceType":"Group","id":"ward","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/a"}}]}
`

// host is a server whose trail is told to a channel.
type host struct {
	*testing.T
	url    string
	events chan audit.Event
	client http.Client
}

func newHost(t *testing.T, s bulkexport.Config) *host {
	t.Helper()
	h := &host{
		T: t, events: make(chan audit.Event, 10),
		client: http.Client{Transport: &http.Transport{DisableCompression: true}},
	}
	t.Cleanup(h.client.CloseIdleConnections)
	trail := audit.Writer(func(ctx context.Context, event audit.Event) {
		require.NoError(t, ctx.Err())
		h.events <- event
	})
	source := memsource.New(memsource.Config{})
	_, err := source.Load(t.Context(), "north", strings.NewReader(records))
	require.NoError(t, err)
	s.Source, s.Store, s.Sink = source, memstore.New(), memsink.New()
	s.Observer = s.Observer.With(trail.Observer())
	s.Logger = slog.New(slog.DiscardHandler)
	exporter, err := bulkexport.New(s)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(nil)
	h.url = "http://" + server.Listener.Addr().String()
	server.Config.Handler, err = httpadapter.New(exporter, httpadapter.Config{
		BaseURL: h.url, Authorize: authorize, Observer: trail.HTTPObserver(),
		RemoteAddr: func(*http.Request) string { return "192.0.2.7" },
	})
	require.NoError(t, err)
	server.Start()
	t.Cleanup(server.Close)
	require.NoError(t, exporter.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, exporter.Stop(context.Background())) })
	return h
}

func authorize(r *http.Request) (bulkexport.Access, error) {
	client, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	access := bulkexport.Access{Caller: bulkexport.Caller{Tenant: "north", Client: client}}
	switch client {
	case "alice":
		return access, nil
	case "narrow":
		access.Types = []string{"Patient"}
		return access, nil
	case "suspended":
		return access, bulkexport.ErrForbidden
	}
	return bulkexport.Access{}, httpadapter.ErrUnauthenticated
}

// do sends a request and returns its answer.
func (h *host) do(method, url, client string, headers ...string) (*http.Response, []byte) {
	h.Helper()
	if strings.HasPrefix(url, "/") {
		url = h.url + url
	}
	r, err := http.NewRequestWithContext(h.Context(), method, url, nil)
	require.NoError(h, err)
	r.Header.Set("Authorization", "Bearer "+client)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := h.client.Do(r)
	require.NoError(h, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(h, err)
	return res, body
}

// next waits for an event, which is one of this moment.
func (h *host) next() audit.Event {
	h.Helper()
	event := <-h.events
	require.WithinDuration(h, time.Now(), event.At, time.Minute)
	event.At = time.Time{}
	return event
}

func TestTrail(t *testing.T) {
	t.Parallel()
	h := newHost(t, bulkexport.Config{})
	alice := bulkexport.Caller{Tenant: "north", Client: "alice"}

	res, _ := h.do("GET", "/fhir/Group/ward/$export?_type=Patient,Observation&_since=2020-01-01T00:00:00Z", "alice")
	job := res.Header.Get("Content-Location")
	started := audit.Event{
		Kind: audit.KickOff, Caller: alice, Remote: "192.0.2.7", JobID: job[strings.LastIndex(job, "/")+1:], Level: "group",
		Group: "ward", Types: []string{"Observation", "Patient"}, Since: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	require.Equal(t, started, h.next())
	completed := started
	completed.Kind, completed.Remote = audit.Completed, ""
	patient, rest, _ := strings.Cut(records, "\n")
	_, rest, _ = strings.Cut(rest, "\n")
	observation, _, _ := strings.Cut(rest, "\n")
	completed.Resources, completed.Bytes = 2, int64(len(patient)+len(observation)+2)
	require.Equal(t, completed, h.next())

	_, body := h.do("GET", job+"/Patient.ndjson", "alice")
	download := started
	download.Kind, download.File, download.Resources = audit.Download, "Patient.ndjson", 1
	download.Bytes, download.Whole = int64(len(body)), true
	require.Equal(t, download, h.next())
	h.do("GET", job+"/Patient.ndjson", "alice", "Range", "bytes=5-9")
	download.Bytes, download.Whole = 5, false
	require.Equal(t, download, h.next())

	h.do("GET", job+"/Patient.ndjson", "bob")
	require.Equal(t, audit.Event{
		Kind: audit.Refused, Remote: "192.0.2.7", Operation: httpadapter.OpFile, JobID: started.JobID,
		File: "Patient.ndjson", Status: 401, Reason: "unauthenticated",
	}, h.next())

	h.do("DELETE", job, "alice")
	deleted := completed
	deleted.Kind, deleted.Remote = audit.Deleted, "192.0.2.7"
	require.Equal(t, deleted, h.next())
}

func TestTrailOfFailures(t *testing.T) {
	t.Parallel()
	h := newHost(t, bulkexport.Config{
		Filter: func(context.Context, bulkexport.Job, string, []byte) ([]byte, error) {
			return nil, fmt.Errorf("consent: %w", bulkexport.ErrPermanent)
		},
	})
	h.do("GET", "/fhir/$export", "alice")
	require.Equal(t, audit.KickOff, h.next().Kind)
	failed := h.next()
	require.Equal(t, audit.Failed, failed.Kind)
	require.Zero(t, failed.Resources)
}

func TestReasons(t *testing.T) {
	t.Parallel()
	h := newHost(t, bulkexport.Config{})
	for _, test := range []struct{ target, client, reason string }{
		{"/fhir/$export?_type=Observation", "narrow", "scope"},
		{"/fhir/Group/ward/$export", "narrow", "scope"},
		{"/fhir/$export", "suspended", "forbidden"},
		{"/fhir/$export", "nobody", "unauthenticated"},
		{"/fhir/Group/none/$export", "alice", "not-found"},
		{"/bulk-export/aaaaaaaaaaaaaaaaaaaaaaaaaa", "alice", "not-found"},
	} {
		h.do("GET", test.target, test.client)
		event := h.next()
		require.Equal(t, audit.Refused, event.Kind)
		require.Equal(t, test.reason, event.Reason, test.target)
	}
}

// samples are one of each kind.
func samples() []audit.Event {
	at := time.Date(2026, 3, 7, 12, 0, 0, 123456789, time.FixedZone("", 3600))
	caller := bulkexport.Caller{Tenant: "north", Client: "alice"}
	list := []audit.Event{
		{Kind: audit.KickOff, Level: "patient", Types: []string{"Condition", "Patient"}, Patients: 3, Since: at},
		{Kind: audit.Completed, Level: "group", Group: "ward", Resources: 12, Bytes: 3400},
		{Kind: audit.Failed, Level: "system"},
		{Kind: audit.Download, Level: "system", File: "Patient.ndjson", Resources: 7, Bytes: 100, Whole: true, Signed: true},
		{Kind: audit.Deleted, Level: "system"},
	}
	for i := range list {
		list[i].Caller, list[i].JobID, list[i].Remote = caller, "abcdefghijklmnopqrstuvwx27", "192.0.2.7"
	}
	list = append(list, audit.Event{
		Kind: audit.Refused, Remote: "a proxy", Operation: httpadapter.OpKickOff, Level: "system",
		Status: 401, Reason: "unauthenticated",
	})
	for i := range list {
		list[i].At = at
	}
	return list
}

func TestSlog(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	write := audit.Slog(slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, attr slog.Attr) slog.Attr {
			if attr.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return attr
		},
	})))
	for _, event := range samples() {
		write(t.Context(), event)
	}
	golden(t, "slog.golden", text.Bytes())
}

func TestAuditEvent(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	for _, event := range samples() {
		resource := event.AuditEvent("Device/fhir-server")
		require.NotContains(t, string(resource), "\n")
		requireAuditEvent(t, resource)
		require.NoError(t, json.Indent(&text, resource, "", "  "))
		text.WriteByte('\n')
	}
	golden(t, "auditevent.golden", text.Bytes())
}

// requireAuditEvent checks what FHIR R4 requires of an AuditEvent as it is used here.
func requireAuditEvent(t *testing.T, resource []byte) {
	t.Helper()
	var event struct {
		ResourceType, Recorded, Outcome, Action string
		Type                                    struct{ System, Code string }
		Agent                                   []struct{ Requestor *bool }
		Source                                  struct{ Observer map[string]any }
		Entity                                  []struct {
			Detail []struct{ Type, ValueString string }
		}
	}
	require.NoError(t, json.Unmarshal(resource, &event))
	require.Equal(t, "AuditEvent", event.ResourceType)
	require.Regexp(t, `^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`, event.Recorded)
	require.Contains(t, []string{"0", "4", "8", "12"}, event.Outcome)
	require.Contains(t, []string{"C", "R", "U", "D", "E"}, event.Action)
	require.NotEmpty(t, event.Type.Code)
	require.Len(t, event.Agent, 1)
	require.NotNil(t, event.Agent[0].Requestor)
	require.NotEmpty(t, event.Source.Observer)
	for _, entity := range event.Entity {
		for _, detail := range entity.Detail {
			require.NotEmpty(t, detail.Type)
			require.NotEmpty(t, detail.ValueString)
		}
	}
}
