package httpadapter_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/sink/memsink"
)

// newFileKit has a completed job with one file.
func newFileKit(t *testing.T) *kit {
	t.Helper()
	k := newKit(t, setup{})
	k.addFile(bulkexport.Caller{}, lines)
	return k
}

func inflate(t *testing.T, body []byte) (string, error) {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(body))
	require.NoError(t, err)
	plain, err := io.ReadAll(zip)
	return string(plain), err
}

func etag(content string) string { return `"` + sum(content) + `"` }

func TestRanges(t *testing.T) {
	t.Parallel()
	k := newFileKit(t)
	size := len(lines)
	for _, test := range []struct {
		name   string
		header string
		status int
		want   string
		sent   string // Content-Range
	}{
		{"first bytes", "bytes=0-99", 206, lines[:100], fmt.Sprintf("bytes 0-99/%d", size)},
		{"from the middle", "bytes=1000-", 206, lines[1000:], fmt.Sprintf("bytes 1000-%d/%d", size-1, size)},
		{"last bytes", "bytes=-7", 206, lines[size-7:], fmt.Sprintf("bytes %d-%d/%d", size-7, size-1, size)},
		{"beyond the end", "bytes=100-999999999", 206, lines[100:], fmt.Sprintf("bytes 100-%d/%d", size-1, size)},
		{"more than all", "bytes=0-,0-", 200, lines, ""},
		{"behind the end", fmt.Sprintf("bytes=%d-", size), 416, "", fmt.Sprintf("bytes */%d", size)},
		{"malformed", "bytes=9-1", 416, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			// gzip is accepted, and not used for ranges.
			for _, also := range []string{"Accept: */*", "Accept-Encoding: gzip", "If-Range: " + etag(lines)} {
				res := k.get(file, "Range: "+test.header, also)
				require.Equal(t, test.status, res.status)
				require.Equal(t, test.sent, res.header.Get("Content-Range"))
				require.Empty(t, res.header.Get("Content-Encoding"))
				if test.status == http.StatusRequestedRangeNotSatisfiable {
					require.Equal(t, "value", outcomeOf(t, res.body).Issue[0].Code)
					require.Equal(t, "application/fhir+json", res.header.Get("Content-Type"))
					continue
				}
				require.Equal(t, test.want, string(res.body))
				require.Equal(t, etag(lines), res.header.Get("ETag"))
			}
		})
	}
}

// TestRangesThatAreIgnored are answered as if there was no Range header.
func TestRangesThatAreIgnored(t *testing.T) {
	t.Parallel()
	k := newFileKit(t)
	for _, test := range []struct{ method, header string }{
		{"GET", "lines=1-2"},
		{"GET", "bytes"},
		{"GET", "bytes=0-0" + strings.Repeat(",5-5", 100)},
		{"HEAD", "bytes=0-99"},
		{"HEAD", "bytes=999999999-"},
	} {
		for _, encoding := range []string{"identity", "gzip"} {
			headers := []string{"Accept-Encoding: " + encoding, "If-Range: " + etag(lines)}
			want := k.do(test.method, file, headers...)
			got := k.do(test.method, file, append(headers, "Range: "+test.header)...)
			require.Equal(t, http.StatusOK, got.status, test.header)
			want.header.Del("Date")
			got.header.Del("Date")
			require.Equal(t, want, got, test.header)
		}
	}
	some := k.get(file, "Range: bytes=0-0"+strings.Repeat(",5-5", 99))
	require.Equal(t, http.StatusPartialContent, some.status)
}

