package httpadapter

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Config is what [New] makes a [Handler] of. BaseURL is required, and exactly
// one of Authorize and Open; every other field has a default.
type Config struct {
	// BaseURL is the absolute http or https URL under which clients reach the
	// routes, for example "https://fhir.example.org". All links are built from it
	// and never from the Host header; its path is part of the routes. Required.
	BaseURL string
	// FHIRPath is where below BaseURL the FHIR base is, "/" if BaseURL is the
	// FHIR base itself. Defaults to "/fhir".
	FHIRPath string
	// JobPath is where below BaseURL status and files are. Defaults to
	// "/bulk-export".
	JobPath string

	// Strict keeps to the letter of Bulk Data Access, as its test suites do: see
	// the package's comment. By default requests are read liberally.
	Strict bool
	// DeleteStatus is the status of a successful DELETE: 204, or 202 as Bulk Data
	// Access has it. Defaults to 202 if Strict is set, else to 204; what is set
	// here wins over Strict.
	DeleteStatus int
	// Guide is the version of the guide that manifests and kick-offs follow.
	// Defaults to bulkexport.STU3. With bulkexport.STU4Ballot, which is
	// experimental, a kick-off must be a POST.
	Guide bulkexport.Guide

	// Authorize says who makes a request and what it may export. It is called
	// once for every request to an operation, from several goroutines at once.
	// [ErrUnauthenticated] is answered with 401 and [bulkexport.ErrForbidden] with
	// 403. Any other error means trouble: the client gets a 503, and the error goes
	// to the log, so its text must not hold tokens.
	Authorize func(*http.Request) (bulkexport.Access, error)
	// Open lets everybody export everything, and see every job of the client
	// without a name. Credentials that a client sends are ignored.
	Open bool

	// SignedURLs, if it has keys, lets clients fetch files by URLs that are signed. It
	// needs Authorize. A sink with URLs of its own ([bulkexport.SinkURLs]) goes first.
	// Defaults to none: files need a token like everything else.
	SignedURLs SignedURLs

	// RemoteAddr says where a request came from, for limits and audit: any string of at
	// most 100 bytes. Defaults to the host of http.Request.RemoteAddr, which behind a
	// proxy is that of the proxy: a host that trusts a header of its proxy reads it here.
	RemoteAddr func(*http.Request) string

	// MaxBodyBytes is the highest length of the body of a POST; a longer one is
	// answered with 413. Defaults to 8 MiB, which is room for some 80,000 patients.
	MaxBodyBytes int64
	// PollLimit is how many times in a row a client may ask for the status of a
	// running export without heeding Retry-After, before it is answered 429; each
	// second allows one more. Whoever heeds Retry-After is never refused, and
	// downloads are not limited. Each process counts what it has seen, and Limiter
	// what came early. Defaults to 60; -1 means no limit.
	PollLimit int
	// TenantPolls is how often all clients of a tenant together may ask for the status
	// of running exports earlier than a second after they have asked this process;
	// beyond that they are answered 429. Whoever heeds Retry-After is not counted and
	// never refused. Defaults to no limit.
	TenantPolls Rate
	// ClientKickOffs and TenantKickOffs are how often a client, and all clients of a
	// tenant together, may ask for an export, whether it is accepted or refused, before
	// they are answered 429. What a client asks for beyond its own rate does not count
	// for its tenant. How many exports may run is for [bulkexport.Config]. Default to
	// no limit.
	ClientKickOffs, TenantKickOffs Rate
	// FailedLogins is how often Authorize may find the credentials of requests from one
	// RemoteAddr invalid ([ErrUnauthenticated]). Beyond that all requests from there
	// that need authorization are answered 429 for some time, at most Every, without a
	// look at their credentials. IPv6 addresses count by their first 64 bits. Requests
	// without credentials in an Authorization header do not count. As long as RemoteAddr
	// is not set, nor do those from private networks and this machine, since that may
	// be a proxy, which everybody comes from. Defaults to 60 at once and one more each
	// second; a Burst of -1 means no limit.
	FailedLogins Rate
	// Limiter counts for these limits. While it is in trouble requests are let through,
	// and the log says so. Defaults to that of the exporter, so that with a store that
	// counts ([bulkexport.Limiter]) limits hold for all processes together.
	Limiter bulkexport.Limiter

	// StallTimeout is how long a client may take to receive a piece of a file, which is
	// at most 256 KiB; then the connection is closed. Defaults to 5 minutes.
	StallTimeout time.Duration

	// Observer is told of downloads and refusals.
	Observer Observer
	// Logger gets the causes of answers with status 503 that do not say them, and of
	// broken downloads; never query strings or tokens. Defaults to slog.Default().
	Logger *slog.Logger
}

