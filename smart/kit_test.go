package smart_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	issuerURL = "https://issuer.example"
	audience  = "https://fhir.example/fhir"
)

// issuerKeys are the keys of the issuer in tests, with a kid that two have.
func issuerKeys(tb testing.TB) *smart.StaticKeySet {
	tb.Helper()
	set, err := smart.ParseKeySet(jwks(
		jwk("rsa", rsaKey()), jwk("ec", p384Key()), jwk("p256", p256Key()), jwk("ed", edKey()),
		jwk("twice", p384Key()), jwk("twice", newECKey(p384Key().Curve)),
	))
	require.NoError(tb, err)
	return set
}

// newAuthorizer returns one for the issuer of the tests.
func newAuthorizer(tb testing.TB, keys smart.KeySource) *smart.Authorizer {
	tb.Helper()
	authorizer, err := smart.New(smart.Config{Issuers: []smart.Issuer{{
		URL: issuerURL, Audience: audience, Keys: keys, Tenant: tenantOf,
	}}})
	require.NoError(tb, err)
	return authorizer
}

// tenantOf has tenants where tokens have them.
func tenantOf(claims map[string]any) (string, error) {
	if _, ok := claims["tenant"]; !ok {
		return "", nil
	}
	return smart.TenantClaim("tenant")(claims)
}

// claims are those of a token that may export everything, with some replaced or,
// if nil, removed.
func claims(members ...any) map[string]any {
	now := time.Now().Unix()
	object := map[string]any{
		"iss": issuerURL, "aud": audience, "sub": "subject", "client_id": "alice", "jti": "1",
		"iat": now, "exp": now + 300, "scope": "system/*.rs",
	}
	for i := 0; i < len(members); i += 2 {
		object[members[i].(string)] = members[i+1]
		if members[i+1] == nil {
			delete(object, members[i].(string))
		}
	}
	return object
}

// sign makes a JWT. Header members follow the claims.
func sign(alg jose.SignatureAlgorithm, kid string, key any, claims map[string]any, header ...any) string {
	options := (&jose.SignerOptions{}).WithType("at+jwt")
	for i := 0; i < len(header); i += 2 {
		options = options.WithHeader(jose.HeaderKey(header[i].(string)), header[i+1])
	}
	signingKey := jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}
	signer := must(jose.NewSigner(signingKey, options))
	return must(must(signer.Sign(must(json.Marshal(claims)))).CompactSerialize())
}

// signed makes a valid token but for its claims.
func signed(claims map[string]any) string { return sign(jose.ES384, "ec", p384Key(), claims) }

// scoped makes a valid token with scopes.
func scoped(scopes string, members ...any) string {
	return signed(claims(append([]any{"scope", scopes}, members...)...))
}

