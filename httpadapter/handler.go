// Package httpadapter puts a [bulkexport.Exporter] on the wire, as HL7 FHIR Bulk
// Data Access describes it:
//
//	GET    {BaseURL}/fhir/$export             kick-off, system level
//	GET    {BaseURL}/fhir/Patient/$export     kick-off, Patient level
//	GET    {BaseURL}/fhir/Group/{id}/$export  kick-off, Group level
//	POST   to the same                        kick-off with Parameters
//	GET    {BaseURL}/bulk-export/{id}         status, manifest
//	DELETE {BaseURL}/bulk-export/{id}         cancel, clean up
//	GET    {BaseURL}/bulk-export/{id}/{file}  download
//	GET    {BaseURL}/fhir/metadata            CapabilityStatement
//	GET    {BaseURL}/fhir/OperationDefinition/{id}
//
// A [Handler] answers all of them and can be mounted on any mux. A host with a
// router of its own takes [Handler.KickOff], [Handler.Status], [Handler.Delete],
// [Handler.File], [Handler.Metadata] and [Handler.OperationDefinition] one by
// one. They read r.PathValue("id") and r.PathValue("file"); where a router does
// not set these, r.SetPathValue does.
//
// # Two faces
//
// Requests are read liberally: every kick-off is taken for an asynchronous one,
// whatever its Prefer and Accept headers say, and DELETE is answered with 204.
// [Config].Strict keeps to the letter of the guide instead, as public test suites
// do: DELETE is 202, a kick-off needs "Prefer: respond-async", and an Accept
// header that does not admit what there is makes a kick-off or a download a 406.
// A request without Accept is fine in both.
//
// The preferences handling=lenient and separate-export-status are honoured in
// both, and Preference-Applied says so.
//
// Every error, wrong paths and methods included, is an OperationOutcome. Its
// media type is application/json for clients that accept only that, and
// application/fhir+json for all others. Manifests are application/json whatever
// a client accepts, files application/fhir+ndjson. Trouble of the server is 503
// with Retry-After and an issue code that clients try again for; a 500 says that
// the export itself has failed.
//
// # Downloads
//
// Files are sent whole or by ranges, and with gzip to clients that accept it and
// ask for no range. A range is always one of the plain file: compressed bytes are
// made on the way and have no positions to go back to, which their Accept-Ranges
// says.
//
// A download takes as long as the client needs. An http.Server with a
// WriteTimeout or a ReadTimeout cuts long ones off; clients resume them with
// Range and If-Range. Use ReadHeaderTimeout instead: bodies are bounded here, in
// time and in length, those of kick-offs also where [Handler.KickOff] is taken
// alone.
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
	can      bulkexport.Capabilities
	polls    *polls
	limits   *limits
	shut     *shutOut
	// ownRemote says that the host has not said where requests come from.
	ownRemote bool
	signer    *signer // nil without keys
	metadata  metadata
	mux       *http.ServeMux
}

// New checks the configuration and returns a handler for the exporter, which
// need not be started yet. The error names every field that is wrong.
func New(exporter *bulkexport.Exporter, cfg Config) (*Handler, error) {
	ownRemote := cfg.RemoteAddr == nil
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
	if cfg.Limiter == nil {
		cfg.Limiter = exporter.Limiter()
	}
	h := &Handler{
		exporter: exporter, cfg: cfg, root: base.Path, can: exporter.Capabilities(), ownRemote: ownRemote,
		polls: newPolls(cfg.PollLimit), limits: newLimits(cfg.Limiter, cfg.Logger), shut: newShutOut(),
	}
	if len(cfg.SignedURLs.Keys) > 0 {
		h.signer = &signer{keys: cfg.SignedURLs.Keys, place: cfg.BaseURL + cfg.JobPath}
	}
	h.metadata = newMetadata(h.can, cfg.BaseURL+cfg.FHIRPath)
	h.mux = h.routes()
	return h, nil
}

// levels are all that there are; which of them are offered is the exporter's to
// say.
func levels() []bulkexport.Level {
	return []bulkexport.Level{bulkexport.LevelSystem, bulkexport.LevelPatient, bulkexport.LevelGroup}
}

func (h *Handler) routes() *http.ServeMux {
	base, job := h.root+h.cfg.FHIRPath, h.root+h.cfg.JobPath+"/{id}"
	mux := http.NewServeMux()
	for _, level := range levels() {
		mux.Handle(h.root+h.exportPath(level, "{id}"), h.KickOff(level))
	}
	mux.HandleFunc("GET "+job, h.Status)
	mux.HandleFunc("DELETE "+job, h.Delete)
	mux.HandleFunc("GET "+job+"/{file}", h.File)
	mux.HandleFunc(job, h.refuseMethod("DELETE, GET, HEAD"))
	mux.HandleFunc(job+"/{file}", h.refuseMethod("GET, HEAD"))
	mux.HandleFunc("GET "+base+"/metadata", h.Metadata)
	mux.HandleFunc(base+"/metadata", h.refuseMethod("GET, HEAD"))
	mux.HandleFunc("GET "+base+"/OperationDefinition/{id}", h.OperationDefinition)
	mux.HandleFunc(base+"/OperationDefinition/{id}", h.refuseMethod("GET, HEAD"))
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
// "GET /fhir/{type}/{id}", "GET "+pattern and "POST "+pattern go along with it,
// and for the last pattern "DELETE "+pattern. What describes the exporter is
// left to the host: see [Handler.Metadata].
func (h *Handler) Patterns() []string {
	var patterns []string
	for _, level := range levels() {
		patterns = append(patterns, h.root+h.exportPath(level, "{id}"))
	}
	return append(patterns, h.root+h.cfg.JobPath+"/")
}

// ServeHTTP implements http.Handler. Paths are those below BaseURL; whatever is
// none of them is answered with 404.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	limitBodyTime(w, r)
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

// exportPath returns the path of a kick-off, below BaseURL. The group counts for
// its level only.
func (h *Handler) exportPath(level bulkexport.Level, group string) string {
	switch level {
	case bulkexport.LevelPatient:
		return h.cfg.FHIRPath + "/Patient/$export"
	case bulkexport.LevelGroup:
		return h.cfg.FHIRPath + "/Group/" + group + "/$export"
	default:
		return h.cfg.FHIRPath + "/$export"
	}
}

// jobURL returns the absolute URL of a job's status, or, with the public name of
// a file after it, of one of its files.
func (h *Handler) jobURL(segments ...string) string {
	return h.cfg.BaseURL + path.Join(append([]string{h.cfg.JobPath}, segments...)...)
}
