package authserver

import (
	"net/http"
	"strconv"

	"github.com/bulkexport/bulkexport/smart"
)

// configuration says to clients where tokens are. It has no issuer: SMART wants that
// only of servers with OpenID Connect.
func (s *Server) configuration() smart.Configuration {
	return smart.Configuration{
		TokenEndpoint:     s.tokenURL,
		JWKSURI:           s.cfg.BaseURL + keySetPath,
		SigningAlgorithms: algorithms(),
	}
}

// configurationPaths are where the document is: below the FHIR base, where SMART has
// it, and below BaseURL, where some clients look for it.
func (s *Server) configurationPaths() []string {
	atRoot, atBase := s.root+smart.ConfigurationPath, s.root+s.cfg.FHIRPath+smart.ConfigurationPath
	if atRoot == atBase {
		return []string{atRoot}
	}
	return []string{atBase, atRoot}
}

// public marks what anybody may have and keep for a while: as long as a token lives,
// so that a key that is published for that long before its first use is known.
func public(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "public, max-age=300")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		handler.ServeHTTP(w, r)
	})
}

func serveKeySet(keySet []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/jwk-set+json")
		w.Header().Set("Content-Length", strconv.Itoa(len(keySet)))
		_, _ = w.Write(keySet) // whoever does not read it misses it
	}
}
