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
	// DeleteStatus is the status of a successful DELETE: 204, or 202 as Bulk Data
	// Access has it. Defaults to 204.
	DeleteStatus int

	// Authorize says who makes a request and what it may export. It is called
	// once for every request to an operation, from several goroutines at once.
	// [ErrUnauthenticated] is answered with 401 and [bulkexport.ErrForbidden] with
	// 403. Any other error means trouble: the client gets a 500, or a 503 for a
	// timeout, and the error goes to the log, so its text must not hold tokens.
	Authorize func(*http.Request) (bulkexport.Access, error)
	// Open lets everybody export everything, and see every job of the client
	// without a name. Credentials that a client sends are ignored.
	Open bool

	// Logger gets the causes of answers with status 500 and of broken downloads;
	// never query strings or tokens. Defaults to slog.Default().
	Logger *slog.Logger
}

// pathPattern keeps paths to what needs no escaping in a URL and has no meaning
// in a pattern of http.ServeMux.
var pathPattern = regexp.MustCompile(`^(/[\w~-][\w.~-]*)*$`)

func (c Config) withDefaults() Config {
	c.BaseURL = strings.TrimRight(c.BaseURL, "/")
	c.FHIRPath = strings.TrimRight(cmp.Or(c.FHIRPath, "/fhir"), "/")
	c.JobPath = strings.TrimRight(cmp.Or(c.JobPath, "/bulk-export"), "/")
	c.DeleteStatus = cmp.Or(c.DeleteStatus, http.StatusNoContent)
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
	check(!slices.Contains([]string{c.FHIRPath, c.FHIRPath + "/Patient", path.Dir(c.FHIRPath)}, c.JobPath),
		"JobPath", "must differ from where kick-offs are")
	check(c.DeleteStatus == http.StatusNoContent || c.DeleteStatus == http.StatusAccepted,
		"DeleteStatus", "must be 204 or 202")
	check(c.Authorize != nil || c.Open, "Authorize", "is required, unless Config.Open makes access open")
	check(c.Authorize == nil || !c.Open, "Open", "must be false when Config.Authorize is set")
	return errors.Join(faults...)
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