func TestManyRanges(t *testing.T) {
	t.Parallel()
	k := newFileKit(t)
	res := k.get(file, "Range: bytes=0-9,500-509,-10")
	require.Equal(t, http.StatusPartialContent, res.status)
	_, params, err := mime.ParseMediaType(res.header.Get("Content-Type"))
	require.NoError(t, err)
	parts := multipart.NewReader(bytes.NewReader(res.body), params["boundary"])
	for _, want := range []string{lines[:10], lines[500:510], lines[len(lines)-10:]} {
		part, err := parts.NextRawPart()
		require.NoError(t, err)
		require.Equal(t, "application/fhir+ndjson", part.Header.Get("Content-Type"))
		got, err := io.ReadAll(part)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err = parts.NextRawPart()
	require.ErrorIs(t, err, io.EOF)
}

// TestResume breaks a download off and goes on where it stopped.
func TestResume(t *testing.T) {
	t.Parallel()
	k := newFileKit(t)
	conn := k.send("GET", file)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	begin := make([]byte, len(lines)/2)
	_, err = io.ReadFull(res.Body, begin)
	require.NoError(t, err)
	require.NoError(t, conn.Close())

	rest := k.get(file, fmt.Sprintf("Range: bytes=%d-", len(begin)), "If-Range: "+res.Header.Get("ETag"))
	require.Equal(t, http.StatusPartialContent, rest.status)
	require.Equal(t, lines, string(begin)+string(rest.body))
}

func TestConditions(t *testing.T) {
	t.Parallel()
	k := newFileKit(t)
	plain, zipped := etag(lines), strings.TrimSuffix(etag(lines), `"`)+`-gzip"`
	for _, test := range []struct {
		name    string
		headers []string
		status  int
	}{
		{"same", []string{"If-None-Match: " + plain}, 304},
		{"same, weakly", []string{"If-None-Match: W/" + plain}, 304},
		{"one of several", []string{`If-None-Match: "a", ` + plain}, 304},
		{"any", []string{"If-None-Match: *"}, 304},
		{"other", []string{`If-None-Match: "a"`}, 200},
		{"other representation", []string{"If-None-Match: " + zipped}, 200},
		{"same gzip", []string{"Accept-Encoding: gzip", "If-None-Match: " + zipped}, 304},
		{"plain although gzip is accepted", []string{"Accept-Encoding: gzip", "If-None-Match: " + plain}, 200},
		{"match", []string{"If-Match: " + plain}, 200},
		{"match gzip", []string{"Accept-Encoding: gzip", "If-Match: " + zipped}, 200},
		{"no match", []string{`If-Match: "a"`}, 412},
		{"no match for gzip", []string{"Accept-Encoding: gzip", "If-Match: " + plain}, 412},
		{"range of the same", []string{"Range: bytes=1-2", "If-Range: " + plain}, 206},
		{"range of another", []string{"Range: bytes=1-2", `If-Range: "a"`}, 200},
		{"range of gzip", []string{"Accept-Encoding: gzip", "Range: bytes=1-2", "If-Range: " + zipped}, 200},
		{"range by date", []string{"Range: bytes=1-2", "If-Range: Sat, 07 Mar 2026 12:00:00 GMT"}, 200},
		{"range, but not modified", []string{"Range: bytes=1-2", "If-None-Match: " + plain}, 304},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, method := range []string{"GET", "HEAD"} {
				res := k.do(method, file, test.headers...)
				if method == "HEAD" && test.status == http.StatusPartialContent {
					test.status = http.StatusOK // ranges are for GET
				}
				require.Equal(t, test.status, res.status)
				require.Equal(t, "Accept-Encoding", res.header.Get("Vary"))
				if test.status == http.StatusNotModified {
					require.Empty(t, res.body)
				}
			}
		})
	}
}

func TestEncodings(t *testing.T) {
	t.Parallel()
	k := newFileKit(t)
	for _, test := range []struct {
		accept string
		zipped bool
	}{
		{"gzip", true},
		{"GZip", true},
		{"x-gzip", true},
		{"gzip, deflate, br, zstd", true},
		{"br;q=1.0, gzip;q=0.8, *;q=0.1", true},
		{"deflate , gzip ; q=0.001", true},
		{"gzip;Q=1", true},
		{"*", true},
		{"identity;q=0, *", true},
		{"gzip;q=1, identity;q=1", true},
		{"", false},
		{"identity", false},
		{"br, deflate", false},
		{"gzip;q=0", false},
		{"gzip;q=0.0, *", false},
		{"*;q=0", false},
		{"gzip;q=0.5, identity", false},
		{"gzip;q=x", false},
		{"gzip;q=2", false},
		{"gzip;q=-1", false},
		{"gzip;q=NaN", false},
		{"gzipped", false},
		{",;,=", false},
		{"identity;q=0", false}, // there is no better answer
	} {
		t.Run(test.accept, func(t *testing.T) {
			t.Parallel()
			header := "Accept-Encoding: " + test.accept
			res, head := k.get(file, header), k.do("HEAD", file, header)
			require.Equal(t, http.StatusOK, res.status)
			require.Empty(t, head.body)
			for _, name := range []string{
				"Accept-Ranges", "Content-Encoding", "Content-Length", "ETag", "Vary", "Content-Type",
			} {
				require.Equal(t, res.header.Get(name), head.header.Get(name), name)
			}
			if !test.zipped {
				require.Equal(t, "bytes", res.header.Get("Accept-Ranges"))
				require.Empty(t, res.header.Get("Content-Encoding"))
				require.Equal(t, lines, string(res.body))
				return
			}
			require.Equal(t, "gzip", res.header.Get("Content-Encoding"))
			require.Equal(t, "none", res.header.Get("Accept-Ranges"))
			require.NotEqual(t, etag(lines), res.header.Get("ETag"))
			require.Empty(t, res.header.Get("Content-Length"))
			require.Less(t, len(res.body), len(lines))
			plain, err := inflate(t, res.body)
			require.NoError(t, err)
			require.Equal(t, lines, plain)
		})
	}
}

// brokenSink opens a file of its own in place of every file.
type brokenSink struct {
	*memsink.Sink
	open func(context.Context) bulkexport.FileReader
}

