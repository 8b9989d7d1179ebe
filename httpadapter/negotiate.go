package httpadapter

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// outcomeMediaType returns the media type of an OperationOutcome: the FHIR one
// unless the client names only the general one.
func outcomeMediaType(r *http.Request) string {
	accept := r.Header.Values("Accept")
	if quality(accept, "application/json") > 0 && quality(accept, "application/fhir+json") <= 0 {
		return "application/json"
	}
	return "application/fhir+json"
}

// accepts reports whether the client accepts one of the media types, which are
// below application (RFC 9110, section 12.5.1). Without Accept it accepts all.
func accepts(r *http.Request, mediaTypes ...string) bool {
	accept := r.Header.Values("Accept")
	if strings.TrimSpace(strings.Join(accept, "")) == "" {
		return true
	}
	return slices.ContainsFunc(mediaTypes, func(mediaType string) bool {
		// The most specific one that is named counts.
		for _, name := range []string{mediaType, "application/*", "*/*"} {
			if q := quality(accept, name); q != unnamed {
				return q > 0
			}
		}
		return false
	})
}

// wantsGzip reports whether the client accepts gzip and does not prefer the
// plain file (RFC 9110, section 12.5.3).
func wantsGzip(r *http.Request) bool {
	accept := r.Header.Values("Accept-Encoding")
	gzip := max(quality(accept, "gzip"), quality(accept, "x-gzip"))
	if gzip == unnamed {
		gzip = quality(accept, "*")
	}
	return gzip > 0 && gzip >= quality(accept, "identity")
}

// unnamed is the quality of what a header does not name.
const unnamed = -1

// quality returns the weight that an Accept header gives to exactly this value,
// from 0 to 1. A malformed weight is 0: nobody has clearly asked.
func quality(accept []string, value string) float64 {
	found := float64(unnamed)
	for _, item := range strings.Split(strings.Join(accept, ","), ",") {
		name, params, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), value) {
			found = max(found, weight(params))
		}
	}
	return found
}

func weight(params string) float64 {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "q") {
			continue
		}
		q, err := strconv.ParseFloat(value, 64)
		if err != nil || q < 0 || q > 1 {
			return 0
		}
		return q
	}
	return 1
}
