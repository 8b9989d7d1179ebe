package httpadapter_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func TestOutcomeMediaType(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	const fhir, general = "application/fhir+json", "application/json"
	for _, test := range []struct{ accept, want string }{
		{"", fhir},
		{"*/*", fhir},
		{"text/html", fhir},
		{"application/fhir+json", fhir},
		{"application/json", general},
		{"Application/JSON; charset=utf-8", general},
		{"application/json, text/plain, */*", general},
		{"text/html\r\nAccept: application/json", general},
		{"application/json, application/fhir+json", fhir},
		{"application/json, application/fhir+json;q=0.1", fhir},
		{"application/json, application/fhir+json;q=0", general},
		{"application/json;q=0", fhir},
		{"application/jsonp", fhir},
	} {
		for _, target := range []string{unknownID, "/fhir/$export?_type=x", "/nowhere"} {
			res := k.get(target, "Accept: "+test.accept)
			require.Equal(t, test.want, res.header.Get("Content-Type"), "%s for %q", target, test.accept)
			outcomeOf(t, res.body)
		}
		head := k.do("PUT", unknownID, "Accept: "+test.accept)
		require.Equal(t, test.want, head.header.Get("Content-Type"))
	}
}

// brokenStore fails to read.
type brokenStore struct {
	*memstore.Store
	err error
}

func (s brokenStore) CreateJob(context.Context, bulkexport.Job) error { return s.err }

func (s brokenStore) Job(context.Context, string) (bulkexport.Job, error) {
	return bulkexport.Job{}, s.err
}

func (s brokenStore) UpdateJob(
	context.Context, string, func(*bulkexport.Job) error,
) (bulkexport.Job, error) {
	return bulkexport.Job{}, s.err
}

// TestStoreIsDown never sees a 500: clients take that for the end of an export.
func TestStoreIsDown(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		err    error
		code   string
		logged bool
	}{
		{"refused", errors.New("dial 10.0.0.7: connection refused"), "transient", true},
		{"slow", fmt.Errorf("query: %w", context.DeadlineExceeded), "timeout", true},
		{"slow network", fmt.Errorf("read 10.0.0.7: %w", os.ErrDeadlineExceeded), "timeout", true},
		{"canceled", fmt.Errorf("query: %w", context.Canceled), "transient", false},
		{"stopped", bulkexport.ErrStopped, "transient", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, setup{core: bulkexport.Config{Store: brokenStore{memstore.New(), test.err}}})
			for _, request := range []string{"GET /fhir/$export", "GET " + unknownID, "DELETE " + unknownID,
				"GET " + unknownID + "/Patient.ndjson"} {
				method, target, _ := strings.Cut(request, " ")
				res := k.do(method, target+"?_type=AuditEvent", "Authorization: Bearer hidden")
				require.Equal(t, http.StatusServiceUnavailable, res.status)
				require.Equal(t, "5", res.header.Get("Retry-After"))
				issue := outcomeOf(t, res.body).Issue[0]
				require.Equal(t, test.code, issue.Code)
				require.NotContains(t, issue.Diagnostics, "10.0.0.7")
				id := regexp.MustCompile(`[A-Z2-7]{26}`).FindString(issue.Diagnostics)
				require.Equal(t, test.logged, id != "")
				require.Equal(t, test.logged, strings.Contains(k.log.String(), "request="+id))
			}
			require.Equal(t, test.logged, strings.Contains(k.log.String(), test.err.Error()))
			require.NotContains(t, k.log.String(), "hidden")
			require.NotContains(t, k.log.String(), "AuditEvent")
		})
	}
}

// TestSinkIsDown has a file that cannot be opened, or is not what it was.
func TestSinkIsDown(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{core: bulkexport.Config{Sink: closedSink{memsink.New()}}})
	k.addFile(bulkexport.Caller{}, lines)
	res := k.get(file)
	require.Equal(t, http.StatusServiceUnavailable, res.status)
	require.Equal(t, "5", res.header.Get("Retry-After"))
	require.Equal(t, "transient", outcomeOf(t, res.body).Issue[0].Code)
	require.Contains(t, k.log.String(), "bucket is closed")
	require.Equal(t, http.StatusOK, k.get(status).status, "the status does not need the sink")
}

// closedSink opens nothing.
type closedSink struct{ *memsink.Sink }

func (closedSink) Open(context.Context, string, string) (bulkexport.FileReader, error) {
	return nil, errors.New("bucket is closed")
}

