package conformance_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/filesink"
)

func fileChecks() []check {
	return []check{
		{
			title: "a file is 200 as application/fhir+ndjson, whatever Accept says",
			ids:   ids("F-01", "F-02", "F-04", "P-12", "T-25", "W-73"), run: checkDownload,
		},
		{
			title: "Strict looks at the Accept of a download",
			ids:   ids("F-04", "W-75"), run: checkStrictDownload,
		},
		{
			title: "a file has one JSON object a line, in UTF-8, and ends with a line feed",
			ids:   ids("F-03", "P-10", "W-58", "R-10"), run: checkLines,
		},
		{
			title: "without organizeOutputBy a file has one type",
			ids:   ids("F-08", "P-91", "M-20", "R-10"), run: checkOneType,
		},
		{
			title: "gzip is for clients that accept it",
			ids:   ids("F-10", "F-11", "T-29"), run: checkCompression,
		},
		{
			title: "ranges, ETag and HEAD work",
			ids:   ids("F-14"), run: checkRanges,
		},
		{
			title: "a download that fails is 4XX with an OperationOutcome",
			ids:   ids("F-05"), run: checkFailedDownload,
		},
		{
			title: "a download in progress outlives the export",
			ids:   ids("F-12"), run: checkDownloadOutlives,
		},
		{
			title: "resources are written as they are stored, meta included, byte by byte",
			ids:   ids("F-13", "W-52"), run: checkBytes,
		},
		{
			title: "a line is one resource, however long",
			ids:   ids("R-29"), run: checkLongLine,
		},
	}
}

func checkDownload(t *testing.T) {
	k := start(t, setup{data: ward()})
	file := (*k.export("/$export?_type=Patient").Output)[0].URL
	for _, headers := range [][]string{
		{}, {"Accept: application/fhir+ndjson"}, {"Accept: */*"}, {"Accept: application/json"}, {"Accept: text/html"},
	} {
		a := k.get(file, headers...)
		require.Equal(t, http.StatusOK, a.status)
		require.Equal(t, "application/fhir+ndjson", a.header.Get("Content-Type"))
		require.Len(t, linesOf(a.body), 3)
	}
}

func checkStrictDownload(t *testing.T) {
	k := start(t, setup{data: ward(), http: httpadapter.Config{Strict: true}})
	file := (*k.export("/$export?_type=Patient", "Prefer: respond-async").Output)[0].URL
	for _, headers := range [][]string{{}, {"Accept: application/fhir+ndjson"}, {"Accept: */*"}} {
		require.Equal(t, http.StatusOK, k.get(file, headers...).status)
	}
	k.fails(k.get(file, "Accept: text/html"), http.StatusNotAcceptable)
}

func checkLines(t *testing.T) {
	k := start(t, setup{data: append(ward(),
		`Patient/breaks "name":[
			{"family":"`+secret+`"}],`+"\r\n"+`"gender":"male"`,
		`Patient/escapes "name":[{"family":"a\nb\u2028 \"c\" \\"}]`)})
	for _, file := range *k.export("/$export").Output {
		body := k.get(file.URL).body
		require.True(t, utf8.Valid(body))
		require.False(t, bytes.HasPrefix(body, []byte("\ufeff")))
		require.True(t, bytes.HasSuffix(body, []byte("}\n")))
		require.NotContains(t, string(body), "\r")
		require.NotContains(t, string(body), "\n\n")
		for _, line := range linesOf(body) {
			require.Equal(t, byte('{'), line[0])
			require.True(t, json.Valid([]byte(line)), line)
		}
	}
	require.Contains(t, k.export("/$export").line("Patient/breaks"), secret)
}

func checkOneType(t *testing.T) {
	k := start(t, setup{data: ward(), core: bulkexport.Config{MaxFileResources: 2}})
	e := k.export("/$export")
	for url, lines := range e.files {
		first := k.object([]byte(lines[0]))["resourceType"]
		for _, line := range lines {
			require.Equal(t, first, k.object([]byte(line))["resourceType"], url)
		}
	}
	require.NotEmpty(t, e.files)
}

