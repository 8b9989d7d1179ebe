package smart_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport/smart"
)

func TestConfigurationIsServed(t *testing.T) {
	t.Parallel()
	handler, err := smart.Configuration{
		TokenEndpoint: "https://auth.example/token",
		Issuer:        "https://auth.example",
		JWKSURI:       "https://auth.example/jwks",
	}.Handler()
	require.NoError(t, err)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	want := `{
		"issuer": "https://auth.example",
		"jwks_uri": "https://auth.example/jwks",
		"token_endpoint": "https://auth.example/token",
		"grant_types_supported": ["client_credentials"],
		"token_endpoint_auth_methods_supported": ["private_key_jwt"],
		"token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384"],
		"scopes_supported": ["system/*.rs", "system/*.read"],
		"code_challenge_methods_supported": ["S256"],
		"capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"]
	}`
	for _, accept := range []string{"", "application/json", "application/fhir+json", "text/html", "nonsense"} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete} {
			req, err := http.NewRequestWithContext(t.Context(), method, server.URL+smart.ConfigurationPath, http.NoBody)
			require.NoError(t, err)
			req.Header.Set("Accept", accept)
			res, err := server.Client().Do(req)
			require.NoError(t, err)
			body, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			assert.Equal(t, "*", res.Header.Get("Access-Control-Allow-Origin"))
			switch method {
			case http.MethodGet:
				assert.JSONEq(t, want, string(body))
				assert.Equal(t, strconv.Itoa(len(body)), res.Header.Get("Content-Length"))
				fallthrough
			case http.MethodHead:
				assert.Equal(t, http.StatusOK, res.StatusCode)
				assert.Equal(t, "application/json", res.Header.Get("Content-Type"))
			default:
				assert.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
				assert.Equal(t, "GET, HEAD", res.Header.Get("Allow"))
			}
		}
	}
}

func TestConfigurationWithoutWhatIsOptional(t *testing.T) {
	t.Parallel()
	handler, err := smart.Configuration{
		TokenEndpoint:     "http://127.0.0.1:8080/token",
		ScopesSupported:   []string{"system/Patient.rs"},
		SigningAlgorithms: []string{"ES384"},
	}.Handler()
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, smart.ConfigurationPath, http.NoBody))
	body := recorder.Body.String()
	assert.Contains(t, body, `"token_endpoint_auth_signing_alg_values_supported":["ES384"]`)
	assert.Contains(t, body, `"scopes_supported":["system/Patient.rs"]`)
	assert.NotContains(t, body, "issuer")
	assert.NotContains(t, body, "jwks_uri")
}

func TestConfigurationWantsAbsoluteURLs(t *testing.T) {
	t.Parallel()
	const good = "https://auth.example/token"
	for _, bad := range []string{
		"/token", "auth.example/token", "ftp://auth.example", "https:///token", "https://u:p@auth.example", "%",
	} {
		for name, config := range map[string]smart.Configuration{
			"TokenEndpoint": {TokenEndpoint: bad},
			"Issuer":        {TokenEndpoint: good, Issuer: bad},
			"JWKSURI":       {TokenEndpoint: good, JWKSURI: bad},
		} {
			_, err := config.Handler()
			require.ErrorContains(t, err, name, bad)
		}
	}
	_, err := smart.Configuration{}.Handler()
	require.ErrorContains(t, err, "TokenEndpoint")
}
