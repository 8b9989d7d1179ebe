package httpadapter

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bulkexport/bulkexport"
)

// bodyTime is how long a client may take to send a body.
const bodyTime = time.Minute

// maxQueryBytes bounds the query string of a kick-off, which is kept with the job: room
// for the longest searches. What is longer goes into the body of a POST.
const maxQueryBytes = 256 << 10

// limitBodyTime sets the deadline for a body, if there is one: for reading it
// here, and for the server, which waits for one that nobody has read. Not every
// server can do this, nor every wrapper of a ResponseWriter.
func limitBodyTime(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyTime))
	}
}

// readParameters returns the parameters of a kick-off: those of the query, and
// those of the body that a POST may have.
func (h *Handler) readParameters(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if len(r.URL.RawQuery) > maxQueryBytes {
		return nil, errQueryTooLong
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMalformedQuery, err)
	}
	if r.Method != http.MethodPost {
		return values, nil
	}
	body, err := h.readBody(w, r)
	if err != nil || len(body) == 0 {
		return values, err
	}
	switch {
	case !isFHIRJSON(r.Header):
		return nil, errMediaType
	case !utf8.Valid(body):
		// Package json would put other characters in the place of these.
		return nil, errNotText
	}
	inside, err := bulkexport.ReadParameters(body)
	if err != nil {
		return nil, err
	}
	for name, list := range inside {
		values[name] = append(values[name], list...)
	}
	return values, nil
}

// byteOrderMark is what some programs begin a text with. RFC 8259, section 8.1,
// allows to ignore it.
const byteOrderMark = "\ufeff"

// readBody returns the body without byte order mark and white space around it.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > h.cfg.MaxBodyBytes {
		return nil, errBodyTooLong
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.cfg.MaxBodyBytes))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		return nil, errBodyTooLong
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errBodyBroken, err)
	}
	// A deadline that outlived the body would end the request itself.
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
	return bytes.TrimSpace(bytes.TrimPrefix(body, []byte(byteOrderMark))), nil
}

func isFHIRJSON(header http.Header) bool {
	if coding := header.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return false
	}
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && slices.Contains([]string{"application/fhir+json", "application/json"}, mediaType)
}
