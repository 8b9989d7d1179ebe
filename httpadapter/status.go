package httpadapter

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Status answers the status request: progress while the export runs, the
// manifest when it is completed, an OperationOutcome when it failed. It needs
// the path value "id". A manifest of several pages has them under "?page=2" and
// so on, which the links in it say.
func (h *Handler) Status(w http.ResponseWriter, r *http.Request) {
	access, err := h.authorize(r)
	var status bulkexport.Status
	if err == nil {
		status, err = h.status(access, r)
	}
	switch {
	case err != nil:
		h.deny(w, r, asked{operation: OpStatus, caller: access.Caller}, err)
	case status.Job.State == bulkexport.JobFailed:
		// "processing" is not one of the codes that clients try again for.
		failure := issue{Severity: "error", Code: "processing", Diagnostics: status.Job.FailureReason}
		writeOutcome(w, r, jobStatus(w, status, http.StatusInternalServerError), failure)
	case status.Job.State == bulkexport.JobCompleted:
		h.writeManifest(w, status, http.StatusOK, status.Job.ExpiresAt)
	default:
		h.writeRunning(w, status)
	}
}

// status returns the status of the job that is asked for, unless it is asked for
// too often.
func (h *Handler) status(access bulkexport.Access, r *http.Request) (bulkexport.Status, error) {
	page, err := pageNumber(r)
	if err != nil {
		return bulkexport.Status{}, err
	}
	id := r.PathValue("id")
	key := polled{access.Caller, id, page}
	if err := h.checkPoll(r.Context(), key); err != nil {
		return bulkexport.Status{}, err
	}
	status, err := h.exporter.StatusPage(r.Context(), access, id, page)
	ended := err == nil && status.Job.State.Ended()
	noSuchPage := errors.Is(err, bulkexport.ErrFileNotFound)
	if ended || noSuchPage || errors.Is(err, bulkexport.ErrJobNotFound) {
		h.polls.forget(key) // there is no Retry-After to heed
	}
	if noSuchPage {
		err = errNoSuchPage
	}
	return status, err
}

// pageNumber returns the page of the manifest that is asked for.
func pageNumber(r *http.Request) (int, error) {
	pages, given := r.URL.Query()["page"]
	if !given {
		return 1, nil
	}
	page, err := strconv.ParseUint(pages[0], 10, 24) // far beyond any, and not near to an overflow
	if err != nil || page == 0 || len(pages) > 1 {
		return 0, errNoSuchPage
	}
	return int(page), nil
}

// jobStatus returns the HTTP status for that of a job. They differ where the
// client has asked for it (Bulk Data Access, "separate-export-status").
func jobStatus(w http.ResponseWriter, status bulkexport.Status, code int) int {
	if !status.Job.Request.SeparateStatus {
		return code
	}
	w.Header().Set("X-Export-Status", fmt.Sprintf("%d %s", code, http.StatusText(code)))
	return http.StatusOK
}

// writeManifest says in Expires until when the files can be fetched by the URLs in the
// manifest: those may end before the files do, at until. Another status request has new
// ones.
func (h *Handler) writeManifest(w http.ResponseWriter, status bulkexport.Status, code int, until time.Time) {
	signedUntil := h.signedUntil(status)
	for _, end := range []time.Time{status.URLsExpireAt, signedUntil} {
		if !end.IsZero() && (until.IsZero() || end.Before(until)) {
			until = end
		}
	}
	if !until.IsZero() {
		w.Header().Set("Expires", until.UTC().Format(http.TimeFormat))
	}
	writeJSON(w, "application/json", jobStatus(w, status, code), h.manifest(status, signedUntil))
}

// signedUntil returns until when URLs that are signed now work; zero if none are.
func (h *Handler) signedUntil(status bulkexport.Status) time.Time {
	if h.signer == nil || !status.URLsExpireAt.IsZero() {
		return time.Time{}
	}
	until := h.exporter.Now().Add(h.cfg.SignedURLs.TTL)
	if ends := status.Job.ExpiresAt; !ends.IsZero() && ends.Before(until) {
		until = ends
	}
	return until.Truncate(time.Second)
}

func (h *Handler) manifest(status bulkexport.Status, signedUntil time.Time) bulkexport.Manifest {
	id := status.Job.ID
	needsToken := h.cfg.Authorize != nil && signedUntil.IsZero()
	manifest := bulkexport.NewManifest(status, needsToken, func(name string) string {
		if signedUntil.IsZero() {
			return h.jobURL(id, name)
		}
		return h.jobURL(id, name) + "?" + h.signer.query(id, name, signedUntil)
	})
	manifest.Guide = h.cfg.Guide
	if status.More {
		manifest.Next = fmt.Sprintf("%s?page=%d", h.jobURL(id), status.Page+1)
	}
	return manifest
}

// progress is the body of the status of a running export.
type progress struct {
	Status   string  `json:"status"`
	Message  string  `json:"message"`
	Progress float64 `json:"progress"`
}

func (h *Handler) writeRunning(w http.ResponseWriter, status bulkexport.Status) {
	counts := strconv.FormatInt(status.Progress.Done, 10)
	if status.Progress.Total >= 0 {
		counts = fmt.Sprintf("%d / %d", status.Progress.Done, status.Progress.Total)
	}
	note := ""
	if status.Retrying {
		note = ", trying again after an error"
	}
	fraction, _ := status.Progress.Fraction()
	// Clients read a number and a percent sign first, and at most 100 characters.
	w.Header().Set("X-Progress", fmt.Sprintf("%.0f%% (%s resources%s)", math.Round(100*fraction), counts, note))
	setRetryAfter(w, status.RetryAfter)
	if status.Ready {
		h.writeManifest(w, status, http.StatusAccepted, time.Time{})
		return
	}
	code := jobStatus(w, status, http.StatusAccepted)
	switch req := status.Job.Request; {
	case req.AllowPartial || req.SeparateStatus:
		// Such clients may take whatever body there is for a manifest.
		protect(w)
		w.WriteHeader(code)
	default:
		writeJSON(w, "application/json", code, progress{
			Status:   "in-progress",
			Message:  fmt.Sprintf("Export in progress (%s resources processed%s)", counts, note),
			Progress: fraction,
		})
	}
}

// setRetryAfter rounds up to whole seconds. It is never a date: some clients
// poll without pause when they find one.
func setRetryAfter(w http.ResponseWriter, wait time.Duration) {
	w.Header().Set("Retry-After", strconv.FormatInt(int64((wait+time.Second-1)/time.Second), 10))
}
