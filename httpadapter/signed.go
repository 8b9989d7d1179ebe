package httpadapter

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// SignedURLs has manifests name files by URLs that are the permission themselves, and
// say so: requiresAccessToken is false (Bulk Data Access, "Bulk Data Output File
// Request"). Such a URL is for one file of one export and ends to work after a while;
// each status request has new ones. Whoever has it can fetch the file: it is a secret,
// which clients must not log, nor proxies. A token is still taken where there is one.
type SignedURLs struct {
	// Keys are secrets of at least 32 random bytes each, the same on all nodes. The
	// first one signs and all are good, so that keys can be replaced: a new one is
	// added behind the others on all nodes, then moved to the front, and the old one
	// is left out when its last URL has ended.
	Keys [][]byte
	// TTL is how long a URL works, at most until the export expires; what has begun to
	// be sent is sent to its end. Bulk Data Access wants URLs to live no longer than
	// access tokens, for which SMART recommends 300 seconds. Defaults to 5 minutes.
	TTL time.Duration
}

const (
	defaultSignedTTL = 5 * time.Minute
	minKeyBytes      = 32
)

func (s SignedURLs) validate() error {
	if len(s.Keys) == 0 {
		return errors.New("needs a key")
	}
	for _, key := range s.Keys {
		if len(key) < minKeyBytes {
			return fmt.Errorf("needs keys of at least %d bytes", minKeyBytes)
		}
	}
	if s.TTL < time.Second {
		return errors.New("needs a TTL of at least a second")
	}
	return nil
}

// signer makes signed URLs of files, and tells them from others.
type signer struct {
	keys [][]byte
	// place is where the files are: a key that two servers share by mistake is of no
	// use from one to the other.
	place string
}

// The parameters of a signed URL. It has no others, and these in this order: what is
// signed is everything.
const (
	paramExpires   = "expires"
	paramSignature = "signature"
)

// query returns what makes the URL of a file work until expires, which counts by whole
// seconds.
func (s *signer) query(jobID, file string, expires time.Time) string {
	at := strconv.FormatInt(expires.Unix(), 10)
	mac := s.mac(s.keys[0], jobID, file, at)
	return paramExpires + "=" + at + "&" + paramSignature + "=" + base64.RawURLEncoding.EncodeToString(mac)
}

// allows reports whether a query is one that works for the file at this time. All keys
// are tried, each in constant time.
func (s *signer) allows(query, jobID, file string, now time.Time) bool {
	at, signature, ok := splitSigned(query)
	if !ok {
		return false
	}
	good := false
	for _, key := range s.keys {
		good = hmac.Equal(signature, s.mac(key, jobID, file, at)) || good
	}
	expires, err := strconv.ParseInt(at, 10, 64)
	return good && err == nil && now.Before(time.Unix(expires, 0))
}

func splitSigned(query string) (at string, signature []byte, ok bool) {
	rest, ok := strings.CutPrefix(query, paramExpires+"=")
	if !ok {
		return "", nil, false
	}
	at, encoded, ok := strings.Cut(rest, "&"+paramSignature+"=")
	if !ok {
		return "", nil, false
	}
	signature, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	return at, signature, err == nil
}

// mac is over parts of which each has its length before it, so that none can grow at
// the cost of another.
func (s *signer) mac(key []byte, jobID, file, at string) []byte {
	sum := hmac.New(sha256.New, key)
	for _, part := range []string{"bulkexport file", s.place, jobID, file, at} {
		_, _ = fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return sum.Sum(nil)
}

// hasSignature reports whether a request claims to have a signed URL.
func hasSignature(r *http.Request) bool {
	values, err := url.ParseQuery(r.URL.RawQuery)
	return err == nil && values.Has(paramSignature)
}
