package httpadapter

import (
	"errors"
	"mime"
	"net/http"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

// fileMediaTypes are what clients call a file of lines of JSON. Files themselves
// have the first one.
var fileMediaTypes = []string{
	"application/fhir+ndjson", "application/ndjson", "application/fhir+json", "application/json",
}

// File answers the download of an output file, whole or by ranges, with GET or
// HEAD. It needs the path values "id" and "file".
func (h *Handler) File(w http.ResponseWriter, r *http.Request) {
	id, name := r.PathValue("id"), r.PathValue("file")
	var file bulkexport.OpenedFile
	var access bulkexport.Access
	signed, err := h.signed(r, id, name), error(nil)
	if !signed {
		access, err = h.authorizeFile(r)
	}
	switch {
	case err != nil:
	case h.cfg.Strict && !accepts(r, fileMediaTypes...):
		err = errNotAcceptable
	case signed:
		file, err = h.exporter.OpenGrantedFile(r.Context(), id, name)
	default:
		file, err = h.exporter.OpenFile(r.Context(), access, id, name)
	}
	if err != nil {
		h.deny(w, r, asked{operation: OpFile, caller: access.Caller}, err)
		return
	}
	defer file.Close() //nolint:errcheck // it was only read
	h.serveFile(w, r, file, signed)
}

// signed reports whether the URL is the permission to fetch the file.
func (h *Handler) signed(r *http.Request, id, name string) bool {
	return h.signer != nil && h.signer.allows(r.URL.RawQuery, id, name, h.exporter.Now())
}

// authorizeFile tells a client with a URL that was signed once that a new one is what
// it needs, unless it has a token.
func (h *Handler) authorizeFile(r *http.Request) (bulkexport.Access, error) {
	access, err := h.authorize(r)
	if h.signer != nil && errors.Is(err, ErrUnauthenticated) && hasSignature(r) {
		err = errSignature
	}
	return access, err
}

// serveFile answers with a file. http.ServeContent knows conditions and ranges;
// download compresses what it writes, if that is not done already.
//
// A range is one of the plain file, also for a client that accepts gzip: many
// say so without being asked, and count what they have after inflating it. An
// If-Range with the ETag of the gzip form says that its bytes are meant; they
// have positions to go back to only where they are stored.
func (h *Handler) serveFile(w http.ResponseWriter, r *http.Request, opened bulkexport.OpenedFile, signed bool) {
	protect(w)
	file, header := opened.File, w.Header()
	header.Set("Content-Type", "application/fhir+ndjson")
	header.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": file.PublicName}))
	header.Set("Vary", "Accept-Encoding")
	plain, zipped := `"`+file.SHA256+`"`, `"`+file.SHA256+`-gzip"`
	header.Set("ETag", plain)
	content := &content{ctx: r.Context(), file: opened.FileReader}
	if !heedsRange(r) {
		r = r.Clone(r.Context())
		r.Header.Del("Range")
	}
	out := &download{ResponseWriter: w, request: r, content: content, stall: h.cfg.StallTimeout}
	if wantsGzip(r) && (r.Header.Get("Range") == "" || opened.Gzip != nil && r.Header.Get("If-Range") == zipped) {
		header.Set("Content-Encoding", "gzip")
		header.Set("ETag", zipped)
		if out.compress = opened.Gzip == nil; !out.compress {
			content.file, out.length = opened.Gzip, opened.Gzip.Size()
		}
	}
	http.ServeContent(out, r, file.PublicName, time.Time{}, content)
	err := content.end()
	if err == nil {
		out.finish()
	}
	h.reportDownload(r, opened, signed, out)
	if err == nil {
		return
	}
	if r.Context().Err() == nil {
		h.cfg.Logger.ErrorContext(r.Context(), "read output file",
			"job", r.PathValue("id"), "file", file.PublicName, "error", err)
	}
	out.abort() // also where only the request has ended: its client may still be there
}

// maxRanges is how many ranges a request may ask for. A file may be far away,
// and each range is a way to go.
const maxRanges = 100

// heedsRange reports whether a Range header is one to heed. All others are
// ignored, as RFC 9110 has it: those with another method or unit (section 14.2)
// and those of very many ranges (section 17.15).
func heedsRange(r *http.Request) bool {
	value := r.Header.Get("Range")
	return r.Method == http.MethodGet && strings.HasPrefix(value, "bytes=") && strings.Count(value, ",") < maxRanges
}
