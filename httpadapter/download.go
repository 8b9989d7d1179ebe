package httpadapter

import (
	"cmp"
	"errors"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/klauspost/compress/gzip"
)

// download is where http.ServeContent writes a file to. It compresses the body
// if told so, and puts OperationOutcomes in the place of errors in plain text.
type download struct {
	http.ResponseWriter
	request  *http.Request
	content  *content
	compress bool
	length   int64 // of the whole body, where http.ServeContent does not say; or 0
	stall    time.Duration

	zip     *gzip.Writer // nil before the first byte
	refused bool         // an OperationOutcome was written; nothing may follow
	status  int          // of the answer; 0 before there is one
	sent    int64        // bytes of the body
	failed  error        // the first of handing them on
}

// WriteHeader implements http.ResponseWriter.
func (d *download) WriteHeader(status int) {
	header := d.Header()
	if status < http.StatusBadRequest {
		if d.compress {
			header.Del("Content-Length") // not known
			header.Set("Accept-Ranges", "none")
		}
		if d.length > 0 && status == http.StatusOK {
			header.Set("Content-Length", strconv.FormatInt(d.length, 10))
		}
		d.status = status
		d.ResponseWriter.WriteHeader(status)
		return
	}
	d.refused = true
	for _, name := range []string{"Content-Disposition", "Content-Encoding", "ETag"} {
		header.Del(name)
	}
	refusal := issue{Severity: "error"}
	switch {
	case d.content.failed() != nil:
		// Also when http.ServeContent takes it for a bad range, since clients
		// take that for the end of the file.
		status = http.StatusServiceUnavailable
		setRetryAfter(d, busyTime)
		refusal.Code, refusal.Diagnostics = "transient", "The file could not be read. Try again later."
	case status == http.StatusPreconditionFailed:
		refusal.Code, refusal.Diagnostics = "conflict", "The file is not the one that If-Match names."
	default:
		refusal.Code, refusal.Diagnostics = "value", "The Range header names no part of the file."
	}
	writeOutcome(d.ResponseWriter, d.request, status, refusal)
}

// Write implements io.Writer.
func (d *download) Write(p []byte) (int, error) {
	switch {
	case d.refused:
		return len(p), nil
	case !d.compress:
		return d.send(p)
	case d.zip == nil:
		var err error
		if d.zip, err = gzip.NewWriterLevel(sender{d}, gzip.BestSpeed); err != nil {
			return 0, err
		}
	}
	return d.zip.Write(p)
}

// sender is where bytes go as they are sent.
type sender struct{ *download }

func (s sender) Write(p []byte) (int, error) { return s.send(p) }

// send hands a piece to the connection, which has a while to take it. Not every server
// can see to that, nor every wrapper of a ResponseWriter.
func (d *download) send(p []byte) (int, error) {
	_ = http.NewResponseController(d.ResponseWriter).SetWriteDeadline(time.Now().Add(d.stall))
	n, err := d.ResponseWriter.Write(p)
	d.sent += int64(n)
	d.failed = cmp.Or(d.failed, err)
	return n, err
}

// whole reports whether the client was sent the whole file.
func (d *download) whole() bool {
	return d.status == http.StatusOK && d.failed == nil && errors.Is(d.content.failed(), errEnded)
}

// copyBuffer is how much is read and written at a time: with the usual 32 KiB a
// third of the time of a download is spent on calls.
const copyBuffer = 256 << 10

// ReadFrom implements io.ReaderFrom, for io.Copy.
func (d *download) ReadFrom(src io.Reader) (int64, error) {
	size := int64(copyBuffer)
	if limited, ok := src.(*io.LimitedReader); ok {
		size = max(min(size, limited.N), 1)
	}
	return io.CopyBuffer(struct{ io.Writer }{d}, src, make([]byte, size))
}

// finish ends a body that is whole. A client that has gone is none to tell.
func (d *download) finish() {
	if d.zip != nil {
		_ = d.zip.Close()
	}
}

// abort tears the connection, since the status is sent and nothing else tells
// the client that what it has is not the whole.
func (d *download) abort() {
	if !d.refused {
		panic(http.ErrAbortHandler)
	}
}
