// Package httpadapter puts a [bulkexport.Exporter] on the wire, as HL7 FHIR Bulk
// Data Access describes it:
//
//	GET    {BaseURL}/fhir/$export             kick-off, system level
//	GET    {BaseURL}/fhir/Patient/$export     kick-off, Patient level
//	GET    {BaseURL}/bulk-export/{id}         status, manifest
//	DELETE {BaseURL}/bulk-export/{id}         cancel, clean up
//	GET    {BaseURL}/bulk-export/{id}/{file}  download
//
// A [Handler] answers all of them and can be mounted on any mux. A host with a
// router of its own takes [Handler.KickOff], [Handler.Status], [Handler.Delete]
// and [Handler.File] one by one. The last three read r.PathValue("id") and
// r.PathValue("file"); where a router does not set these, r.SetPathValue does.
//
// Every error, wrong paths and methods included, is an OperationOutcome. Its
// media type is application/json for clients that accept only that, and
// application/fhir+json for all others. Nothing else is negotiated, and there is
// no 406: manifests are application/json, files application/fhir+ndjson, whole
// or by ranges, and gzip for clients that accept it.
//
// A download takes as long as the client needs. An http.Server with a
// WriteTimeout or a ReadTimeout cuts long ones off; clients resume them with
// Range and If-Range. Use ReadHeaderTimeout instead.
package httpadapter

import (
	"errors"
	"net/http"
	"net/url"
	"path"

	"github.com/bulkexport/bulkexport"
)

// Handler answers the requests of Bulk Data Access. It is safe for concurrent
// use.
type Handler struct {
	exporter *bulkexport.Exporter
	cfg      Config
	root     string // path of BaseURL: empty, or begins with /
	mux      *http.ServeMux
}

// New checks the configuration and returns a handler for the exporter, which
// need not be started yet. The error names every field that is wrong.
func New(exporter *bulkexport.Exporter, cfg Config) (*Handler, error) {
	cfg = cfg.withDefaults()
	err := cfg.validate()
	if exporter == nil {
		err = errors.Join(errors.New("httpadapter: exporter is required"), err)
	}
	if err != nil {
		return nil, err
	}
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	h := &Handler{exporter: exporter, cfg: cfg, root: base.Path}
	h.mux = h.routes()
	return h, nil
}

func (h *Handler) routes() *http.ServeMux {
	job := h.root + h.cfg.JobPath + "/{id}"
	mux := http.NewServeMux()
	for _, level := range []bulkexport.Level{bulkexport.LevelSystem, bulkexport.LevelPatient} {
		mux.Handle(h.root+h.exportPath(level), h.KickOff(level))
	}
	mux.HandleFunc("GET "+job, h.Status)
	mux.HandleFunc("DELETE "+job, h.Delete)
	mux.HandleFunc("GET "+job+"/{file}", h.File)
	mux.HandleFunc(job, h.refuseMethod("DELETE, GET, HEAD"))
	mux.HandleFunc(job+"/{file}", h.refuseMethod("GET, HEAD"))
	mux.HandleFunc("/", h.notFound)
	return mux
}

// Patterns returns patterns for a mux that is shared with other handlers:
//
//	for _, pattern := range handler.Patterns() {
//		mux.Handle(pattern, handler)
//	}
//
// They name no method, so that wrong ones are answered here too. Where
// http.ServeMux finds that in conflict with a pattern that does, such as
// "GET /fhir/{type}/{id}", "GET "+pattern goes along with it.
func (h *Handler) Patterns() []string {
	return []string{
		h.root + h.exportPath(bulkexport.LevelSystem),
		h.root + h.exportPath(bulkexport.LevelPatient),
		h.root + h.cfg.JobPath + "/",
	}
}

// ServeHTTP implements http.Handler. Paths are those below BaseURL; whatever is
// none of them is answered with 404.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// A path with "//", "/../" or a slash at the end names nothing here, nor does
	// "*". The mux would answer those itself, in plain text or with a redirect.
	if p := r.URL.EscapedPath(); p != path.Clean("/"+p) {
		h.notFound(w, r)
		return
	}
	h.mux.ServeHTTP(w, r)
}

func (h *Handler) notFound(w http.ResponseWriter, r *http.Request) {
	h.fail(w, r, errNoSuchPath)
}

func (h *Handler) refuseMethod(allowed string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", allowed)
		h.fail(w, r, errMethod)
	}
}

// authorize returns what the caller may do. Access that is open is that of the
// caller without a name.
func (h *Handler) authorize(r *http.Request) (bulkexport.Access, error) {
	if h.cfg.Open {
		return bulkexport.Access{}, nil
	}
	return h.cfg.Authorize(r)
}

// exportPath returns the path of a kick-off, below BaseURL.
func (h *Handler) exportPath(level bulkexport.Level) string {
	if level == bulkexport.LevelPatient {
		return h.cfg.FHIRPath + "/Patient/$export"
	}
	return h.cfg.FHIRPath + "/$export"
}

// jobURL returns the absolute URL of a job's status, or, with the public name of
// a file after it, of one of its files.
func (h *Handler) jobURL(segments ...string) string {
	return h.cfg.BaseURL + path.Join(append([]string{h.cfg.JobPath}, segments...)...)
}
