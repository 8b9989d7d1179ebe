package httpadapter

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/bulkexport/bulkexport"
)

// KickOff returns the handler of the kick-off request of a level. That of
// [bulkexport.LevelGroup] needs the path value "id". A level that the exporter
// does not offer is answered with 404.
//
// It answers methods other than GET and POST itself: a kick-off creates a job,
// so HEAD, which a mux takes for a GET, is refused as well.
func (h *Handler) KickOff(level bulkexport.Level) http.Handler {
	methods := []string{http.MethodGet, http.MethodPost}
	if h.cfg.Guide == bulkexport.STU4Ballot {
		methods = methods[1:]
	}
	refuse := h.refuseMethod(strings.Join(methods, ", "))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limitBodyTime(w, r)
		if !slices.Contains(methods, r.Method) {
			refuse(w, r)
			return
		}
		prefer := preferencesOf(r)
		access, err := h.authorize(r)
		if err == nil {
			err = h.checkKickOff(r.Context(), access.Caller)
		}
		var job bulkexport.Job
		if err == nil {
			job, err = h.kickOff(access, level, prefer, w, r)
		}
		if err != nil {
			h.deny(w, r, asked{operation: OpKickOff, caller: access.Caller, level: level}, err)
			return
		}
		protect(w)
		if applied := prefer.applied(); applied != "" {
			w.Header().Set("Preference-Applied", applied)
		}
		w.Header().Set("Content-Location", h.jobURL(job.ID))
		w.WriteHeader(http.StatusAccepted)
	})
}

func (h *Handler) kickOff(
	access bulkexport.Access, level bulkexport.Level, prefer preferences, w http.ResponseWriter, r *http.Request,
) (bulkexport.Job, error) {
	switch {
	case !slices.Contains(h.can.Levels, level):
		return bulkexport.Job{}, errNoSuchLevel
	case h.cfg.Strict && !prefer.async:
		return bulkexport.Job{}, errNotAsync
	case h.cfg.Strict && !accepts(r, "application/fhir+json"):
		return bulkexport.Job{}, errNotAcceptable
	}
	values, err := h.readParameters(w, r)
	if err != nil {
		return bulkexport.Job{}, err
	}
	params := bulkexport.Parameters{
		URL: h.requestURL(level, r), Level: level, Values: values,
		Post: r.Method == http.MethodPost, Lenient: prefer.lenient,
	}
	if level == bulkexport.LevelGroup {
		params.Group = r.PathValue("id")
	}
	req, err := h.exporter.ParseRequest(params)
	if err != nil {
		return bulkexport.Job{}, err
	}
	req.SeparateStatus = prefer.separate
	return h.exporter.KickOff(withRemote(r.Context(), h.cfg.RemoteAddr(r)), access, req)
}

// requestURL returns the kick-off URL as the client knows it, which is not
// always the one that arrives here: a proxy or the host may have cut the path.
func (h *Handler) requestURL(level bulkexport.Level, r *http.Request) string {
	requested := h.cfg.BaseURL + h.exportPath(level, url.PathEscape(r.PathValue("id")))
	if strings.HasSuffix(r.URL.EscapedPath(), "/%24export") {
		requested = strings.TrimSuffix(requested, "$export") + "%24export"
	}
	if r.URL.RawQuery != "" {
		requested += "?" + r.URL.RawQuery
	}
	return requested
}
