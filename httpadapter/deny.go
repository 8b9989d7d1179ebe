package httpadapter

import (
	"errors"
	"net/http"
	"regexp"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/fhir"
)

// asked is what a request was about, as far as its handler knew.
type asked struct {
	operation Operation
	caller    bulkexport.Caller
	level     bulkexport.Level
}

// deny answers with an error, and tells the observer if it is a refusal.
func (h *Handler) deny(w http.ResponseWriter, r *http.Request, what asked, err error) {
	status := h.fail(w, r, err)
	if h.cfg.Observer.Refused == nil || !isRefusal(status, err) {
		return
	}
	refusal := Refusal{
		Operation: what.operation, Caller: what.caller, Level: what.level,
		Remote: h.cfg.RemoteAddr(r), Status: status, Err: err,
	}
	id := r.PathValue("id")
	switch {
	case what.level == bulkexport.LevelGroup && fhir.ValidID(id):
		refusal.Group = id
	case what.level == "" && bulkexport.ValidJobID(id):
		refusal.JobID = id
	}
	if name := r.PathValue("file"); publicNamePattern.MatchString(name) {
		refusal.File = name
	}
	h.cfg.Observer.Refused(r.Context(), refusal)
}

// publicNamePattern is the form of names of files, see [bulkexport.OutputFile].
var publicNamePattern = regexp.MustCompile(`^[A-Za-z]{1,64}(_[0-9]{1,10})?\.ndjson$`)

func isRefusal(status int, err error) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return true
	case http.StatusNotFound:
		return errors.Is(err, bulkexport.ErrJobNotFound) || errors.Is(err, bulkexport.ErrFileNotFound) ||
			errors.Is(err, bulkexport.ErrGroupNotFound)
	}
	return false
}

// reportDownload tells the observer what was sent of a file.
func (h *Handler) reportDownload(r *http.Request, opened bulkexport.OpenedFile, signed bool, out *download) {
	if h.cfg.Observer.Downloaded == nil || out.sent == 0 {
		return
	}
	h.cfg.Observer.Downloaded(r.Context(), Download{
		Job: opened.Job, File: opened.File, Signed: signed, Remote: h.cfg.RemoteAddr(r),
		Bytes: out.sent, Whole: out.whole(),
	})
}
