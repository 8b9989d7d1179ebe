package httpadapter

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/bulkexport/bulkexport"
)

// KickOff returns the handler of the kick-off request of a level. It answers
// methods other than GET itself: a kick-off creates a job, so HEAD, which a mux
// takes for a GET, is refused as well.
func (h *Handler) KickOff(level bulkexport.Level) http.Handler {
	refuse := h.refuseMethod("GET")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			refuse(w, r)
			return
		}
		job, err := h.kickOff(level, r)
		if err != nil {
			h.fail(w, r, err)
			return
		}
		protect(w)
		w.Header().Set("Content-Location", h.jobURL(job.ID))
		w.WriteHeader(http.StatusAccepted)
	})
}

func (h *Handler) kickOff(level bulkexport.Level, r *http.Request) (bulkexport.Job, error) {
	access, err := h.authorize(r)
	if err != nil {
		return bulkexport.Job{}, err
	}
	params, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return bulkexport.Job{}, fmt.Errorf("%w: %w", errMalformedQuery, err)
	}
	req, err := bulkexport.ParseRequest(bulkexport.Parameters{URL: h.requestURL(level, r), Level: level, Values: params})
	if err != nil {
		return bulkexport.Job{}, err
	}
	return h.exporter.KickOff(r.Context(), access, req)
}

// requestURL returns the kick-off URL as the client knows it, which is not
// always the one that arrives here: a proxy or the host may have cut the path.
func (h *Handler) requestURL(level bulkexport.Level, r *http.Request) string {
	requested := h.cfg.BaseURL + h.exportPath(level)
	if strings.HasSuffix(r.URL.EscapedPath(), "/%24export") {
		requested = strings.TrimSuffix(requested, "$export") + "%24export"
	}
	if r.URL.RawQuery != "" {
		requested += "?" + r.URL.RawQuery
	}
	return requested
}
