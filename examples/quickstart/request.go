package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

const (
	maxRedirects = 10
	// maxDiscarded is how much of a body is read only to keep the connection.
	maxDiscarded = 1 << 20
)

// kickOffURL completes what the user gave: a FHIR base URL stands for the
// export of the whole system.
func kickOffURL(text string) (*url.URL, error) {
	target, err := url.Parse(text)
	switch {
	case err != nil: // whose text is as private as the URL
		return nil, errors.New("is not a URL")
	case !isHTTP(target):
		return nil, errors.New("must begin with https:// or http:// and a host")
	case target.User != nil:
		return nil, errors.New("must have no password; give -header 'Authorization: …' instead")
	case !strings.HasPrefix(path.Base(target.Path), "$"):
		target = target.JoinPath("$export")
	}
	return target, nil
}

func isHTTP(target *url.URL) bool {
	return (target.Scheme == "http" || target.Scheme == "https") && target.Host != ""
}

// parseHeaders reads lines as in an HTTP header. Its errors show no value.
func parseHeaders(lines []string) (http.Header, error) {
	header := http.Header{}
	for _, line := range lines {
		name, value, found := strings.Cut(line, ":")
		if !found || strings.TrimSpace(name) == "" {
			return nil, errors.New("must be 'Name: value'")
		}
		header.Add(strings.TrimSpace(name), strings.TrimSpace(value))
	}
	return header, nil
}

// request is one to send, and to show.
type request struct {
	method string
	url    *url.URL
	header http.Header
	// capability says that the URL alone opens the file, so that its query,
	// which may be a signature, is as secret as a token.
	capability bool
}

// request returns one with credentials, if the URL is on the server that they
// are for.
func (c *client) request(method string, target *url.URL) request {
	header := http.Header{}
	if c.trusts(target) {
		header = c.credentials.Clone()
	}
	if header == nil {
		header = http.Header{}
	}
	return request{method: method, url: target, header: header}
}

func (c *client) trusts(target *url.URL) bool {
	return sameHost(c.kickOffURL, target) && !downgrades(c.kickOffURL, target)
}

func sameHost(a, b *url.URL) bool { return strings.EqualFold(a.Host, b.Host) }

// downgrades says whether what was encrypted no longer would be.
func downgrades(from, to *url.URL) bool { return from.Scheme == "https" && to.Scheme != "https" }

// setDefault sets a field unless the user did, and returns it as a flag of curl.
func (r request) setDefault(name, value string) (flag string) {
	if r.header.Get(name) != "" {
		return ""
	}
	r.header.Set(name, value)
	return " -H " + quote(name+": "+value)
}

// address is the URL as it may be shown.
func (r request) address() string {
	if !r.capability || r.url.RawQuery == "" {
		return r.url.String()
	}
	shown := *r.url
	shown.RawQuery = ""
	return shown.String() + "?…"
}

// curl is the command line that does the same, but for the values that are
// nobody else's business.
func (r request) curl(flags string, credentials http.Header) string {
	words := []string{"curl"}
	if flags != "" {
		words = append(words, flags)
	}
	if r.method != http.MethodGet {
		words = append(words, "-X", r.method)
	}
	for _, name := range slices.Sorted(maps.Keys(credentials)) {
		if _, sent := r.header[name]; sent {
			words = append(words, "-H", quote(name+": …"))
		}
	}
	return strings.Join(append(words, quote(r.address())), " ")
}

// quote quotes for a shell: URLs come from servers.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// send makes a request and returns the answer if it has one of the statuses;
// the caller closes its body. Any other answer is a *statusError, and none at
// all a *connectionError.
func (c *client) send(ctx context.Context, r request, statuses ...int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), nil)
	if err != nil {
		return nil, err
	}
	req.Header = r.header
	resp, err := c.http.Do(req)
	if err != nil {
		// The text of a *url.Error has the whole URL, secret or not.
		if outer := (*url.Error)(nil); errors.As(err, &outer) {
			err = outer.Err
		}
		return nil, &connectionError{r, err}
	}
	if slices.Contains(statuses, resp.StatusCode) {
		return resp, nil
	}
	return nil, newStatusError(r, resp)
}

// redirect returns the rule for redirects: away from the host that was asked go
// no credentials, whatever their names, and a DELETE becomes no GET.
func redirect(credentials http.Header) func(*http.Request, []*http.Request) error {
	return func(next *http.Request, via []*http.Request) error {
		first := via[0]
		if len(via) >= maxRedirects || next.Method != first.Method {
			return fmt.Errorf("redirected %d times, to %s", len(via), next.Method)
		}
		if !sameHost(first.URL, next.URL) || downgrades(first.URL, next.URL) {
			next.Header.Del("Referer") // its query may be a signature
			for name := range credentials {
				next.Header.Del(name)
			}
		}
		return nil
	}
}

// discard ends an answer whose body does not matter.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxDiscarded)
	_ = resp.Body.Close()
}
