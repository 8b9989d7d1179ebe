package authserver_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/smart/authserver"
)

func TestDiscovery(t *testing.T) {
	t.Parallel()
	want := `{
		"token_endpoint": "https://fhir.example.org/base/auth/token",
		"jwks_uri": "https://fhir.example.org/base/auth/jwks",
		"grant_types_supported": ["client_credentials"],
		"token_endpoint_auth_methods_supported": ["private_key_jwt"],
		"token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
		"scopes_supported": ["system/*.rs", "system/*.read"],
		"code_challenge_methods_supported": ["S256"],
		"capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"]
	}`
	n := direct(t, func(cfg *authserver.Config) { cfg.BaseURL = "https://fhir.example.org/base" })
	patterns := []string{
		"/base/auth/token", "/base/auth/jwks",
		"/base/fhir/.well-known/smart-configuration", "/base/.well-known/smart-configuration",
	}
	require.Equal(t, patterns, n.server.Patterns())
	mux := http.NewServeMux()
	for _, pattern := range patterns {
		mux.Handle(pattern, n.server)
	}
	ask := func(method, path, accept string) *http.Response {
		r := httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody)
		r.Host = "mallory.example"
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		return w.Result()
	}
	for _, path := range patterns[2:] {
		for _, accept := range []string{"", "application/json", "application/fhir+json", "text/html", "nonsense"} {
			res := ask(http.MethodGet, path, accept)
			require.Equal(t, http.StatusOK, res.StatusCode)
			require.Equal(t, "application/json", res.Header.Get("Content-Type"))
			require.Equal(t, "public, max-age=300", res.Header.Get("Cache-Control"))
			require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
			require.JSONEq(t, want, string(must(io.ReadAll(res.Body))))
		}
	}
	for _, path := range patterns[1:] {
		require.Equal(t, http.StatusOK, ask(http.MethodHead, path, "").StatusCode)
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			res := ask(method, path, "")
			require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
			require.Equal(t, "GET, HEAD", res.Header.Get("Allow"))
			require.Equal(t, "invalid_request", readAnswer(t, res).Error)
		}
	}
	res := ask(http.MethodGet, "/base/auth/jwks", "")
	require.Equal(t, "public, max-age=300", res.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
}

// TestFHIRBaseAtTheRoot has one place for the document.
func TestFHIRBaseAtTheRoot(t *testing.T) {
	t.Parallel()
	n := newNode(t, func(cfg *authserver.Config) { cfg.FHIRPath = "/" })
	require.Equal(t, []string{"/auth/token", "/auth/jwks", "/.well-known/smart-configuration"}, n.server.Patterns())
	res, body := n.get(t, "/.well-known/smart-configuration")
	require.Equal(t, http.StatusOK, res.StatusCode)
	require.Contains(t, body, n.base+"/auth/token")
	token := n.try(t, n.attempt()).Token
	_, claims := claimsOf(t, n, token)
	require.Equal(t, n.base, claims["aud"])
}