// pathPattern keeps paths to what needs no escaping in a URL and has no meaning
// in a pattern of http.ServeMux.
var pathPattern = regexp.MustCompile(`^(/[\w~-][\w.~-]*)*$`)

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.FHIRPath = strings.TrimRight(cmp.Or(c.FHIRPath, "/fhir"), "/")
	c.JobPath = strings.TrimRight(cmp.Or(c.JobPath, "/bulk-export"), "/")
	if c.Strict {
		c.DeleteStatus = cmp.Or(c.DeleteStatus, http.StatusAccepted)
	}
	c.DeleteStatus = cmp.Or(c.DeleteStatus, http.StatusNoContent)
	c.MaxBodyBytes = cmp.Or(c.MaxBodyBytes, 8<<20)
	c.PollLimit = cmp.Or(c.PollLimit, 60)
	c.FailedLogins = cmp.Or(c.FailedLogins, Rate{60, time.Second})
	c.SignedURLs.TTL = cmp.Or(c.SignedURLs.TTL, defaultSignedTTL)
	c.StallTimeout = cmp.Or(c.StallTimeout, 5*time.Minute)
	if c.RemoteAddr == nil {
		c.RemoteAddr = remoteHost
	}
	c.Logger = cmp.Or(c.Logger, slog.Default())
	return c
}

func (c Config) validate() error {
	var faults []error
	check := func(ok bool, field, rule string) {
		if !ok {
			faults = append(faults, fmt.Errorf("httpadapter: Config.%s %s", field, rule))
		}
	}
	rule := baseURLRule(c.BaseURL)
	check(rule == "", "BaseURL", rule)
	check(pathPattern.MatchString(c.FHIRPath), "FHIRPath", "must be a plain path that begins with /")
	check(pathPattern.MatchString(c.JobPath) && c.JobPath != "", "JobPath",
		"must be a plain path that begins with / and has a segment")
	check(!c.meetsKickOffs(), "JobPath", "must differ from where kick-offs are")
	check(c.DeleteStatus == http.StatusNoContent || c.DeleteStatus == http.StatusAccepted,
		"DeleteStatus", "must be 204 or 202")
	check(c.Guide == bulkexport.STU3 || c.Guide == bulkexport.STU4Ballot, "Guide", "is not one that is known")
	check(c.MaxBodyBytes > 0, "MaxBodyBytes", "must not be negative")
	check(c.PollLimit >= -1 && c.PollLimit <= 1_000_000, "PollLimit", "must be from -1 to 1,000,000")
	check(c.TenantPolls.valid(), "TenantPolls", rateRule)
	check(c.ClientKickOffs.valid(), "ClientKickOffs", rateRule)
	check(c.TenantKickOffs.valid(), "TenantKickOffs", rateRule)
	check(c.FailedLogins.valid() || c.FailedLogins.Burst == -1, "FailedLogins", rateRule)
	if len(c.SignedURLs.Keys) > 0 {
		err := c.SignedURLs.validate()
		check(err == nil, "SignedURLs", fmt.Sprint(err))
		check(!c.Open, "SignedURLs", "needs Authorize: where access is open, URLs are too")
	}
	check(c.StallTimeout > 0, "StallTimeout", "must not be negative")
	check(c.Authorize != nil || c.Open, "Authorize", "is required, unless Config.Open makes access open")
	check(c.Authorize == nil || !c.Open, "Open", "must be false when Config.Authorize is set")
	return errors.Join(faults...)
}

// meetsKickOffs reports whether a path of a job can be one of a kick-off.
func (c Config) meetsKickOffs() bool {
	if c.JobPath == c.FHIRPath || c.JobPath == path.Dir(c.FHIRPath) {
		return true
	}
	return slices.ContainsFunc([]string{"/Patient/", "/Group/", "/OperationDefinition/"}, func(name string) bool {
		return strings.HasPrefix(c.JobPath+"/", c.FHIRPath+name)
	})
}

// baseURLRule returns the rule that a base URL breaks, if any.
func baseURLRule(baseURL string) string {
	base, err := url.Parse(baseURL)
	switch {
	case err != nil, base.Scheme != "http" && base.Scheme != "https", base.Host == "":
		return "must be an absolute http or https URL"
	case base.User != nil, strings.ContainsAny(baseURL, "?#"):
		return "must not have user, query or fragment"
	case !pathPattern.MatchString(base.EscapedPath()):
		return "must have a plain path"
	}
	return ""
}
