package smart

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// checkURL admits what this package may send requests to.
func checkURL(raw string, allowHTTP bool) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("it is not a URL") // the cause would repeat a password
	case u.Host == "" || u.Opaque != "":
		return errors.New("it is not absolute")
	case u.User != nil || u.Fragment != "":
		return errors.New("it has a user or a fragment")
	case u.Scheme != "https" && (u.Scheme != "http" || !allowHTTP):
		return fmt.Errorf("its scheme is %q, not https", u.Scheme)
	}
	return nil
}

// guarded returns a client like the given one, or a private one if that is nil,
// that stays at the server it is sent to and follows but so many redirects. The
// private one keeps no connections, so that nobody has to close it.
func guarded(client *http.Client, redirects int) *http.Client {
	g := http.Client{}
	if client != nil {
		g.Transport = client.Transport
	} else {
		g.Transport = &http.Transport{
			DisableKeepAlives:      true,
			ForceAttemptHTTP2:      true,
			MaxResponseHeaderBytes: 64 << 10,
			TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		}
	}
	g.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		from := via[0].URL
		switch {
		case len(via) > redirects:
			return errors.New("too many redirects")
		case req.URL.Scheme != from.Scheme || req.URL.Host != from.Host:
			return errors.New("it redirects to another server")
		}
		return nil
	}
	return &g
}

// ask returns the body of an answer with status 200, if it has at most limit bytes.
func ask(client *http.Client, req *http.Request, limit int64) ([]byte, http.Header, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s answers with status %d", req.URL.Host, res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("read answer of %s: %w", req.URL.Host, err)
	case int64(len(body)) > limit:
		return nil, nil, fmt.Errorf("answer of %s has more than %d bytes", req.URL.Host, limit)
	}
	return body, res.Header, nil
}

// mayKeep returns how long Cache-Control (RFC 9111) lets an answer be used: most,
// if it does not say.
func mayKeep(header http.Header, most time.Duration) time.Duration {
	kept := most
	for _, directive := range strings.Split(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(directive), "=")
		switch strings.ToLower(name) {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			kept = min(kept, seconds(strings.Trim(value, `"`), most))
		}
	}
	return max(kept-seconds(header.Get("Age"), most), 0)
}

// seconds reads a number of seconds, up to most; what is none counts as zero.
func seconds(s string, most time.Duration) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange), err == nil && n > uint64(most/time.Second):
		return most
	case err != nil:
		return 0
	}
	return time.Duration(n) * time.Second
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}