// forged makes a token with a header that libraries do not make; its signature is
// a right one for ES384.
func forged(header, claims map[string]any, key *ecdsa.PrivateKey) string {
	encode := func(object any) string { return base64.RawURLEncoding.EncodeToString(must(json.Marshal(object))) }
	input := encode(header) + "." + encode(claims)
	hash := sha512.Sum384([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, hash[:])
	if err != nil {
		panic(err)
	}
	signature := append(r.FillBytes(make([]byte, 48)), s.FillBytes(make([]byte, 48))...)
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// header is that of a valid token, with some members replaced or, if nil, removed.
func header(members ...any) map[string]any {
	object := map[string]any{"alg": "ES384", "kid": "ec", "typ": "at+jwt"}
	for i := 0; i < len(members); i += 2 {
		object[members[i].(string)] = members[i+1]
		if members[i+1] == nil {
			delete(object, members[i].(string))
		}
	}
	return object
}

// resources are what the tests export.
const resources = `{"resourceType":"Patient","id":"p1"}
{"resourceType":"Observation","id":"o1","subject":{"reference":"Patient/p1"}}
{"resourceType":"Organization","id":"g1"}
{"resourceType":"Group","id":"all","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/p1"}}]}
`

// kit is an exporter behind a handler behind a real HTTP server.
type kit struct {
	testing.TB
	base  string
	log   *logBuffer
	ended chan string // ids of jobs that have ended
}

func newKit(tb testing.TB, authorizer *smart.Authorizer) *kit {
	tb.Helper()
	k := &kit{TB: tb, log: &logBuffer{}, ended: make(chan string, 1000)}
	source := memsource.New(memsource.Config{})
	for _, tenant := range []string{"", "north"} {
		_, err := source.Load(tb.Context(), tenant, strings.NewReader(resources))
		require.NoError(tb, err)
	}
	logger := slog.New(slog.NewTextHandler(k.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	core := bulkexport.Config{
		Source: source, Store: memstore.New(), Sink: memsink.New(), Logger: logger,
	}
	core.Observer.JobEnded = func(_ context.Context, job bulkexport.Job) { k.ended <- job.ID }
	exporter, err := bulkexport.New(core)
	require.NoError(tb, err)
	require.NoError(tb, exporter.Start(tb.Context()))
	tb.Cleanup(func() { require.NoError(tb, exporter.Stop(context.Background())) })

	server := httptest.NewUnstartedServer(nil)
	k.base = "http://" + server.Listener.Addr().String()
	handler, err := httpadapter.New(exporter, httpadapter.Config{
		BaseURL: k.base, Authorize: authorizer.Authorize, Logger: logger, PollLimit: -1,
	})
	require.NoError(tb, err)
	server.Config.Handler = handler
	server.Start()
	tb.Cleanup(server.Close)
	return k
}

// answer is an HTTP response that was read.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// do sends a request with Authorization headers.
func (k *kit) do(method, url, accept string, authorization ...string) answer {
	k.Helper()
	req, err := http.NewRequestWithContext(k.Context(), method, url, http.NoBody)
	require.NoError(k, err)
	req.Header.Set("Accept", accept)
	req.Header.Set("Prefer", "respond-async")
	if len(authorization) > 0 {
		req.Header["Authorization"] = authorization
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	require.NoError(k, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(k, err)
	return answer{res.StatusCode, res.Header, body}
}

// get sends a request with a token.
func (k *kit) get(url, token string) answer {
	k.Helper()
	return k.do(http.MethodGet, url, "application/fhir+json", "Bearer "+token)
}

// kickOff starts an export and returns the URL of its status.
func (k *kit) kickOff(path, token string) string {
	k.Helper()
	res := k.get(k.base+path, token)
	require.Equal(k, http.StatusAccepted, res.status, "%s", res.body)
	return res.header.Get("Content-Location")
}

// export waits for the end of an export and returns its manifest as well.
func (k *kit) export(path, token string) (status string, files map[string]string) {
	k.Helper()
	status = k.kickOff(path, token)
	require.True(k, strings.HasSuffix(status, "/"+<-k.ended))
	res := k.do(http.MethodGet, status, "application/json", "Bearer "+token)
	require.Equal(k, http.StatusOK, res.status, "%s", res.body)
	var manifest struct {
		RequiresAccessToken bool `json:"requiresAccessToken"`
		Output              []struct{ Type, URL string }
	}
	require.NoError(k, json.Unmarshal(res.body, &manifest))
	require.True(k, manifest.RequiresAccessToken)
	files = map[string]string{}
	for _, file := range manifest.Output {
		files[file.Type] = file.URL
	}
	return status, files
}

// outcome checks that a body is an OperationOutcome and returns the text of its
// issues.
func (k *kit) outcome(res answer) string {
	k.Helper()
	var o struct {
		ResourceType string `json:"resourceType"`
		Issue        []struct{ Severity, Code, Diagnostics string }
	}
	require.NoError(k, json.Unmarshal(res.body, &o), "%q", res.body)
	require.Equal(k, "OperationOutcome", o.ResourceType)
	require.NotEmpty(k, o.Issue)
	var texts []string
	for _, issue := range o.Issue {
		require.Equal(k, "error", issue.Severity)
		require.NotEmpty(k, issue.Code)
		texts = append(texts, issue.Diagnostics)
	}
	return strings.Join(texts, "\n")
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

// keyFunc is a KeySource.
type keyFunc func(ctx context.Context, kid, alg string) (crypto.PublicKey, error)

func (f keyFunc) Key(ctx context.Context, kid, alg string) (crypto.PublicKey, error) {
	return f(ctx, kid, alg)
}
