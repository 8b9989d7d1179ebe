package main

import (
	"context"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/examples/internal/dataset"
)

func TestKickOffURL(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"https://s.test/fhir":                        "https://s.test/fhir/$export",
		"https://s.test":                             "https://s.test/$export",
		"https://s.test/fhir/":                       "https://s.test/fhir/$export",
		"https://s.test/fhir/Patient":                "https://s.test/fhir/Patient/$export",
		"https://s.test/fhir/Group/7/$export?_since": "https://s.test/fhir/Group/7/$export?_since",
		// What is left where a shell took $export for a variable.
		"https://s.test/fhir/Patient/?_type=Patient": "https://s.test/fhir/Patient/$export?_type=Patient",
		"http://s.test/fhir/Patient/%24export":       "http://s.test/fhir/Patient/%24export",
		"https://s.test/fhir/$davinci-data-export":   "https://s.test/fhir/$davinci-data-export",
	} {
		got, err := kickOffURL(given)
		require.NoError(t, err)
		require.Equal(t, want, got.String())
	}
	for _, bad := range []string{
		"s.test/fhir", "ftp://s.test", "https://", "https://u:pass@s.test/", "https://u:pass@s test",
	} {
		_, err := kickOffURL(bad)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "pass@")
	}
}

func TestBadFlagsAreRefused(t *testing.T) {
	t.Parallel()
	for fault, opts := range map[string]options{
		"-url: must begin with": {url: "s.test"},
		"-header: must be":      {url: "https://s.test", headers: []string{token}},
		"-data is for":          {url: "https://s.test", data: dataset.Source{Dir: "."}},
		"-header is for":        {headers: []string{"Authorization: " + token}},
	} {
		opts.dir = filepath.Join(t.TempDir(), "export")
		err := run(t.Context(), opts)
		require.ErrorContains(t, err, fault)
		require.NotContains(t, err.Error(), secret)
	}
}

func TestWhoGetsTheToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		requires    any
		here, there string
	}{
		"required":     {true, token, token},
		"not required": {false, "", ""},
		"not said":     {nil, token, ""},
	} {
		s, other := newServer(t), newServer(t)
		s.onJob(map[string]any{
			"requiresAccessToken": tt.requires,
			"output":              []any{item("Patient", s.URL+"/1", 1), item("Patient", other.URL+"/2?sig=hush", 1)},
		})
		s.on("GET /1", answer(http.StatusOK, ada))
		other.on("GET /2", answer(http.StatusOK, ada))
		e := export(t.Context(), t, s.URL+"/fhir", "Authorization: "+token, "X-Api-Key: "+secret)
		require.NoError(t, e.err, name)
		require.Equal(t, []string{tt.here}, s.authorizations("/1"), name)
		require.Equal(t, []string{tt.there}, other.authorizations("/2"), name)
		require.Equal(t, tt.there != "", other.requests(http.MethodGet, "/2")[0].Header.Get("X-Api-Key") != "", name)
		require.Equal(t, []string{token, token}, s.authorizations("/job"), name)
		require.NotContains(t, e.printed, secret)
		require.Equal(t, tt.requires == false, strings.Contains(e.printed, "/2?…'"), "who has the URL has the file")
	}
}

// A job on another host gets no token, and the user is told.
func TestStatusOnAnotherHostGetsNoToken(t *testing.T) {
	t.Parallel()
	s, other := newServer(t), newServer(t)
	s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", other.URL+"/job"))
	other.onStatus(refusal(http.StatusUnauthorized, "login", "Who are you?"))
	e := export(t.Context(), t, s.URL+"/fhir", "Authorization: "+token)
	require.ErrorContains(t, e.err, "Who are you?")
	require.Equal(t, []string{""}, other.authorizations("/job"))
	require.Contains(t, e.printed, "That is another host")
}

func TestRedirectsLeaveTheTokenBehind(t *testing.T) {
	t.Parallel()
	s, other := newServer(t), newServer(t)
	s.onJob(map[string]any{"output": []any{item("Patient", s.URL+"/1", 1)}})
	s.on("GET /1", http.RedirectHandler("/2", http.StatusFound).ServeHTTP)
	s.on("GET /2", http.RedirectHandler(other.URL+"/3", http.StatusTemporaryRedirect).ServeHTTP)
	other.on("GET /3", answer(http.StatusOK, ada))
	e := export(t.Context(), t, s.URL+"/fhir", "Authorization: "+token, "X-Api-Key: "+secret)
	require.NoError(t, e.err)
	require.Equal(t, []string{token}, s.authorizations("/2"))
	for _, name := range []string{"Authorization", "X-Api-Key", "Referer"} {
		require.Empty(t, other.requests(http.MethodGet, "/3")[0].Header.Get(name))
	}
}

