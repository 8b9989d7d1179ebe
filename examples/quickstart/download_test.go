package main

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// exportFile exports one file of patients, whose answers are given.
func exportFile(t *testing.T, answers ...http.HandlerFunc) (*exported, *fhirServer) {
	t.Helper()
	s := newServer(t)
	s.onJob(map[string]any{"output": []any{item("Patient", s.URL+"/patients", 3)}})
	s.on("GET /patients", answers...)
	return export(t.Context(), t, s.URL+"/fhir"), s
}

const patients = ada + ada + ada

// serve answers with a file, also with a range of it.
func serve(text, etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if etag != "" {
			w.Header().Set("ETag", etag)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(text))
	}
}

// breakOff sends so many bytes of a file, and then breaks the connection.
func breakOff(n int, whole http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		whole(&shortWriter{w, n}, r)
		panic(http.ErrAbortHandler)
	}
}

type shortWriter struct {
	http.ResponseWriter
	left int
}

func (w *shortWriter) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p[:min(w.left, len(p))])
	w.left -= n
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	return len(p), err
}

func TestBrokenDownloadGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	whole := serve(patients, `"v1"`)
	e, s := exportFile(t, breakOff(20, whole), answer(http.StatusServiceUnavailable, "", "Retry-After", "9"),
		breakOff(30, whole), whole)
	require.NoError(t, e.err)
	require.Equal(t, map[string]string{"Patient.ndjson": patients}, e.files(t))
	require.Equal(t, seconds(1, 9, 1), e.waits)
	var ranges []string
	for _, r := range s.requests(http.MethodGet, "/patients")[1:] {
		require.Equal(t, `"v1"`, r.Header.Get("If-Range"))
		ranges = append(ranges, r.Header.Get("Range"))
	}
	require.Equal(t, []string{"bytes=20-", "bytes=20-", "bytes=50-"}, ranges)
	require.Contains(t, e.printed, "curl -C - -o")
}

func TestBrokenDownloadStartsAgain(t *testing.T) {
	t.Parallel()
	other := strings.ReplaceAll(patients, "ada", "bob")
	wrongRange := answer(http.StatusPartialContent, patients[10:], "ETag", `"v1"`, "Content-Range", "bytes 10-113/114")
	for name, answers := range map[string][]http.HandlerFunc{
		"no ETag":              {breakOff(20, serve(other, "")), serve(patients, "")},
		"weak ETag":            {breakOff(20, serve(other, `W/"v"`)), serve(patients, `W/"v"`)},
		"another file by now":  {breakOff(20, serve(other, `"v1"`)), serve(patients, `"v2"`)},
		"shorter by now":       {breakOff(90, serve(patients, `"v1"`)), serve(ada, `"v1"`), serve(patients, `"v3"`)},
		"a range not asked of": {breakOff(20, serve(patients, `"v1"`)), wrongRange, serve(patients, `"v1"`)},
	} {
		e, _ := exportFile(t, answers...)
		require.NoError(t, e.err, name)
		require.Equal(t, map[string]string{"Patient.ndjson": patients}, e.files(t), name)
	}
}

func TestDownloadGivesUp(t *testing.T) {
	t.Parallel()
	for name, download := range map[string]http.HandlerFunc{
		"always breaks": breakOff(20, serve(patients, "")),
		"always busy":   answer(http.StatusServiceUnavailable, ""),
	} {
		e, s := exportFile(t, download)
		require.ErrorContains(t, e.err, "download: Patient.ndjson: ", name)
		require.Len(t, s.requests(http.MethodGet, "/patients"), 1+maxTroubles, name)
		require.Empty(t, e.files(t), name)
	}
	e, s := exportFile(t, refusal(http.StatusForbidden, "forbidden", "Not yours."))
	require.ErrorContains(t, e.err, "403 Forbidden; error: forbidden: Not yours.")
	require.Len(t, s.requests(http.MethodGet, "/patients"), 1)
}

// Compressed files count and hash as what they are when unpacked.
func TestCompressedDownload(t *testing.T) {
	t.Parallel()
	zipped := compress(t, patients)
	encoded := func(etag string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			serve(zipped, etag)(w, r)
		}
	}
	ofZipped := `"` + digestOf(zipped) + `"`
	for name, answers := range map[string][]http.HandlerFunc{
		"whole":             {encoded(`"z"`)},
		"hash of what":      {encoded(ofZipped)}, // the guide does not say, so it is not looked at
		"broken":            {breakOff(30, encoded(`"z"`)), encoded(`"z"`)},
		"made on the way":   {breakOff(30, encoded(`"z"`)), serve(patients, `"plain"`)},
		"broken without it": {breakOff(30, encoded("")), serve(patients, "")},
		"goes on as another": {breakOff(30, encoded(`"z"`)), answer(http.StatusPartialContent, patients[30:],
			"Content-Range", "bytes 30-113/114"), serve(patients, "")},
	} {
		e, s := exportFile(t, answers...)
		require.NoError(t, e.err, name)
		require.Equal(t, map[string]string{"Patient.ndjson": patients}, e.files(t), name)
		requests := s.requests(http.MethodGet, "/patients")
		require.Equal(t, "gzip", requests[0].Header.Get("Accept-Encoding"), name)
		if last := requests[len(requests)-1].Header; last.Get("Range") == "" && len(requests) > 1 {
			require.Empty(t, last.Get("Accept-Encoding"), name)
		}
		require.Contains(t, e.printed, "curl --compressed -o")
		require.Contains(t, e.printed, digestOf(patients)[:16], name)
	}
	e, _ := exportFile(t, answer(http.StatusOK, patients, "Content-Encoding", "br"))
	require.ErrorContains(t, e.err, `unknown Content-Encoding "br"`)
	e, _ = exportFile(t, answer(http.StatusOK, patients, "Content-Encoding", "gzip"))
	require.ErrorIs(t, e.err, gzip.ErrHeader)
}

func compress(t *testing.T, text string) string {
	t.Helper()
	var buffer bytes.Buffer
	z := gzip.NewWriter(&buffer)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return buffer.String()
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// A server that says one thing and sends another must not pass. Any other ETag
// says nothing.
func TestDownloadChecksTheETag(t *testing.T) {
	t.Parallel()
	for etag, fine := range map[string]bool{
		`"` + digestOf(patients) + `"`:                  true,
		`"` + strings.ToUpper(digestOf(patients)) + `"`: true,
		`"` + digestOf(ada) + `"`:                       false,
		`W/"` + digestOf(ada) + `"`:                     true,
		`"` + digestOf(ada) + `-gzip"`:                  true,
		`"0123"`:                                        true,
	} {
		e, _ := exportFile(t, serve(patients, etag))
		if fine {
			require.NoError(t, e.err, etag)
		} else {
			require.ErrorContains(t, e.err, "but ETag says", etag)
		}
	}
	e, _ := exportFile(t, serve(patients, `"`+digestOf(patients)+`"`))
	require.Contains(t, e.printed, "1 file with the right SHA-256 as ETag.")
}
