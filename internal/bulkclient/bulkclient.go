// Package bulkclient is a small client of Bulk Data Access for commands that try
// several servers: the same job may be asked for at any of them.
package bulkclient

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// Client makes requests. It is safe for concurrent use. Close it when nobody uses
// it.
type Client struct {
	http *http.Client
}

// New returns a client whose requests take timeout at most, downloads included. It
// does not ask for compression, so that files come as they are.
func New(timeout time.Duration) *Client {
	transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // it is one
	transport.DisableCompression = true
	transport.MaxIdleConnsPerHost = 100
	return &Client{http: &http.Client{Transport: transport, Timeout: timeout}}
}

// Close closes the connections that are not in use.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Answer is a response, read to its end.
type Answer struct {
	Code   int
	Header http.Header
	Body   []byte
}

// StatusError is an answer with a status that was not expected.
type StatusError struct {
	Method, URL string
	Answer
}

// Error implements error.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%s %s: %d %s", e.Method, e.URL, e.Code, e.Body)
}

// Do makes a request. An error means that there is no answer; all that a server
// says is one.
func (c *Client) Do(ctx context.Context, method, url string) (Answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return Answer{}, err
	}
	req.Header.Set("Prefer", "respond-async")
	resp, err := c.http.Do(req)
	if err != nil {
		return Answer{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	return Answer{Code: resp.StatusCode, Header: resp.Header, Body: body}, err
}

// KickOff starts an export of all there is, and returns the path of its status, which
// is the same on all servers. The query may be empty, or begins with '?'.
//
// Errors: [*StatusError].
func (c *Client) KickOff(ctx context.Context, base, query string) (job string, err error) {
	at := base + "/fhir/$export" + query
	answer, err := c.Do(ctx, http.MethodGet, at)
	switch {
	case err != nil:
		return "", err
	case answer.Code != http.StatusAccepted:
		return "", &StatusError{http.MethodGet, at, answer}
	}
	location, err := url.Parse(answer.Header.Get("Content-Location"))
	if err == nil && location.Path == "" {
		err = errors.New("kick-off: no Content-Location")
	}
	if err != nil {
		return "", err
	}
	return location.Path, nil
}

// Manifest is what there is to download.
type Manifest struct {
	TransactionTime     string
	RequiresAccessToken bool
	Output, Error       []File
	Link                []struct{ Relation, URL string }
}

// File is a file of a manifest.
type File struct {
	Type, URL string
	Count     int64
	Extension map[string]any
}

const extensions = "https://github.com/bulkexport/bulkexport/manifest/"

// SHA256 returns what the manifest says is the hash of the content, in lower-case
// hexadecimal; empty if it does not say.
func (f File) SHA256() string {
	sum, _ := f.Extension[extensions+"sha256"].(string)
	return sum
}

// Name returns the public name.
func (f File) Name() string {
	u, err := url.Parse(f.URL)
	if err != nil {
		return f.URL
	}
	return path.Base(u.Path)
}

// on returns the URL of what a manifest links to on another server than the one that
// wrote it. URLs of the storage stay.
func on(base, link string) string {
	u, err := url.Parse(link)
	if err != nil || !strings.HasPrefix(u.Path, "/bulk-export/") {
		return link
	}
	return base + u.RequestURI()
}

// Status asks how a job is. The manifest is nil while it runs; it has the files of
// all its pages.
//
// Errors: [*StatusError] unless the job runs or is completed.
func (c *Client) Status(ctx context.Context, base, job string) (Answer, *Manifest, error) {
	var whole *Manifest
	for at := base + job; ; {
		answer, err := c.Do(ctx, http.MethodGet, at)
		switch {
		case err != nil:
			return answer, nil, err
		case answer.Code == http.StatusAccepted && whole == nil:
			return answer, nil, nil
		case answer.Code != http.StatusOK:
			return answer, nil, &StatusError{http.MethodGet, at, answer}
		}
		var page Manifest
		if err := json.Unmarshal(answer.Body, &page); err != nil {
			return answer, nil, fmt.Errorf("manifest: %w", err)
		}
		if whole == nil {
			whole = &Manifest{TransactionTime: page.TransactionTime, RequiresAccessToken: page.RequiresAccessToken}
		}
		whole.Output = append(whole.Output, page.Output...)
		whole.Error = append(whole.Error, page.Error...)
		if at = page.next(base); at == "" {
			return answer, whole, nil
		}
	}
}

func (m Manifest) next(base string) string {
	for _, link := range m.Link {
		if link.Relation == "next" {
			return on(base, link.URL)
		}
	}
	return ""
}
