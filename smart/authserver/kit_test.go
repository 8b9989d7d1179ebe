package authserver_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/smart/authserver"
)

// Keys are made once: RSA keys take long.
var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P384()) })
	otherEC  = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P384()) })
	p256Key  = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P256()) })
)

func newECKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	return must(ecdsa.GenerateKey(curve, rand.Reader))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// jwks returns public keys as a JWK Set, by turns a kid and a key.
func jwks(pairs ...any) []byte {
	set := jose.JSONWebKeySet{}
	for i := 0; i < len(pairs); i += 2 {
		set.Keys = append(set.Keys, jose.JSONWebKey{KeyID: pairs[i].(string), Key: pairs[i+1].(crypto.Signer).Public()})
	}
	return must(json.Marshal(set))
}

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// attempt is a request for a token, right but for what a test changes.
type attempt struct {
	method, path, contentType string
	header                    http.Header
	form                      url.Values
	body                      *string // instead of the form

	key          crypto.Signer
	head, claims map[string]any
	// rawHead, rawClaims and assertion stand instead of what they are made of.
	rawHead, rawClaims, assertion string
	// forge changes an assertion that is signed.
	forge func(string) string
}

// newAttempt is one of the client "ec".
func newAttempt(base string) *attempt {
	return &attempt{
		method: http.MethodPost, path: "/auth/token", contentType: "application/x-www-form-urlencoded",
		header: http.Header{},
		form: url.Values{
			"grant_type": {"client_credentials"}, "scope": {"system/*.rs"}, "client_assertion_type": {assertionType},
		},
		key:  ecKey(),
		head: map[string]any{"alg": "ES384", "kid": "ec-1", "typ": "JWT"},
		claims: map[string]any{
			"iss": "ec", "sub": "ec", "aud": base + "/auth/token", "jti": rand.Text(),
			"exp": time.Now().Add(4 * time.Minute).Unix(),
		},
	}
}

// of makes the attempt one of another client and key.
func (a *attempt) of(client, kid string, key crypto.Signer) *attempt {
	a.claims["iss"], a.claims["sub"], a.head["kid"], a.key = client, client, kid, key
	a.head["alg"] = "ES384"
	if _, ok := key.(*rsa.PrivateKey); ok {
		a.head["alg"] = "RS384"
	}
	return a
}

func encode(part []byte) string { return base64.RawURLEncoding.EncodeToString(part) }

// sign signs whatever it gets, with SHA-384.
func sign(text string, key crypto.Signer) []byte {
	hash := crypto.SHA384.New()
	hash.Write([]byte(text))
	if private, ok := key.(*ecdsa.PrivateKey); ok {
		size := (private.Params().BitSize + 7) / 8
		if size == 32 {
			size = 48 // as ES384 has it, whatever the curve is
		}
		r, s, err := ecdsa.Sign(rand.Reader, private, hash.Sum(nil))
		joined := must(make([]byte, 2*size), err)
		r.FillBytes(joined[:size])
		s.FillBytes(joined[size:])
		return joined
	}
	return must(key.Sign(rand.Reader, hash.Sum(nil), crypto.SHA384))
}

// seal returns the assertion.
func (a *attempt) seal() string {
	if a.assertion != "" {
		return a.assertion
	}
	part := func(raw string, members map[string]any) string {
		if raw != "" {
			return encode([]byte(raw))
		}
		return encode(must(json.Marshal(members)))
	}
	signed := part(a.rawHead, a.head) + "." + part(a.rawClaims, a.claims)
	assertion := signed + "." + encode(sign(signed, a.key))
	if a.forge != nil {
		return a.forge(assertion)
	}
	return assertion
}

// request makes a request of an attempt.
func (a *attempt) request(ctx context.Context, base string) *http.Request {
	form := maps.Clone(a.form)
	if _, ok := form["client_assertion"]; !ok {
		form.Set("client_assertion", a.seal())
	}
	body := form.Encode()
	if a.body != nil {
		body = *a.body
	}
	r := must(http.NewRequestWithContext(ctx, a.method, base+a.path, strings.NewReader(body)))
	r.Header = a.header.Clone()
	if a.contentType != "" {
		r.Header.Set("Content-Type", a.contentType)
	}
	return r
}