func checkCompression(t *testing.T) {
	k := start(t, setup{data: ward()})
	file := (*k.export("/$export?_type=Patient").Output)[0].URL
	plain := k.get(file)
	require.Empty(t, plain.header.Get("Content-Encoding"))
	require.Contains(t, plain.header.Get("Vary"), "Accept-Encoding")
	for accept, want := range map[string]string{
		"gzip": "gzip", "gzip, deflate, br": "gzip", "br;q=1, gzip;q=0.5": "gzip", "*": "gzip",
		"identity": "", "gzip;q=0": "", "br": "", "": "",
	} {
		a := k.get(file, "Accept-Encoding: "+accept)
		require.Equal(t, want, a.header.Get("Content-Encoding"), accept)
		require.Contains(t, a.header.Get("Vary"), "Accept-Encoding")
		content := a.body
		if want == "gzip" {
			require.NotEqual(t, plain.body, a.body)
			content = inflate(t, a.body)
		}
		require.Equal(t, plain.body, content, accept)
	}
}

func inflate(t *testing.T, body []byte) []byte {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(body))
	require.NoError(t, err)
	content, err := io.ReadAll(reader)
	require.NoError(t, err)
	return content
}

func checkRanges(t *testing.T) {
	k := start(t, setup{data: ward()})
	file := (*k.export("/$export?_type=Patient").Output)[0].URL
	whole := k.get(file)
	etag := whole.header.Get("ETag")
	require.Regexp(t, `^"`, etag, "a strong one")
	rest := k.get(file, "Range: bytes=10-", "If-Range: "+etag)
	require.Equal(t, http.StatusPartialContent, rest.status)
	require.Equal(t, whole.body[10:], rest.body)
	require.Equal(t, http.StatusNotModified, k.get(file, "If-None-Match: "+etag).status)
	head := k.send("HEAD", file, "")
	require.Equal(t, http.StatusOK, head.status)
	require.Empty(t, head.body)
	require.Equal(t, strconv.Itoa(len(whole.body)), head.header.Get("Content-Length"))
	require.Contains(t, whole.header.Get("Content-Disposition"), "Patient.ndjson")
}

func checkFailedDownload(t *testing.T) {
	k := start(t, setup{data: ward()})
	e := k.export("/$export?_type=Patient")
	for _, name := range []string{"/Observation.ndjson", "/Patient", "/..", "/Patient.ndjson/x"} {
		k.fails(k.get(e.job+name), http.StatusNotFound)
	}
	k.fails(k.send("PUT", (*e.Output)[0].URL, ""), http.StatusMethodNotAllowed)
	k.send("DELETE", e.job, "")
	k.fails(k.get((*e.Output)[0].URL), http.StatusNotFound)
}

// checkDownloadOutlives deletes an export while a client reads one of its files.
// The connection is in memory, so all but its begin is still to be sent.
func checkDownloadOutlives(t *testing.T) {
	sink, err := filesink.New(t.TempDir())
	require.NoError(t, err)
	watched := &watchedSink{OutputSink: sink, gone: make(chan string, 1000)}
	inBubble(t, setup{core: bulkexport.Config{Sink: watched}}, func(k *server) {
		for i := range 1000 {
			k.put(fmt.Sprintf(`Binary/%d "data":"%s"`, i, strings.Repeat("QUJD", 100)))
		}
		e := k.export("/$export")
		request, err := http.NewRequestWithContext(k.Context(), http.MethodGet, (*e.Output)[0].URL, nil)
		require.NoError(k, err)
		response, err := k.client.Do(request)
		require.NoError(k, err)
		defer response.Body.Close()
		require.Equal(k, http.StatusNoContent, k.send("DELETE", e.job, "").status)
		require.Equal(k, e.id(), <-watched.gone)
		k.fails(k.get((*e.Output)[0].URL), http.StatusNotFound)
		content, err := io.ReadAll(response.Body)
		require.NoError(k, err)
		require.Len(k, linesOf(content), 1000)
	})
}

func checkBytes(t *testing.T) {
	const body = ` "meta":{"versionId":"7","lastUpdated":"2026-01-01T00:00:00.100+01:00","profile":["http://x"]},` +
		`"valueQuantity":{"value":1.50},"extension":[{"url":"http://x","valueDecimal":1E2}],"unknown":null`
	k := start(t, setup{data: []string{"Observation/o" + body}})
	want := `{"resourceType":"Observation","id":"o",` + strings.TrimSpace(body) + `}`
	require.Equal(t, want, k.export("/$export").line("Observation/o"))
}