func TestStoppedExporter(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	k.addFile(bulkexport.Caller{}, lines)
	require.NoError(t, k.exporter.Stop(t.Context()))
	require.Equal(t, http.StatusServiceUnavailable, k.get("/fhir/$export").status)
	require.Equal(t, http.StatusOK, k.get(status).status, "what there is can still be had")
}

// TestManyFaults has a small request ask for a large answer.
func TestManyFaults(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	res := k.get("/fhir/$export?_type=" + strings.Repeat(",", 5000) + "&x")
	require.Equal(t, http.StatusBadRequest, res.status)
	issues := outcomeOf(t, res.body).Issue
	require.Len(t, issues, 21)
	require.Equal(t, "information", issues[20].Severity)
	require.Equal(t, "More faults are not listed.", issues[20].Diagnostics)
}

// TestChallenge is that of RFC 6750, section 3: never without a parameter, and
// with an error code only for a token.
func TestChallenge(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{http: httpadapter.Config{Authorize: authorize}})
	const none, invalid = `Bearer realm="FHIR"`, `Bearer realm="FHIR", error="invalid_token"`
	for header, want := range map[string]string{
		"Accept: */*":                      none,
		"Authorization:":                   none,
		"Authorization: Basic YWxpY2U6eA=": none,
		"Authorization: Bearers x":         none,
		"Authorization: Bearer":            invalid,
		"Authorization: bearer mallory":    invalid,
	} {
		res := k.get(status, header)
		require.Equal(t, http.StatusUnauthorized, res.status)
		require.Equal(t, []string{want}, res.header.Values("WWW-Authenticate"), header)
	}
}

// TestForeignJobs has others try to get at a job. What they see must not differ
// from what there is when there is no job.
func TestForeignJobs(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{http: httpadapter.Config{Authorize: authorize}})
	k.addFile(callers["alice"].Caller, lines)
	for _, token := range []string{"bob", "other"} {
		auth := "Authorization: Bearer " + token
		for _, method := range []string{"GET", "HEAD", "DELETE"} {
			foreign, unknown := k.do(method, status, auth), k.do(method, unknownID, auth)
			require.Equal(t, http.StatusNotFound, foreign.status)
			require.Equal(t, string(unknown.body), string(foreign.body))
			foreign.header.Del("Date")
			unknown.header.Del("Date")
			require.Equal(t, unknown.header, foreign.header)
		}
		for _, name := range []string{"/Patient.ndjson", "/Observation.ndjson"} {
			foreign, unknown := k.get(status+name, auth), k.get(unknownID+name, auth)
			require.Equal(t, http.StatusNotFound, foreign.status)
			require.Equal(t, string(unknown.body), string(foreign.body))
		}
	}
	require.Equal(t, http.StatusOK, k.get(file, aliceAuth).status, "it is there")
	require.True(t, *k.manifest(status, aliceAuth).RequiresAccessToken)
}

func TestTenantsExportTheirOwn(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{
		core: bulkexport.Config{Source: loaded(t, "north"), Now: time.Now},
		http: httpadapter.Config{Authorize: authorize},
	})
	k.start()
	for token, files := range map[string]int{"alice": 3, "bob": 3, "other": 0, "narrow": 1} {
		auth := "Authorization: Bearer " + token
		path := k.kickOff("/fhir/$export", auth)
		<-k.ended
		require.Len(t, *k.manifest(path, auth).Output, files, token)
	}
}

func TestExpiredJob(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64 // seconds
	k := newKit(t, setup{core: bulkexport.Config{Now: func() time.Time {
		return now.Add(time.Duration(passed.Load()) * time.Second)
	}}})
	k.addFile(bulkexport.Caller{}, lines)
	expires, err := http.ParseTime(k.get(status).header.Get("Expires"))
	require.NoError(t, err)
	passed.Store(int64(expires.Sub(now)/time.Second) - 1)
	require.Equal(t, http.StatusOK, k.get(file).status)
	passed.Add(1)
	for _, target := range []string{status, file} {
		require.Equal(t, http.StatusNotFound, k.get(target).status)
	}
	require.Equal(t, http.StatusNotFound, k.do("DELETE", status).status)
}

// TestOperationsWithoutPathValues has a host forget them.
func TestOperationsWithoutPathValues(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	for _, operation := range []http.HandlerFunc{k.handler.Status, k.handler.Delete, k.handler.File} {
		w := httptest.NewRecorder()
		operation(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, status, nil))
		require.Equal(t, http.StatusNotFound, w.Code)
		outcomeOf(t, w.Body.Bytes())
	}
}
