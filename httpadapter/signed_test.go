package httpadapter_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
	"github.com/bulkexport/bulkexport/source/memsource"
	"github.com/bulkexport/bulkexport/store/memstore"
)

// keys of URLs, for tests.
var (
	oneKey     = bytes.Repeat([]byte{1}, 32)
	anotherKey = bytes.Repeat([]byte{2}, 32)
)

// newSignedKit has a completed job of alice with one file, and signs URLs.
func newSignedKit(t *testing.T, s setup) *kit {
	t.Helper()
	s.http.Authorize = authorize
	if s.http.SignedURLs.Keys == nil {
		s.http.SignedURLs.Keys = [][]byte{oneKey}
	}
	k := newKit(t, s)
	k.addFile(callers["alice"].Caller, lines)
	return k
}

// signedURL returns the path of the file as the manifest has it.
func (k *kit) signedURL() string {
	k.Helper()
	m := k.manifest(status, aliceAuth)
	require.False(k, *m.RequiresAccessToken)
	return k.path((*m.Output)[0].URL)
}

func TestSignedURLs(t *testing.T) {
	t.Parallel()
	k := newSignedKit(t, setup{})
	signed := k.signedURL()
	res := k.get(status, aliceAuth)
	require.Equal(t, now.Add(5*time.Minute).Format(http.TimeFormat), res.header.Get("Expires"))

	for _, headers := range []string{"A: b", aliceAuth, "Authorization: Bearer ", "Authorization: Bearer bob"} {
		res := k.get(signed, headers)
		require.Equal(t, http.StatusOK, res.status, headers)
		require.Equal(t, lines, string(res.body))
		require.Equal(t, "no-store", res.header.Get("Cache-Control"))
		part := k.get(signed, headers, "Range: bytes=5-9")
		require.Equal(t, http.StatusPartialContent, part.status)
		require.Equal(t, lines[5:10], string(part.body))
	}
	require.Equal(t, http.StatusOK, k.get(file, aliceAuth).status, "a token is good as well")
	require.Equal(t, http.StatusUnauthorized, k.get(file).status)

	// The permission is to fetch the file, and nothing else.
	_, query, _ := strings.Cut(signed, "?")
	query = "?" + query
	for _, target := range []string{status + query, file + "x" + query, "/fhir/$export" + query} {
		require.Equal(t, http.StatusUnauthorized, k.get(target).status, target)
	}
	require.Equal(t, http.StatusUnauthorized, k.do("DELETE", status+query).status)
}

// forgeries are what can be made of a signed URL without its key.
func forgeries(signed string) []string {
	path, query, _ := strings.Cut(signed, "?")
	values, _ := url.ParseQuery(query)
	expires, signature := values.Get("expires"), values.Get("signature")
	number, _ := strconv.Atoi(expires)
	later := strconv.Itoa(number + 1)
	flipped := []byte(signature)
	flipped[0] ^= 1
	build := func(expires, signature string) string {
		return path + "?expires=" + expires + "&signature=" + signature
	}
	return []string{
		build(later, signature), build("0"+expires, signature), build("+"+expires, signature), build(expires+".0", signature),
		build("", signature), build(strings.Repeat("9", 30), signature), build("-1", signature),
		build(expires, ""), build(expires, string(flipped)), build(expires, signature[1:]), build(expires, signature+"A"),
		build(expires, signature+"="), build(expires, "AAAA"), build(expires, strings.ToLower(signature)),
		build(expires, "%"+signature), signed + "&x=1", signed + "&expires=" + later, path + "?x=1&" + query,
		path + "?signature=" + signature + "&expires=" + expires, path + "?signature=" + signature,
		strings.Replace(signed, "Patient", "Observation", 1), strings.Replace(signed, jobID, strings.Repeat("a", 26), 1),
	}
}

func TestForgedURLs(t *testing.T) {
	t.Parallel()
	k := newSignedKit(t, setup{})
	signed := k.signedURL()
	for _, target := range forgeries(signed) {
		res := k.get(target)
		require.Equal(t, http.StatusUnauthorized, res.status, target)
		require.Equal(t, `Bearer realm="FHIR"`, res.header.Get("WWW-Authenticate"))
		code := outcomeOf(t, res.body).Issue[0].Code
		require.Contains(t, []string{"expired", "login"}, code)
		require.NotContains(t, string(res.body), "expires=")
	}
	res := k.get(forgeries(signed)[0])
	require.Equal(t, "expired", outcomeOf(t, res.body).Issue[0].Code)
	require.Contains(t, string(res.body), "The status of the export has new ones.")
	require.Equal(t, http.StatusOK, k.get(forgeries(signed)[0], aliceAuth).status)
	require.Empty(t, k.log.String())
}

// TestSignedURLsEnd asks with a clock that goes on.
func TestSignedURLsEnd(t *testing.T) {
	t.Parallel()
	var passed atomic.Int64 // since now
	pass := func(d time.Duration) { passed.Store(int64(d)) }
	k := newSignedKit(t, setup{
		core: bulkexport.Config{Now: func() time.Time { return now.Add(time.Duration(passed.Load())) }},
		http: httpadapter.Config{SignedURLs: httpadapter.SignedURLs{TTL: time.Hour}},
	})
	first := k.signedURL()
	pass(time.Hour - time.Second)
	require.Equal(t, http.StatusOK, k.get(first).status)
	second := k.signedURL()
	require.NotEqual(t, first, second)
	pass(time.Hour)
	require.Equal(t, http.StatusUnauthorized, k.get(first).status)
	require.Equal(t, http.StatusOK, k.get(second).status)

	pass(24*time.Hour - time.Minute)
	res := k.get(status, aliceAuth)
	require.Equal(t, now.Add(24*time.Hour).Format(http.TimeFormat), res.header.Get("Expires"))
	last := k.signedURL()
	require.Equal(t, http.StatusOK, k.get(last).status)
	pass(24 * time.Hour)
	require.Equal(t, http.StatusUnauthorized, k.get(last).status)
}

