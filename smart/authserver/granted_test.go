package authserver_test

import (
	"context"
	"crypto"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/smart"
	"github.com/bulkexport/bulkexport/smart/authserver"
)

// joseAssertion is made by a library that clients use.
func joseAssertion(alg jose.SignatureAlgorithm, kid string, key any, claims map[string]any, head ...string) string {
	options := (&jose.SignerOptions{}).WithType("JWT")
	for i := 0; i < len(head); i += 2 {
		options.WithHeader(jose.HeaderKey(head[i]), head[i+1])
	}
	signing := jose.SigningKey{Algorithm: alg, Key: jose.JSONWebKey{Key: key, KeyID: kid}}
	return must(jwt.Signed(must(jose.NewSigner(signing, options))).Claims(claims).Serialize())
}

// claimsOf verifies a token with the keys that a server publishes, by a library that
// is not ours.
func claimsOf(t *testing.T, n *node, token string) (jose.Header, map[string]any) {
	t.Helper()
	res, body := n.get(t, "/auth/jwks")
	require.Equal(t, "application/jwk-set+json", res.Header.Get("Content-Type"))
	var set jose.JSONWebKeySet
	require.NoError(t, json.Unmarshal([]byte(body), &set))
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.ES384, jose.RS384})
	require.NoError(t, err)
	require.Len(t, parsed.Headers, 1)
	claims := map[string]any{}
	require.NoError(t, parsed.Claims(set, &claims))
	return parsed.Headers[0], claims
}

func TestTokenOfAClient(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		alg           jose.SignatureAlgorithm
		client, kid   string
		key           crypto.Signer
		tenant, asked string
		granted       string
	}{
		{jose.ES384, "ec", "ec-1", ecKey(), "north", "system/*.rs", "system/*.rs"},
		{jose.ES384, "ec", "ec-1", ecKey(), "north", "system/Patient.read nonsense system/*.write", "system/Patient.read"},
		{jose.RS384, "rsa", "rsa-1", rsaKey(), "south", "system/Patient.rs", "system/Patient.rs"},
		{jose.RS384, "rsa", "rsa-1", rsaKey(), "south", "system/*.rs", "system/Observation.rs system/Patient.rs"},
		{jose.ES384, "twins", "mixed", ecKey(), "", "system/*.rs", "system/*.rs"},
		{jose.RS384, "twins", "mixed", rsaKey(), "", "system/*.rs", "system/*.rs"},
	} {
		t.Run(test.client+" "+string(test.alg)+" "+test.asked, func(t *testing.T) {
			t.Parallel()
			n := newNode(t)
			a := n.attempt().of(test.client, test.kid, test.key)
			a.form.Set("scope", test.asked)
			a.assertion = joseAssertion(test.alg, test.kid, test.key, a.claims)
			before := time.Now().Truncate(time.Second)
			res := n.try(t, a)
			require.Equal(t, http.StatusOK, res.status, res.body)
			require.Equal(t, "bearer", res.Type)
			require.Equal(t, 300, res.ExpiresIn)
			require.Equal(t, test.granted, res.Scope)

			head, claims := claimsOf(t, n, res.Token)
			require.Equal(t, "at+jwt", head.ExtraHeaders["typ"])
			require.Equal(t, "ES256", head.Algorithm)
			issued, expires := int64(claims["iat"].(float64)), int64(claims["exp"].(float64))
			require.GreaterOrEqual(t, issued, before.Unix())
			require.Equal(t, int64(300), expires-issued)
			id := claims["jti"].(string)
			require.GreaterOrEqual(t, len(id), 22)
			delete(claims, "iat")
			delete(claims, "exp")
			delete(claims, "jti")
			want := map[string]any{
				"iss": n.base, "aud": n.base + "/fhir", "sub": test.client, "client_id": test.client,
				"scope": test.granted, "tenant": test.tenant,
			}
			require.Equal(t, want, claims)

			events, refused, log := n.log.take()
			require.Empty(t, refused)
			require.Empty(t, log)
			require.Equal(t, []authserver.Issued{{
				Client: test.client, Tenant: test.tenant, Address: "127.0.0.1", Scope: test.granted, ID: id,
				Expires: time.Unix(expires, 0),
			}}, trimZone(events))
		})
	}
}