func checkLongLine(t *testing.T) {
	k := start(t, setup{core: bulkexport.Config{MaxFileBytes: 1000}})
	data := strings.Repeat("QUJD", 1<<18)
	k.put(`Binary/long "data":"`+data+`"`, "Binary/short")
	e := k.export("/$export")
	require.Contains(t, e.line("Binary/long"), data)
	require.Equal(t, []string{"Binary/long", "Binary/short"}, e.names())
}

func attachmentChecks() []check {
	return []check{
		{
			title: "an attachment keeps contentType, and has data or an absolute URL",
			ids:   ids("F-30", "F-31", "F-34", "T-37", "W-53", "L-07"), run: checkAttachments,
		},
		{
			title: "the URL of an attachment takes the token that files take, or none",
			ids:   ids("F-31", "F-32", "F-33", "R-30"), run: checkAttachmentURL,
		},
	}
}

func documents() []string {
	return []string{
		"Patient/a", `Binary/inline "data":"eA=="`, `Binary/large "data":"eHg="`,
		`DocumentReference/d "status":"current",` + subject("a") + `,"content":[` +
			`{"attachment":{"contentType":"text/plain","url":"Binary/inline"}},` +
			`{"attachment":{"contentType":"image/png","url":"Binary/large"}}]`,
	}
}

// rewriting is what a host does with attachments that are Binary.
func rewriting(base string) bulkexport.AttachmentFunc {
	return func(_ context.Context, _ bulkexport.Job, _ string, attachment []byte) ([]byte, error) {
		inlined := bytes.Replace(attachment, []byte(`"url":"Binary/inline"`), []byte(`"data":"eA=="`), 1)
		return bytes.Replace(inlined, []byte(`"url":"Binary/`), []byte(`"url":"`+base+`/Binary/`), 1), nil
	}
}

func checkAttachments(t *testing.T) {
	k := start(t, setup{data: documents(), core: bulkexport.Config{Attachment: rewriting("https://fhir.example")}})
	e := k.export("/Patient/$export")
	require.Equal(t, []string{"DocumentReference/d", "Patient/a"}, e.names())
	require.JSONEq(t, `{"resourceType":"DocumentReference","id":"d","status":"current",`+subject("a")+`,"content":[
		{"attachment":{"contentType":"text/plain","data":"eA=="}},
		{"attachment":{"contentType":"image/png","url":"https://fhir.example/Binary/large"}}]}`,
		e.line("DocumentReference/d"))
}

// checkAttachmentURL has the host serve Binary behind the same authorization.
func checkAttachmentURL(t *testing.T) {
	for _, secure := range []bool{true, false} {
		var base string
		k := start(t, setup{
			data: documents(), secure: secure,
			core: bulkexport.Config{Attachment: func(
				ctx context.Context, job bulkexport.Job, resourceType string, attachment []byte,
			) ([]byte, error) {
				return rewriting(base)(ctx, job, resourceType, attachment)
			}},
			wrap: func(export http.Handler) http.Handler {
				mux := http.NewServeMux()
				mux.Handle("/", export)
				mux.HandleFunc("GET /fhir/Binary/{id}", func(w http.ResponseWriter, r *http.Request) {
					if _, err := authorize(r); secure && err != nil {
						w.WriteHeader(http.StatusUnauthorized)
						return
					}
					fmt.Fprint(w, "xx")
				})
				return mux
			},
		})
		base = k.base
		var headers []string
		if secure {
			headers = []string{bearer("alice")}
		}
		e := k.export("/Patient/$export?_type=DocumentReference", headers...)
		require.Equal(t, secure, *e.RequiresAccessToken)
		var document struct {
			Content []struct{ Attachment struct{ URL string } }
		}
		require.NoError(t, json.Unmarshal([]byte(e.line("DocumentReference/d")), &document))
		a := k.get(document.Content[1].Attachment.URL, headers...)
		require.Equal(t, "xx", string(a.body))
	}
}
