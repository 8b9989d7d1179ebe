package authserver

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/smart"
)

// Config is what [New] makes a [Server] of. BaseURL and Clients are required; every
// other field has a default.
type Config struct {
	// BaseURL is the absolute https URL under which clients reach the routes, for
	// example "https://fhir.example.org". It is the issuer of the tokens, and the URL
	// of the token endpoint, which assertions must be made for, is built from it and
	// never from the Host header; its path is part of the routes. It may be http for a
	// loopback address only. Required.
	BaseURL string
	// AllowHTTP admits any http URL as BaseURL: for networks that encrypt below.
	AllowHTTP bool
	// FHIRPath is where below BaseURL the FHIR base is, "/" if BaseURL is the FHIR
	// base itself. Defaults to "/fhir".
	FHIRPath string
	// Audience is whom the tokens are for. Defaults to the FHIR base.
	Audience string

	// Clients are those that get tokens. Required.
	Clients []Client
	// KeySets says how the key sets of clients that have a URL are fetched.
	KeySets smart.RemoteConfig

	// Keys sign the tokens: the first one does, and all of them verify and are
	// published. So a new key comes in as the second one, becomes the first when all
	// who verify know it, and the old one goes when its last token has expired.
	// By default a key for ES256 that is made by New: for one process only, and tokens
	// end with it.
	Keys []Key
	// Lifetime is how long a token is valid, from 10 s to 5 min, in whole seconds.
	// Defaults to 5 min.
	Lifetime time.Duration

	// Limiter remembers assertions that were used, for about six minutes each, and
	// counts failures. While it cannot, nobody gets a token. A request takes from it
	// once, one that fails to authenticate twice. Several processes need one that counts
	// for all of them. Defaults to two of bulkexport.NewLimiter(),
	// with room for 100,000 assertions in six minutes.
	Limiter bulkexport.Limiter
	// FailureLimit is how many times in a row a client id may fail to authenticate
	// at one address, before it is answered 429 there, and only there; each ten
	// seconds allow one more. An address as a whole may fail five times as often, and
	// once in two seconds. Who is refused is known to each process by itself. Defaults
	// to 20; -1 means no limit.
	FailureLimit int
	// RemoteAddr says where a request comes from. Defaults to the host of
	// http.Request.RemoteAddr. Behind a proxy that is the proxy, so that all clients
	// share what one address may fail: set it there, to what the proxy says. Addresses
	// of IPv6 are counted together by their first 64 bits.
	RemoteAddr func(*http.Request) string

	// Issued and Refused, if not nil, are told of each token and of each POST to the
	// token endpoint that gets none, before the answer is sent; from several goroutines
	// at once.
	Issued  func(context.Context, Issued)
	Refused func(context.Context, Refused)
	// Logger gets the causes of answers with status 503; never assertions or tokens.
	// Defaults to slog.Default().
	Logger *slog.Logger
	// Now is the clock for assertions and tokens. Defaults to time.Now.
	Now func() time.Time
}

// Issued says who got a token.
type Issued struct {
	// Client and Tenant are who got it, Address is where.
	Client, Tenant, Address string
	// Scope is what was granted.
	Scope string
	// ID is the jti of the token, Expires when it ends.
	ID      string
	Expires time.Time
}

// Refused says who got no token, and why.
type Refused struct {
	// Client is who the request says that it comes from, up to 255 bytes, or empty.
	// Anybody can say so.
	Client string
	// Address is where it comes from.
	Address string
	// Status is that of the answer, Error the OAuth error in it.
	Status int
	Error  string
	// Reason says more than the client is told. It repeats nothing of the request.
	Reason string
}

const (
	maxLifetime = 5 * time.Minute
	minLifetime = 10 * time.Second
)

// pathPattern keeps paths to what needs no escaping in a URL and has no meaning in a
// pattern of http.ServeMux.
var pathPattern = regexp.MustCompile(`^(/[\w~-][\w.~-]*)*$`)

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.FHIRPath = strings.TrimRight(cmp.Or(c.FHIRPath, "/fhir"), "/")
	c.Audience = cmp.Or(c.Audience, c.BaseURL+c.FHIRPath)
	c.Lifetime = cmp.Or(c.Lifetime, maxLifetime)
	c.FailureLimit = cmp.Or(c.FailureLimit, 20)
	c.Logger = cmp.Or(c.Logger, slog.Default())
	if c.RemoteAddr == nil {
		c.RemoteAddr = remoteHost
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

// check returns the clients by their ids, or all that is wrong.
func (c Config) check() (map[string]registration, error) {
	var faults []error
	check := func(ok bool, field, rule string) {
		if !ok {
			faults = append(faults, fmt.Errorf("authserver: Config.%s %s", field, rule))
		}
	}
	rule := baseURLRule(c.BaseURL, c.AllowHTTP)
	check(rule == "", "BaseURL", rule)
	check(pathPattern.MatchString(c.FHIRPath), "FHIRPath", "must be a plain path that begins with /")
	check(c.Lifetime >= minLifetime && c.Lifetime <= maxLifetime && c.Lifetime%time.Second == 0,
		"Lifetime", "must be from 10 s to 5 min, in whole seconds")
	check(c.FailureLimit >= -1 && c.FailureLimit <= 10_000, "FailureLimit", "must be from -1 to 10,000")
	rule = keysRule(c.Keys)
	check(rule == "", "Keys", rule)
	check(len(c.Clients) > 0, "Clients", "must not be empty")
	clients, err := register(c.Clients, c.KeySets)
	return clients, errors.Join(append(faults, err)...)
}

// baseURLRule returns the rule that a base URL breaks, if any.
func baseURLRule(baseURL string, allowHTTP bool) string {
	base, err := url.Parse(baseURL)
	switch {
	case err != nil, base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return "must be an absolute https URL"
	case base.Scheme == "http" && !allowHTTP && !isLoopback(base.Hostname()):
		return "must be https, unless Config.AllowHTTP is set"
	case base.User != nil, strings.ContainsAny(baseURL, "?#"):
		return "must not have user, query or fragment"
	case !pathPattern.MatchString(base.EscapedPath()):
		return "must have a plain path"
	}
	return ""
}

func isLoopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func remoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