func trimZone(events []authserver.Issued) []authserver.Issued {
	for i := range events {
		events[i].Expires = time.Unix(events[i].Expires.Unix(), 0)
	}
	return events
}

// TestTokensFitWhereTheyGo: a client that has many scopes gets a token that package
// smart takes, or none.
func TestTokensFitWhereTheyGo(t *testing.T) {
	t.Parallel()
	var every []string
	for _, name := range fhir.R4.ResourceTypes() {
		every = append(every, "system/"+name+".rs")
	}
	n := newNode(t, func(cfg *authserver.Config) { cfg.Clients[0].Scope = strings.Join(every, " ") })
	authorizer := must(smart.New(smart.Config{Issuers: []smart.Issuer{n.server.Issuer()}}))
	for _, scope := range []string{"system/*.rs", strings.Join(every, " ")} {
		a := n.attempt()
		a.form.Set("scope", scope)
		res := n.try(t, a)
		require.Equal(t, http.StatusOK, res.status, res.body)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/fhir/$export", http.NoBody)
		r.Header.Set("Authorization", "Bearer "+res.Token)
		access, err := authorizer.Authorize(r)
		require.NoError(t, err)
		require.Len(t, access.Types, len(every))
	}
	a := n.attempt()
	a.form.Set("scope", "system/*.rs system/*.read")
	res := n.try(t, a)
	require.Equal(t, http.StatusBadRequest, res.status)
	require.Equal(t, "invalid_scope", res.Error)
	issued, _, _ := n.log.take()
	require.Len(t, issued, 2)
}

// TestWhatClientsDoOtherwise is all allowed.
func TestWhatClientsDoOtherwise(t *testing.T) {
	t.Parallel()
	n := newNode(t)
	for name, change := range map[string]func(*attempt){
		"no typ":               without("typ"),
		"typ in small letters": head("typ", "jwt"),
		"a thumbprint":         head("x5t", "abc"),
		"aud is a list":        func(a *attempt) { a.claims["aud"] = []string{n.base, n.base + "/auth/token"} },
		"nbf and iat":          func(a *attempt) { a.claims["nbf"], a.claims["iat"] = in(-time.Hour), in(-time.Hour) },
		"a clock that is ahead": func(a *attempt) {
			a.claims["iat"], a.claims["exp"] = in(5*time.Second), in(305*time.Second)
		},
		"a clock that is behind": dated("exp", -2*time.Second),
		"times with a fraction":  claim("exp", float64(time.Now().UnixMilli())/1000+100),
		"times in powers of ten": func(a *attempt) {
			a.claims["exp"] = json.Number(strconv.FormatFloat(float64(in(time.Minute)), 'e', -1, 64))
		},
		"other claims":              claim("extra", map[string]any{"iss": "rsa"}),
		"the longest jti":           claim("jti", strings.Repeat("ü", 127)+"1"),
		"client_id":                 set("client_id", "ec"),
		"client_id without value":   set("client_id", ""),
		"client_secret without one": set("client_secret", ""),
		"a parameter of others":     set("resource", n.base),
		"charset":                   func(a *attempt) { a.contentType += "; charset=UTF-8" },
		"media type in capitals":    func(a *attempt) { a.contentType = "Application/X-WWW-Form-URLEncoded" },
		"Accept":                    header("Accept", "text/html"),
		"another Host":              func(*attempt) {},
	} {
		a := n.attempt()
		change(a)
		r := a.request(t.Context(), n.base)
		if name == "another Host" {
			r.Host = "mallory.example"
		}
		res := n.send(t, r)
		require.Equal(t, http.StatusOK, res.status, "%s: %s", name, res.body)
	}
}

// keyServer publishes a JWK Set.
type keyServer struct {
	*httptest.Server
	set     atomic.Pointer[[]byte] // nil: trouble
	fetches atomic.Int64
	url     string
}

func newKeyServer(t *testing.T, set []byte) *keyServer {
	s := &keyServer{}
	s.publish(set)
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		s.fetches.Add(1)
		set := s.set.Load()
		if set == nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		_, _ = w.Write(*set)
	}))
	t.Cleanup(s.Close)
	s.url = s.URL + "/jwks.json"
	return s
}

