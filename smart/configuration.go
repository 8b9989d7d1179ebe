package smart

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
)

// ConfigurationPath is where clients look for the [Configuration], below the base
// URL of the FHIR API.
const ConfigurationPath = "/.well-known/smart-configuration"

// Configuration is the discovery document of SMART App Launch as Backend Services
// need it: where clients get tokens for this API, from an authorization server
// here or elsewhere.
type Configuration struct {
	// TokenEndpoint is the URL where clients get tokens. Required.
	TokenEndpoint string
	// Issuer is the iss of the tokens. Optional.
	Issuer string
	// JWKSURI is the URL of the issuer's keys. Optional.
	JWKSURI string
	// ScopesSupported are the scopes that clients may ask for. By default
	// system/*.rs and system/*.read.
	ScopesSupported []string
	// SigningAlgorithms are those that clients may sign their assertions with. By
	// default RS384 and ES384.
	SigningAlgorithms []string
}

// discovery has the members that SMART App Launch, "Conformance", requires of
// servers for Backend Services.
type discovery struct {
	Issuer               string   `json:"issuer,omitempty"`
	JWKSURI              string   `json:"jwks_uri,omitempty"`
	TokenEndpoint        string   `json:"token_endpoint"`
	GrantTypes           []string `json:"grant_types_supported"`
	AuthMethods          []string `json:"token_endpoint_auth_methods_supported"`
	SigningAlgorithms    []string `json:"token_endpoint_auth_signing_alg_values_supported"`
	ScopesSupported      []string `json:"scopes_supported"`
	CodeChallengeMethods []string `json:"code_challenge_methods_supported"`
	Capabilities         []string `json:"capabilities"`
}

// Handler returns a handler of GET and HEAD for [ConfigurationPath]. It answers
// with application/json whatever the client accepts, and to scripts of any
// origin, since the document is public; it asks for no token. An error says which
// URL is missing or not absolute. Later changes of c have no effect.
func (c Configuration) Handler() (http.Handler, error) {
	for _, u := range []struct{ name, url string }{
		{"TokenEndpoint", c.TokenEndpoint}, {"Issuer", c.Issuer}, {"JWKSURI", c.JWKSURI},
	} {
		if u.url == "" && u.name != "TokenEndpoint" {
			continue
		}
		if err := checkURL(u.url, true); err != nil {
			return nil, fmt.Errorf("smart.Configuration.%s: %w", u.name, err)
		}
	}
	body, err := json.Marshal(discovery{
		Issuer:               c.Issuer,
		JWKSURI:              c.JWKSURI,
		TokenEndpoint:        c.TokenEndpoint,
		GrantTypes:           []string{"client_credentials"},
		AuthMethods:          []string{"private_key_jwt"},
		SigningAlgorithms:    listOr(c.SigningAlgorithms, "RS384", "ES384"),
		ScopesSupported:      listOr(c.ScopesSupported, "system/*.rs", "system/*.read"),
		CodeChallengeMethods: []string{"S256"}, // required, though no client of this profile has a code
		Capabilities:         []string{"client-confidential-asymmetric", "permission-v1", "permission-v2"},
	})
	if err != nil {
		return nil, fmt.Errorf("smart.Configuration: %w", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Access-Control-Allow-Origin", "*")
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			header.Set("Allow", "GET, HEAD")
			http.Error(w, "Only GET and HEAD are supported here.", http.StatusMethodNotAllowed)
			return
		}
		header.Set("Content-Type", "application/json")
		header.Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body) // whoever does not read it misses it
	}), nil
}

func listOr(list []string, otherwise ...string) []string {
	if len(list) == 0 {
		return otherwise
	}
	return list
}
