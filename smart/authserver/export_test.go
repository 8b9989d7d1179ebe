package authserver_test

import (
	"bufio"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/smart/authserver"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// newHost is a host with an authorization server and exports, all in memory, for two
// tenants.
func newHost(t *testing.T) string {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	base := "http://" + ts.Listener.Addr().String()

	source := memsource.New(memsource.Config{})
	for _, tenant := range []string{"north", "south"} {
		for i := range 10 {
			put := func(format string) {
				_, err := source.Put(tenant, fmt.Appendf(nil, format, fmt.Sprint(tenant, "-", i)))
				require.NoError(t, err)
			}
			put(`{"resourceType":"Patient","id":"%s"}`)
			put(`{"resourceType":"Observation","id":"%s"}`)
			put(`{"resourceType":"Condition","id":"%s"}`)
		}
	}
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: source, Store: memstore.New(), Sink: memsink.New(), MaxFileResources: 4,
	})
	require.NoError(t, err)
	require.NoError(t, exporter.Start(t.Context()))
	t.Cleanup(func() { exporter.Stop(t.Context()) })

	server, err := authserver.New(authserver.Config{BaseURL: base, Clients: clients(), Limiter: exporter.Limiter()})
	require.NoError(t, err)
	authorizer, err := smart.New(smart.Config{Issuers: []smart.Issuer{server.Issuer()}})
	require.NoError(t, err)
	exports, err := httpadapter.New(exporter, httpadapter.Config{BaseURL: base, Authorize: authorizer.Authorize})
	require.NoError(t, err)
	mux := http.NewServeMux()
	for _, pattern := range server.Patterns() {
		mux.Handle(pattern, server)
	}
	for _, pattern := range exports.Patterns() {
		mux.Handle(pattern, exports)
	}
	ts.Config.Handler = mux
	ts.Start()
	t.Cleanup(ts.Close)
	return base
}

// backend is a client of Backend Services, as another party would write it: it knows
// the FHIR base, its own id and key, and finds out the rest.
type backend struct {
	t     *testing.T
	base  string
	id    string
	alg   jose.SignatureAlgorithm
	kid   string
	key   any
	scope string
	token string
}

func (b *backend) do(method, target string) *http.Response {
	b.t.Helper()
	r := must(http.NewRequestWithContext(b.t.Context(), method, target, http.NoBody))
	if b.token != "" {
		r.Header.Set("Authorization", "Bearer "+b.token)
	}
	r.Header.Set("Prefer", "respond-async")
	res, err := http.DefaultClient.Do(r)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = res.Body.Close() })
	return res
}

func (b *backend) logIn() {
	b.t.Helper()
	var discovered struct {
		TokenEndpoint string `json:"token_endpoint"`
	}
	res := b.do(http.MethodGet, b.base+"/.well-known/smart-configuration")
	require.NoError(b.t, json.NewDecoder(res.Body).Decode(&discovered))
	assertion := joseAssertion(b.alg, b.kid, b.key, map[string]any{
		"iss": b.id, "sub": b.id, "aud": discovered.TokenEndpoint, "jti": rand.Text(),
		"exp": time.Now().Add(time.Minute).Unix(),
	})
	form := url.Values{
		"grant_type": {"client_credentials"}, "scope": {b.scope},
		"client_assertion_type": {assertionType}, "client_assertion": {assertion},
	}
	r := must(http.NewRequestWithContext(b.t.Context(), http.MethodPost, discovered.TokenEndpoint,
		strings.NewReader(form.Encode())))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := http.DefaultClient.Do(r)
	require.NoError(b.t, err)
	b.token = readAnswer(b.t, res).Token
}

// export runs an export and returns the lines of all files, and the URLs of status
// and files.
func (b *backend) export(query string) (lines []string, urls []string) {
	b.t.Helper()
	res := b.do(http.MethodGet, b.base+"/$export"+query)
	require.Equal(b.t, http.StatusAccepted, res.StatusCode)
	status := res.Header.Get("Content-Location")
	urls = append(urls, status)
	require.Eventually(b.t, func() bool {
		res = b.do(http.MethodGet, status)
		return res.StatusCode != http.StatusAccepted
	}, time.Minute, 5*time.Millisecond)
	require.Equal(b.t, http.StatusOK, res.StatusCode)
	var manifest struct {
		RequiresAccessToken bool
		Output              []struct {
			URL string
		}
		Error []any
	}
	require.NoError(b.t, json.NewDecoder(res.Body).Decode(&manifest))
	require.True(b.t, manifest.RequiresAccessToken)
	require.Empty(b.t, manifest.Error)
	for _, output := range manifest.Output {
		urls = append(urls, output.URL)
		res := b.do(http.MethodGet, output.URL)
		require.Equal(b.t, http.StatusOK, res.StatusCode)
		for scanner := bufio.NewScanner(res.Body); scanner.Scan(); {
			lines = append(lines, scanner.Text())
		}
	}
	return lines, urls
}

// TestSignedExport goes all the way: discovery, token, export, each file, delete.
func TestSignedExport(t *testing.T) {
	t.Parallel()
	base := newHost(t)
	all := &backend{
		t: t, base: base + "/fhir", id: "ec", alg: jose.ES384, kid: "ec-1", key: ecKey(), scope: "system/*.rs",
	}
	some := &backend{
		t: t, base: base + "/fhir", id: "rsa", alg: jose.RS384, kid: "rsa-1", key: rsaKey(), scope: "system/*.read",
	}
	require.Equal(t, http.StatusUnauthorized, all.do(http.MethodGet, all.base+"/$export").StatusCode)
	all.logIn()
	some.logIn()

	lines, urls := all.export("")
	require.Len(t, lines, 30)
	require.Len(t, urls, 10) // the status, and three types of three files each
	for _, line := range lines {
		require.Contains(t, line, "north-")
	}
	lines, _ = some.export("")
	require.Len(t, lines, 20, "what its scopes cover")
	for _, line := range lines {
		require.Contains(t, line, "south-")
		require.NotContains(t, line, "Condition")
	}
	require.Equal(t, http.StatusForbidden, some.do(http.MethodGet, some.base+"/$export?_type=Condition").StatusCode)
	for _, target := range urls {
		require.Equal(t, http.StatusNotFound, some.do(http.MethodGet, target).StatusCode)
		res := (&backend{t: t}).do(http.MethodGet, target)
		require.Equal(t, http.StatusUnauthorized, res.StatusCode)
		require.NotContains(t, string(must(io.ReadAll(res.Body))), "north")
	}
	require.Equal(t, http.StatusNoContent, all.do(http.MethodDelete, urls[0]).StatusCode)
	require.Equal(t, http.StatusNotFound, all.do(http.MethodGet, urls[1]).StatusCode)
}
