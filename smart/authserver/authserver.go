// Package authserver is a small authorization server for SMART Backend Services, for
// hosts that have no other: clients get access tokens by client_credentials with
// private_key_jwt, and by nothing else.
//
//	POST {BaseURL}/auth/token  access tokens
//	GET  {BaseURL}/auth/jwks   the public keys that verify them
//	GET  {BaseURL}/fhir/.well-known/smart-configuration
//	GET  {BaseURL}/.well-known/smart-configuration
//
// A [Server] answers all of them. It stands beside the exports on the mux of the
// host, and in the same process [Server.Issuer] has them accept its tokens without
// asking it over HTTP:
//
//	server, err := authserver.New(authserver.Config{
//		BaseURL: base, Clients: clients, Limiter: exporter.Limiter(),
//	})
//	authorizer, err := smart.New(smart.Config{Issuers: []smart.Issuer{server.Issuer()}})
//	exports, err := httpadapter.New(exporter, httpadapter.Config{
//		BaseURL: base, Authorize: authorizer.Authorize,
//	})
//	for _, pattern := range server.Patterns() {
//		mux.Handle(pattern, server)
//	}
//	for _, pattern := range exports.Patterns() {
//		mux.Handle(pattern, exports)
//	}
//
// # Who gets a token
//
// Clients are registered before the server starts, each with its keys and with the
// scopes that it may have at most: see [Client] and [ReadClients]. A client signs
// an assertion with RS384 or ES384 and trades it for a token, once: what it asks for
// beyond its scopes is left out. Who is not known and who has the wrong key get the
// same answer, after the same work, but for two things that cannot be hidden: the
// time that fetching a client's keys takes, and that they cannot be fetched.
//
// # More than one process
//
// Processes behind one BaseURL need the same Keys, and a Limiter that counts for all
// of them, such as that of an exporter whose store is shared; otherwise an assertion
// counts once for each process.
package authserver

import (
	"cmp"
	"net/http"
	"net/url"
	"path"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/smart"
)

// Server is an authorization server. Make one with [New]; it has no goroutines. It is
// safe for concurrent use.
type Server struct {
	cfg      Config
	root     string // path of BaseURL: empty, or begins with /
	tokenURL string
	clients  map[string]registration // by their ids
	decoys   decoys
	signer   signer
	keySet   *smart.StaticKeySet
	replays  bulkexport.Limiter
	failures *failures
	mux      *http.ServeMux
}

// New checks the configuration and returns a server. Without Keys it makes one, which
// lasts as long as the process. The error names every field and client that is wrong.
// Nothing is fetched yet.
func New(cfg Config) (*Server, error) {
	cfg = cfg.withDefaults()
	clients, err := cfg.check()
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, root: base.Path, tokenURL: cfg.BaseURL + tokenPath, clients: clients}
	s.replays = cmp.Or(cfg.Limiter, bulkexport.NewLimiter())
	s.failures = newFailures(cmp.Or(cfg.Limiter, bulkexport.NewLimiter()), cfg.FailureLimit, cfg.Now)
	if s.decoys, err = newDecoys(); err != nil {
		return nil, err
	}
	keys := cfg.Keys
	if len(keys) == 0 {
		if keys, err = makeKeys(); err != nil {
			return nil, err
		}
	}
	s.signer = newSigner(keys[0])
	published, err := keySetOf(keys)
	if err != nil {
		return nil, err
	}
	if s.keySet, err = smart.ParseKeySet(published); err != nil {
		return nil, err
	}
	s.mux, err = s.routes(published)
	return s, err
}

// Where below BaseURL things are.
const (
	tokenPath  = "/auth/token"
	keySetPath = "/auth/jwks"
)

func (s *Server) routes(keySet []byte) (*http.ServeMux, error) {
	configuration, err := s.configuration().Handler()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+s.root+tokenPath, s.token)
	mux.HandleFunc(s.root+tokenPath, refuseMethod(http.MethodPost))
	get := func(path string, handler http.Handler) {
		mux.Handle("GET "+path, public(handler))
		mux.HandleFunc(path, refuseMethod("GET, HEAD"))
	}
	get(s.root+keySetPath, serveKeySet(keySet))
	for _, path := range s.configurationPaths() {
		get(path, configuration)
	}
	mux.HandleFunc("/", notFound)
	return mux, nil
}

// Patterns returns patterns for a mux that is shared with other handlers. They name
// no method, so that wrong ones are answered here too. Where http.ServeMux finds that
// in conflict with a pattern that does, such as "GET /fhir/{type}/{id}",
// "GET "+pattern goes along with it, and for the first pattern "POST "+pattern.
func (s *Server) Patterns() []string {
	return append([]string{s.root + tokenPath, s.root + keySetPath}, s.configurationPaths()...)
}

// bodyTime is how long a client may take to send a body.
const bodyTime = 10 * time.Second

// ServeHTTP implements http.Handler. Paths are those below BaseURL; whatever is
// none of them is answered with 404. The Host header is never looked at.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		// Also for a body that nobody reads here: the server waits for it.
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	}
	if p := r.URL.EscapedPath(); p != path.Clean("/"+p) {
		notFound(w, r) // the mux would redirect
		return
	}
	s.mux.ServeHTTP(w, r)
}
