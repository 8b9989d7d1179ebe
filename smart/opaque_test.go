package smart_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/smart"
)

const clientSecret = "s e:c%ret"

// introspector is an authorization server that knows opaque tokens.
func introspector(t *testing.T, answers map[string]any) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /introspect", func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		assert.Equal(t, "fhir+server", user, "form-encoded")
		assert.Equal(t, "s+e%3Ac%25ret", password, "form-encoded")
		assert.Equal(t, "application/json", r.Header.Get("Accept"))
		assert.Empty(t, r.URL.RawQuery)
		assert.Equal(t, "access_token", r.PostFormValue("token_type_hint"))
		answer, ok := answers[r.PostFormValue("token")]
		if !ok {
			answer = map[string]any{"active": false}
		}
		w.Header().Set("Content-Type", "application/json")
		if text, ok := answer.(string); ok {
			_, _ = w.Write([]byte(text))
			return
		}
		assert.NoError(t, json.NewEncoder(w).Encode(answer))
	})
	mux.Handle("POST /moved", http.RedirectHandler("/introspect", http.StatusTemporaryRedirect))
	mux.HandleFunc("POST /broken", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
	mux.HandleFunc("POST /denied", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	mux.HandleFunc("POST /slow", func(w http.ResponseWriter, r *http.Request) {
		assert.NoError(t, r.ParseForm()) // else the end of the connection is not noticed
		<-r.Context().Done()
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

// active is the answer for a good token, with some members replaced or removed.
func active(members ...any) map[string]any {
	return claims(append([]any{"active", true, "token_type", "Bearer"}, members...)...)
}

func introspection(server *httptest.Server) smart.Introspection {
	return smart.Introspection{
		URL: server.URL + "/introspect", ClientID: "fhir server", ClientSecret: clientSecret, AllowHTTP: true,
		Audience: audience, Name: "opaque", Tenant: tenantOf,
	}
}

func TestOpaqueTokens(t *testing.T) {
	t.Parallel()
	now := time.Now().Unix()
	foreign := signed(claims())
	huge := string(must(json.Marshal(active()))) + strings.Repeat(" ", 64<<10)
	server := introspector(t, map[string]any{
		"good":          active(),
		"tenant":        active("tenant", "north", "scope", "system/Patient.read"),
		"no-exp":        active("exp", nil, "iss", nil, "aud", []string{audience}, "scope", nil),
		"no-type":       active("token_type", nil),
		"inactive":      active("active", false),
		"expired":       active("exp", now-60),
		"early":         active("nbf", now+60),
		"exp-text":      active("exp", "later"),
		"other-aud":     active("aud", "https://other.example"),
		"no-aud":        active("aud", nil),
		"no-client":     active("client_id", nil, "sub", nil),
		"dpop":          active("token_type", "DPoP"),
		"bound":         active("cnf", map[string]any{"x5t#S256": "abc"}),
		"scope-number":  active("scope", 1),
		"tenant-number": active("tenant", 1),
		"silent":        active("active", nil),
		"active-text":   active("active", "true"),
		"not-JSON":      "<html>secret</html>",
		"a-list":        "[]",
		"nothing":       "",
		"huge":          huge,
		"two-documents": `{"active":true} {"active":true}`,
		foreign:         active("client_id", "bob"),
	})
	verify, err := introspection(server).Verifier()
	require.NoError(t, err)
	authorizer, err := smart.New(smart.Config{Opaque: verify})
	require.NoError(t, err)

	for token, want := range map[string]bulkexport.Access{
		"good":    {Caller: bulkexport.Caller{Client: "opaque/alice"}},
		"tenant":  {Caller: bulkexport.Caller{Tenant: "north", Client: "opaque/alice"}, Types: []string{"Patient"}},
		"no-exp":  {Caller: bulkexport.Caller{Client: "opaque/alice"}, Types: []string{}},
		"no-type": {Caller: bulkexport.Caller{Client: "opaque/alice"}},
		// A JWT of no known issuer is as opaque as others.
		foreign: {Caller: bulkexport.Caller{Client: "opaque/bob"}},
	} {
		access, err := authorize(t, authorizer, token)
		require.NoError(t, err, token)
		require.Equal(t, want, access, token)
	}
	for _, token := range []string{
		"unknown", "inactive", "expired", "early", "exp-text", "other-aud", "no-aud", "no-client", "dpop", "bound",
		"scope-number", "tenant-number",
	} {
		_, err := authorize(t, authorizer, token)
		require.ErrorIs(t, err, httpadapter.ErrUnauthenticated, token)
		require.NotContains(t, err.Error(), "alice")
	}
	for _, token := range []string{"silent", "active-text", "not-JSON", "a-list", "nothing", "huge", "two-documents"} {
		_, err := authorize(t, authorizer, token)
		require.Error(t, err, token)
		require.NotErrorIs(t, err, httpadapter.ErrUnauthenticated, token)
		require.NotContains(t, err.Error(), "secret")
	}
}

func TestOpaqueTokensWhileTheirServerIsInTrouble(t *testing.T) {
	t.Parallel()
	server := introspector(t, nil)
	closed := httptest.NewServer(http.NotFoundHandler())
	closed.Close()
	for _, url := range []string{
		server.URL + "/broken", server.URL + "/denied", server.URL + "/slow", server.URL + "/moved", closed.URL,
	} {
		asked := introspection(server)
		asked.URL = url
		if strings.HasSuffix(url, "/slow") {
			asked.Timeout = 10 * time.Millisecond
		}
		verify, err := asked.Verifier()
		require.NoError(t, err)
		authorizer, err := smart.New(smart.Config{Opaque: verify})
		require.NoError(t, err)
		k := newKit(t, authorizer)
		res := k.get(k.base+"/fhir/$export", "secret-token")
		require.Equal(t, http.StatusServiceUnavailable, res.status, url)
		k.outcome(res)
		require.NotContains(t, k.log.String(), "secret-token")
		require.NotContains(t, k.log.String(), clientSecret)
		require.NotContains(t, k.log.String(), "s+e%3A")
		require.Contains(t, k.log.String(), "introspect token")
	}
}

func TestTokensGoToWhoIssuedThem(t *testing.T) {
	t.Parallel()
	var asked []string
	authorizer, err := smart.New(smart.Config{
		Issuers: []smart.Issuer{{URL: issuerURL, Audience: audience, Keys: issuerKeys(t), Name: "jwt"}},
		Opaque: func(_ context.Context, token string) (smart.Token, error) {
			asked = append(asked, token)
			return smart.Token{Caller: bulkexport.Caller{Client: "carol"}, Scope: "system/*.rs"}, nil
		},
	})
	require.NoError(t, err)
	access, err := authorize(t, authorizer, signed(claims()))
	require.NoError(t, err)
	require.Equal(t, "jwt/alice", access.Client)
	for _, token := range []string{
		signed(claims("aud", "other")), unsigned("none"), sign("ES384", "ec", newECKey(p384Key().Curve), claims()),
		forged(header("alg", "ES999"), claims(), p384Key()),
	} {
		_, err := authorize(t, authorizer, token)
		require.ErrorIs(t, err, httpadapter.ErrUnauthenticated, "what the issuer refuses is not asked for elsewhere")
	}
	require.Empty(t, asked)

	others := []string{"opaque", "a.b", "a.b.c", "a.b.c.d.e", signed(claims("iss", "https://other.example"))}
	for _, token := range others {
		access, err := authorize(t, authorizer, token)
		require.NoError(t, err)
		require.Equal(t, bulkexport.Access{Caller: bulkexport.Caller{Client: "carol"}}, access)
	}
	require.Equal(t, others, asked)
}

func TestOpaqueTokensOfAHost(t *testing.T) {
	t.Parallel()
	trouble := errors.New("database is away")
	expired := smart.Token{Caller: bulkexport.Caller{Client: "c"}, Expires: time.Unix(1, 0)}
	answers := map[string]struct {
		token smart.Token
		err   error
		want  error
	}{
		"nameless":  {smart.Token{Scope: "system/*.rs"}, nil, httpadapter.ErrUnauthenticated},
		"expired":   {expired, nil, httpadapter.ErrUnauthenticated},
		"unknown":   {smart.Token{}, httpadapter.ErrUnauthenticated, httpadapter.ErrUnauthenticated},
		"suspended": {smart.Token{}, bulkexport.ErrForbidden, bulkexport.ErrForbidden},
		"trouble":   {smart.Token{}, trouble, trouble},
	}
	authorizer, err := smart.New(smart.Config{Opaque: func(_ context.Context, token string) (smart.Token, error) {
		return answers[token].token, answers[token].err
	}})
	require.NoError(t, err)
	for token, answer := range answers {
		access, err := authorize(t, authorizer, token)
		require.ErrorIs(t, err, answer.want, token)
		require.Zero(t, access)
	}
}

func TestIntrospectionsThatAreRefused(t *testing.T) {
	t.Parallel()
	for field, i := range map[string]smart.Introspection{
		"URL":      {ClientID: "a", ClientSecret: clientSecret},
		"https":    {URL: "http://auth.example/introspect", ClientID: "a", ClientSecret: clientSecret},
		"ClientID": {URL: "https://auth.example/introspect", ClientSecret: clientSecret},
		"Secret":   {URL: "https://auth.example/introspect", ClientID: "a"},
		"Name":     {URL: "https://auth.example/introspect", ClientID: "a", ClientSecret: clientSecret, Name: "a/b"},
	} {
		_, err := i.Verifier()
		require.ErrorContains(t, err, field)
		require.NotContains(t, err.Error(), clientSecret)
	}
}