// answer is what came of an attempt.
type answer struct {
	status int
	header http.Header
	body   string

	Token       string `json:"access_token"`
	Type        string `json:"token_type"`
	ExpiresIn   int    `json:"expires_in"`
	Scope       string `json:"scope"`
	Error       string `json:"error"`
	Description string `json:"error_description"`
}

func readAnswer(t testing.TB, res *http.Response) answer {
	t.Helper()
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	a := answer{status: res.StatusCode, header: res.Header, body: string(body)}
	require.NoError(t, json.Unmarshal(body, &a), a.body)
	require.Equal(t, "application/json", a.header.Get("Content-Type"))
	require.Equal(t, "no-store", a.header.Get("Cache-Control"))
	require.Equal(t, "no-cache", a.header.Get("Pragma"))
	require.Equal(t, "nosniff", a.header.Get("X-Content-Type-Options"))
	require.NotEqual(t, a.Error == "", a.Token == "", a.body)
	require.Equal(t, a.Error == "", a.status == http.StatusOK)
	return a
}

// node is a server that answers over HTTP.
type node struct {
	base   string
	server *authserver.Server
	log    *journal
}

// journal has what hooks and logs have said.
type journal struct {
	mu      sync.Mutex
	text    strings.Builder
	issued  []authserver.Issued
	refused []authserver.Refused
}

// Write implements io.Writer.
func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

// take returns what has been reported since the last call.
func (j *journal) take() ([]authserver.Issued, []authserver.Refused, string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	issued, refused, text := j.issued, j.refused, j.text.String()
	j.issued, j.refused = nil, nil
	j.text.Reset()
	return issued, refused, text
}

// clients are those that a node knows unless a test says otherwise.
func clients() []authserver.Client {
	return []authserver.Client{
		{ID: "ec", Tenant: "north", Scope: "system/*.rs", JWKS: jwks("ec-1", ecKey(), "ec-p256", p256Key())},
		{ID: "rsa", Tenant: "south", Scope: "system/Patient.rs system/Observation.read", JWKS: jwks("rsa-1", rsaKey())},
		{ID: "twins", Scope: "system/*.rs", JWKS: jwks(
			"twin", ecKey(), "twin", otherEC(), "mixed", ecKey(), "mixed", rsaKey())},
	}
}

// config is that of a node at base.
func config(base string, log *journal) authserver.Config {
	return authserver.Config{
		BaseURL: base, Clients: clients(), FailureLimit: -1,
		Logger: slog.New(slog.NewTextHandler(log, nil)),
		Issued: func(_ context.Context, e authserver.Issued) {
			log.mu.Lock()
			defer log.mu.Unlock()
			log.issued = append(log.issued, e)
		},
		Refused: func(_ context.Context, e authserver.Refused) {
			log.mu.Lock()
			defer log.mu.Unlock()
			log.refused = append(log.refused, e)
		},
	}
}

func newNode(t testing.TB, change ...func(*authserver.Config)) *node {
	t.Helper()
	ts := httptest.NewUnstartedServer(nil)
	n := &node{base: "http://" + ts.Listener.Addr().String(), log: &journal{}}
	cfg := config(n.base, n.log)
	for _, c := range change {
		c(&cfg)
	}
	server, err := authserver.New(cfg)
	require.NoError(t, err)
	n.server, ts.Config.Handler = server, server
	ts.Start()
	t.Cleanup(ts.Close)
	return n
}

// attempt returns one that would get a token.
func (n *node) attempt() *attempt { return newAttempt(n.base) }

func (n *node) try(t testing.TB, a *attempt) answer {
	t.Helper()
	return n.send(t, a.request(t.Context(), n.base))
}

func (n *node) send(t testing.TB, r *http.Request) answer {
	t.Helper()
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	return readAnswer(t, res)
}

func (n *node) get(t testing.TB, path string) (*http.Response, string) {
	t.Helper()
	r := must(http.NewRequestWithContext(t.Context(), http.MethodGet, n.base+path, http.NoBody))
	res, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	return res, string(must(io.ReadAll(res.Body)))
}