func (s *keyServer) publish(set []byte) {
	if set == nil {
		s.set.Store(nil)
		return
	}
	s.set.Store(&set)
}

// remote is a client whose keys are at a URL. Nothing holds fetches up.
func (s *keyServer) remote(cfg *authserver.Config) {
	cfg.Clients = append(cfg.Clients, authserver.Client{ID: "remote", Scope: "system/*.rs", JWKSURL: s.url})
	cfg.KeySets = smart.RemoteConfig{Client: s.Client(), MinInterval: time.Nanosecond}
}

func TestKeysAtAURL(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t, jwks("a", ecKey(), "b", rsaKey()))
	n := newNode(t, keys.remote)
	require.Zero(t, keys.fetches.Load(), "nothing is fetched before it is needed")
	for _, test := range []struct {
		name   string
		change func(*attempt)
		status int
	}{
		{"ES384", func(a *attempt) { a.of("remote", "a", ecKey()) }, http.StatusOK},
		{"RS384", func(a *attempt) { a.of("remote", "b", rsaKey()) }, http.StatusOK},
		{"jku as registered", head("jku", keys.url), http.StatusOK},
		{"jku of another path", head("jku", keys.URL+"/other.json"), http.StatusUnauthorized},
		{"jku with a query", head("jku", keys.url+"?x"), http.StatusUnauthorized},
		{"jku in capitals", head("jku", strings.ToUpper(keys.url)), http.StatusUnauthorized},
		{"jku of another server", head("jku", "https://mallory.example/jwks.json"), http.StatusUnauthorized},
		{"another key", func(a *attempt) { a.key = otherEC() }, http.StatusUnauthorized},
	} {
		a := n.attempt().of("remote", "a", ecKey())
		test.change(a)
		require.Equal(t, test.status, n.try(t, a).status, test.name)
	}
	require.EqualValues(t, 1, keys.fetches.Load())
}

// TestClientRotatesItsKeys: it publishes a new key, uses it, and takes the old one
// away. No request fails that should not, and the old key is of no use afterwards.
func TestClientRotatesItsKeys(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t, jwks("old", ecKey()))
	n := newNode(t, keys.remote)
	try := func(kid string, key crypto.Signer) int {
		return n.try(t, n.attempt().of("remote", kid, key)).status
	}
	require.Equal(t, http.StatusOK, try("old", ecKey()))
	require.Equal(t, http.StatusUnauthorized, try("new", rsaKey()))
	keys.publish(jwks("old", ecKey(), "new", rsaKey()))
	for range 3 {
		require.Equal(t, http.StatusOK, try("old", ecKey()))
		require.Equal(t, http.StatusOK, try("new", rsaKey()))
	}
	keys.publish(jwks("new", rsaKey()))
	require.Equal(t, http.StatusOK, try("new", rsaKey()))
	require.Equal(t, http.StatusUnauthorized, try("another", rsaKey()), "which has the keys fetched")
	require.Equal(t, http.StatusUnauthorized, try("old", ecKey()))
	require.Equal(t, http.StatusOK, try("new", rsaKey()))
}

// TestKeyServerInTrouble: nobody knows whether a key is right, and the same
// assertion is good once that is over.
func TestKeyServerInTrouble(t *testing.T) {
	t.Parallel()
	keys := newKeyServer(t, nil)
	n := newNode(t, keys.remote, func(cfg *authserver.Config) { cfg.FailureLimit = 1 }) // which this does not count for
	a := n.attempt().of("remote", "a", ecKey())
	a.assertion = a.seal()
	for range 3 {
		res := n.try(t, a)
		require.Equal(t, http.StatusServiceUnavailable, res.status)
		require.Equal(t, "temporarily_unavailable", res.Error)
		require.Equal(t, "5", res.header.Get("Retry-After"))
		require.NotContains(t, res.body, keys.URL)
		_, refused, log := n.log.take()
		require.Len(t, refused, 1)
		require.Equal(t, "remote", refused[0].Client)
		require.Contains(t, log, "remote")
		require.NotContains(t, log, a.assertion)
	}
	require.Equal(t, http.StatusOK, n.try(t, n.attempt()).status, "others are not concerned")
	keys.publish(jwks("a", ecKey()))
	require.Eventually(t, func() bool { return n.try(t, a).status == http.StatusOK }, time.Minute, time.Millisecond)
	keys.publish(nil)
	require.Equal(t, http.StatusOK, n.try(t, n.attempt().of("remote", "a", ecKey())).status, "keys are kept")
}