// What was given for an encrypted connection goes over no other.
func TestTokenStaysEncrypted(t *testing.T) {
	t.Parallel()
	kickOff, err := url.Parse("https://s.test/fhir/$export")
	require.NoError(t, err)
	credentials := http.Header{"Authorization": {token}}
	c := newClient(options{out: printer{t.Output()}}, kickOff, credentials)
	required := true
	for scheme, want := range map[string]string{"https": token, "http": ""} {
		target := &url.URL{Scheme: scheme, Host: "s.test", Path: "/1"}
		require.Equal(t, want, c.request(http.MethodGet, target).header.Get("Authorization"))
		file := c.fileRequest(entry{url: target, requiresToken: &required}, false)
		require.Equal(t, want, file.header.Get("Authorization"))
		next := &http.Request{Method: http.MethodGet, URL: target, Header: credentials.Clone()}
		require.NoError(t, c.http.CheckRedirect(next, []*http.Request{{Method: http.MethodGet, URL: kickOff}}))
		require.Equal(t, want, next.Header.Get("Authorization"))
	}
}

// A redirect must not make a GET of it, which would look like success.
func TestDeleteIsNotRedirectedToGet(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", s.URL+"/job"))
	s.on("GET /job", s.manifest(nil))
	s.on("DELETE /job", http.RedirectHandler("/job", http.StatusFound).ServeHTTP)
	e := export(t.Context(), t, s.URL+"/fhir")
	require.ErrorContains(t, e.err, "delete: ")
}

func TestTokenIsNotPrintedWhoeverRepeatsIt(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.on("GET /fhir/$export", answer(http.StatusAccepted, "", "Content-Location", s.URL+"/job"))
	s.onStatus(
		answer(http.StatusAccepted, "", "X-Progress", "working for "+secret),
		refusal(http.StatusTooManyRequests, "throttled", "too much of "+secret),
		refusal(http.StatusUnauthorized, "expired", secret+" is expired"),
	)
	e := export(t.Context(), t, s.URL+"/fhir", "Authorization: "+token)
	require.ErrorContains(t, e.err, "… is expired")
	require.Contains(t, e.printed, "working for …")
	require.Contains(t, e.printed, "too much of …")
	require.NotContains(t, e.printed+e.err.Error(), secret)
}

// What the user says about preferences goes before what we would.
func TestHeadersOfTheUserComeFirst(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.onJob(nil)
	e := export(t.Context(), t, s.URL+"/fhir", "Prefer: respond-async, handling=lenient")
	require.NoError(t, e.err)
	kickOff := s.requests(http.MethodGet, "/fhir/$export")
	require.Equal(t, []string{"respond-async, handling=lenient"}, kickOff[0].Header.Values("Prefer"))
	require.NotContains(t, e.printed, "Prefer: respond-async")
}

func TestURLsAreQuotedForTheShell(t *testing.T) {
	t.Parallel()
	target, err := url.Parse("https://s.test/a';reboot;'")
	require.NoError(t, err)
	r := request{method: http.MethodGet, url: target}
	require.Equal(t, `curl -i 'https://s.test/a'\'';reboot;'\'''`, r.curl("-i", nil))
}

// Our own server is to the client one like any other.
func TestOwnServerAsAnyOther(t *testing.T) {
	t.Parallel()
	data := dataset.Source{Patients: 20}
	h, err := startHost(t.Context(), t.TempDir(), options{data: data, out: printer{t.Output()}})
	require.NoError(t, err)
	defer func() { require.NoError(t, h.stop(t.Context())) }()
	out := filepath.Join(t.TempDir(), "export")
	require.NoError(t, run(t.Context(), options{
		url: h.baseURL + "/fhir/Patient/$export?_type=Patient,Observation", dir: out, out: printer{t.Output()},
	}))
	var got dataset.Digest
	require.NoError(t, dataset.Source{Dir: out}.Each(digestInto(&got)))
	types, err := got.Types()
	require.NoError(t, err)
	require.Equal(t, map[string]dataset.Fingerprint{
		"Patient": h.loaded["Patient"], "Observation": h.loaded["Observation"],
	}, types)
}

func TestSleepEndsWithTheContext(t *testing.T) {
	t.Parallel()
	require.NoError(t, sleep(t.Context(), 0))
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(os.ErrClosed)
	require.ErrorIs(t, sleep(ctx, time.Hour), os.ErrClosed)
}