func (s brokenSink) Open(ctx context.Context, _, _ string) (bulkexport.FileReader, error) {
	return s.open(ctx), nil
}

// endless claims the length that was recorded for it, but is too long to be
// read. It reports its closing.
type endless struct {
	read   func(p []byte) (int, error)
	seek   func() error
	closed chan struct{}
}

const endlessSize = 1 << 40

func newEndless() *endless {
	return &endless{
		read:   func(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil },
		seek:   func() error { return nil },
		closed: make(chan struct{}),
	}
}

func (f *endless) Read(p []byte) (int, error) { return f.read(p) }

func (f *endless) Seek(offset int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		offset += endlessSize
	}
	if offset > 0 && offset < endlessSize {
		return offset, f.seek()
	}
	return offset, nil
}

func (f *endless) Size() int64 { return int64(len(lines)) }

func (f *endless) Close() error {
	close(f.closed)
	return nil
}

func newBrokenKit(t *testing.T, file *endless, mount func(*httpadapter.Handler) http.Handler) *kit {
	t.Helper()
	open := func(context.Context) bulkexport.FileReader { return file }
	k := newKit(t, setup{core: bulkexport.Config{Sink: brokenSink{memsink.New(), open}}, mount: mount})
	k.addFile(bulkexport.Caller{}, lines)
	return k
}

// rangeOfMany makes http.ServeContent read in a goroutine of its own.
const rangeOfMany = "Range: bytes=0-999999999,2000000000-2999999999"

func TestClientDisconnects(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Accept-Encoding: identity", "Accept-Encoding: gzip", rangeOfMany} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			file := newEndless()
			k := newBrokenKit(t, file, nil)
			conn := k.send("GET", status+"/Patient.ndjson", header)
			_, err := io.ReadFull(conn, make([]byte, 1000))
			require.NoError(t, err)
			require.NoError(t, conn.Close())
			<-file.closed // goleak sees to the goroutines
			require.NotContains(t, k.log.String(), "ERROR")
		})
	}
}

func TestFileBreaks(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Accept-Encoding: identity", "Accept-Encoding: gzip", "Range: bytes=5-", rangeOfMany} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			file := newEndless()
			reads := 0
			file.read = func(p []byte) (int, error) {
				if reads++; reads > 3 {
					return 0, errors.New("disk is on fire")
				}
				return rand.Read(p) // so much, also compressed, that the answer has begun
			}
			k := newBrokenKit(t, file, nil)
			res := k.do("GET", status+"/Patient.ndjson", header)
			require.ErrorIs(t, res.err, io.ErrUnexpectedEOF, "the client must see that the end is missing")
			<-file.closed
			require.Contains(t, k.log.String(), "disk is on fire")
		})
	}
}

func TestFileCannotSeek(t *testing.T) {
	t.Parallel()
	file := newEndless()
	file.seek = func() error { return errors.New("disk is on fire") }
	k := newBrokenKit(t, file, nil)
	res := k.get(status+"/Patient.ndjson", "Range: bytes=5-")
	require.Equal(t, http.StatusServiceUnavailable, res.status, "a 416 would mean that the client has it all")
	require.Equal(t, "5", res.header.Get("Retry-After"))
	require.Equal(t, "transient", outcomeOf(t, res.body).Issue[0].Code)
	require.NotContains(t, string(res.body), "fire")
	require.Contains(t, k.log.String(), "disk is on fire")
}

// TestRequestEnds has a host end the request while the client is there.
func TestRequestEnds(t *testing.T) {
	t.Parallel()
	for _, header := range []string{"Accept-Encoding: identity", "Accept-Encoding: gzip"} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			file := newEndless()
			k := newBrokenKit(t, file, func(h *httpadapter.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					ctx, cancel := context.WithCancel(r.Context())
					reads := 0
					file.read = func(p []byte) (int, error) {
						if reads++; reads > 3 {
							cancel()
						}
						return rand.Read(p) // so much, also compressed, that the answer has begun
					}
					h.ServeHTTP(w, r.WithContext(ctx))
				})
			})
			res := k.do("GET", status+"/Patient.ndjson", header)
			<-file.closed
			require.ErrorIs(t, res.err, io.ErrUnexpectedEOF, "the client must see that the end is missing")
			require.NotContains(t, k.log.String(), "ERROR")
		})
	}
}

func TestTokenForOtherTypes(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{http: httpadapter.Config{Authorize: authorize}})
	k.addFile(callers["alice"].Caller, lines)
	require.Equal(t, http.StatusOK, k.get(file, "Authorization: Bearer alice").status)
	res := k.get(file, "Authorization: Bearer narrow")
	require.Equal(t, http.StatusForbidden, res.status)
	require.Equal(t, "forbidden", outcomeOf(t, res.body).Issue[0].Code)
}