// TestServerKeys: each kind signs, tokens say by which, and all are published.
func TestServerKeys(t *testing.T) {
	t.Parallel()
	all := []authserver.Key{{ID: "p256", Signer: p256Key()}, {ID: "p384", Signer: ecKey()}, {ID: "rsa", Signer: rsaKey()}}
	for i, algorithm := range []string{"ES256", "ES384", "RS384"} {
		n := newNode(t, func(cfg *authserver.Config) {
			cfg.Keys = append([]authserver.Key{all[i]}, all[(i+1)%3], all[(i+2)%3])
			cfg.Lifetime, cfg.Audience = time.Minute, "https://fhir.example.org"
		})
		res := n.try(t, n.attempt())
		require.Equal(t, http.StatusOK, res.status, res.body)
		require.Equal(t, 60, res.ExpiresIn)
		head, claims := claimsOf(t, n, res.Token)
		require.Equal(t, algorithm, head.Algorithm)
		require.Equal(t, all[i].ID, head.KeyID)
		require.Equal(t, "https://fhir.example.org", claims["aud"])
		_, body := n.get(t, "/auth/jwks")
		var set jose.JSONWebKeySet
		require.NoError(t, json.Unmarshal([]byte(body), &set))
		require.Len(t, set.Keys, 3)
		for _, key := range set.Keys {
			require.True(t, key.IsPublic())
			require.Equal(t, "sig", key.Use)
		}
	}
}

// TestServerRotatesItsKeys: the new key comes in as the second, becomes the first, and
// the old one goes. At each step tokens of the steps beside it count.
func TestServerRotatesItsKeys(t *testing.T) {
	t.Parallel()
	older, newer := authserver.Key{ID: "old", Signer: p256Key()}, authserver.Key{ID: "new", Signer: ecKey()}
	var tokens []string
	var authorizers []*smart.Authorizer
	for _, keys := range [][]authserver.Key{{older}, {older, newer}, {newer, older}, {newer}} {
		n := newNode(t, withKeys(keys...), func(cfg *authserver.Config) { cfg.BaseURL = "https://fhir.example.org" })
		tokens = append(tokens, n.try(t, newAttempt("https://fhir.example.org")).Token)
		authorizers = append(authorizers, must(smart.New(smart.Config{Issuers: []smart.Issuer{n.server.Issuer()}})))
	}
	for step, authorizer := range authorizers {
		for of, token := range tokens {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/fhir/$export", http.NoBody)
			r.Header.Set("Authorization", "Bearer "+token)
			access, err := authorizer.Authorize(r)
			if of-step > 1 && step == 0 || step-of > 1 && step == 3 {
				require.ErrorIs(t, err, httpadapter.ErrUnauthenticated, "token of step %d at step %d", of, step)
				continue
			}
			require.NoError(t, err, "token of step %d at step %d", of, step)
			require.Equal(t, bulkexport.Caller{Tenant: "north", Client: "ec"}, access.Caller)
		}
	}
}

// TestBrokenSigner: a key that is elsewhere may be away.
func TestBrokenSigner(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(cfg *authserver.Config) {
		cfg.Keys = []authserver.Key{{ID: "away", Signer: awaySigner{p256Key()}}}
	})
	res := n.try(t, n.attempt())
	require.Equal(t, http.StatusServiceUnavailable, res.status)
	require.NotEmpty(t, res.header.Get("Retry-After"))
	issued, refused, log := n.log.take()
	require.Empty(t, issued)
	require.Len(t, refused, 1)
	require.Contains(t, log, context.DeadlineExceeded.Error())
}

type awaySigner struct{ crypto.Signer }

func (awaySigner) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, context.DeadlineExceeded
}