func TestSignedURLsOfDeletedExports(t *testing.T) {
	t.Parallel()
	k := newSignedKit(t, setup{})
	signed := k.signedURL()
	require.Equal(t, http.StatusNoContent, k.do("DELETE", status, aliceAuth).status)
	require.Equal(t, http.StatusNotFound, k.get(signed).status)
}

// TestSigningKeys replaces a key while nodes have different ones.
func TestSigningKeys(t *testing.T) {
	t.Parallel()
	store := memstore.New()
	node := func(base string, keys ...[]byte) *kit {
		return newKit(t, setup{
			core: bulkexport.Config{Store: store},
			http: httpadapter.Config{
				BaseURL: base, Authorize: authorize, SignedURLs: httpadapter.SignedURLs{Keys: keys},
			},
		})
	}
	const base = "https://fhir.example"
	old, both := node(base, oneKey), node(base, oneKey, anotherKey)
	turned, latest := node(base, anotherKey, oneKey), node(base, anotherKey)
	elsewhere := node("https://other.example", oneKey)
	old.addFile(callers["alice"].Caller, lines)
	urlOf := func(k *kit) string {
		return strings.TrimPrefix((*k.manifest(status, aliceAuth).Output)[0].URL, base)
	}
	// The sink of old has the file; to the others it is enough to get as far as that.
	works := func(k *kit, target string) bool { return k.get(target).status != http.StatusUnauthorized }
	require.Equal(t, http.StatusOK, old.get(urlOf(both)).status)
	for _, k := range []*kit{old, both, turned} {
		require.True(t, works(k, urlOf(old)))
		require.True(t, works(k, urlOf(both)))
	}
	require.True(t, works(both, urlOf(turned)))
	require.True(t, works(latest, urlOf(turned)))
	require.False(t, works(old, urlOf(turned)))
	require.False(t, works(latest, urlOf(old)))
	require.False(t, works(elsewhere, urlOf(old)), "the key is the same, but not the place")
}

func TestSignedURLsConfig(t *testing.T) {
	t.Parallel()
	exporter := newKit(t, setup{}).exporter
	for want, urls := range map[string]httpadapter.SignedURLs{
		"Config.SignedURLs needs keys of at least 32 bytes": {Keys: [][]byte{oneKey, oneKey[1:]}},
		"Config.SignedURLs needs a TTL":                     {Keys: [][]byte{oneKey}, TTL: time.Millisecond},
	} {
		_, err := httpadapter.New(exporter, httpadapter.Config{
			BaseURL: "https://fhir.example", Authorize: authorize, SignedURLs: urls,
		})
		require.ErrorContains(t, err, want)
	}
	_, err := httpadapter.New(exporter, httpadapter.Config{
		BaseURL: "https://fhir.example", Open: true, SignedURLs: httpadapter.SignedURLs{Keys: [][]byte{oneKey}},
	})
	require.ErrorContains(t, err, "Config.SignedURLs needs Authorize")
}

// FuzzSignedURL looks for a query, or the path of a file, that works and is not the one
// that was signed.
func FuzzSignedURL(f *testing.F) {
	store := memstore.New()
	exporter, err := bulkexport.New(bulkexport.Config{
		Source: memsource.New(memsource.Config{}), Store: store, Sink: memsink.New(), Now: func() time.Time { return now },
	})
	require.NoError(f, err)
	handler, err := httpadapter.New(exporter, httpadapter.Config{
		BaseURL: "https://fhir.example", Authorize: authorize, SignedURLs: httpadapter.SignedURLs{Keys: [][]byte{oneKey}},
	})
	require.NoError(f, err)
	job := bulkexport.Job{ID: jobID, State: bulkexport.JobCompleted, ExpiresAt: now.Add(time.Hour)}
	require.NoError(f, store.CreateJob(context.Background(), job))
	// The signature is of another key: nothing that is made of it may work.
	const sample = "expires=1772885100&signature=Zm9yZ2VkIGZvcmdlZCBmb3JnZWQgZm9yZ2VkIGZvcmdlZA"
	for _, target := range forgeries(file + "?" + sample) {
		_, query, _ := strings.Cut(target, "?")
		f.Add("Patient.ndjson", query)
	}
	f.Fuzz(func(t *testing.T, name, query string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://fhir.example/bulk-export/"+jobID, nil)
		require.NoError(t, err)
		r.URL.RawQuery = query
		r.SetPathValue("id", jobID)
		r.SetPathValue("file", name)
		w := &recorder{header: http.Header{}}
		handler.File(w, r)
		require.Equal(t, http.StatusUnauthorized, w.status, "%q %q", name, query)
		var o outcome
		require.NoError(t, json.Unmarshal(w.body.Bytes(), &o), fmt.Sprintf("%q", w.body.Bytes()))
	})
}

// recorder is a ResponseWriter in memory.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header         { return w.header }
func (w *recorder) WriteHeader(status int)      { w.status = status }
func (w *recorder) Write(p []byte) (int, error) { return w.body.Write(p) }
