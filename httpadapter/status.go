package httpadapter

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/bulkexport/bulkexport"
)

// Status answers the status request: progress while the export runs, the
// manifest when it is completed, an OperationOutcome when it failed. It needs
// the path value "id".
func (h *Handler) Status(w http.ResponseWriter, r *http.Request) {
	access, err := h.authorize(r)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	status, err := h.exporter.Status(r.Context(), access, r.PathValue("id"))
	switch {
	case err != nil:
		h.fail(w, r, err)
	case status.Job.State == bulkexport.JobCompleted:
		h.writeManifest(w, status)
	case status.Job.State == bulkexport.JobFailed:
		// "processing" is not one of the codes that clients try again for.
		writeOutcome(w, r, http.StatusInternalServerError,
			issue{Severity: "error", Code: "processing", Diagnostics: status.Job.FailureReason})
	default:
		writeProgress(w, status)
	}
}

func (h *Handler) writeManifest(w http.ResponseWriter, status bulkexport.Status) {
	manifest := bulkexport.NewManifest(status, h.cfg.Authorize != nil, func(name string) string {
		return h.jobURL(status.Job.ID, name)
	})
	w.Header().Set("Expires", status.Job.ExpiresAt.UTC().Format(http.TimeFormat))
	writeJSON(w, "application/json", http.StatusOK, manifest)
}

// progress is the body of the status of a running export.
type progress struct {
	Status   string  `json:"status"`
	Message  string  `json:"message"`
	Progress float64 `json:"progress"`
}

func writeProgress(w http.ResponseWriter, status bulkexport.Status) {
	counts := strconv.FormatInt(status.Progress.Done, 10)
	if status.Progress.Total >= 0 {
		counts = fmt.Sprintf("%d / %d", status.Progress.Done, status.Progress.Total)
	}
	fraction, _ := status.Progress.Fraction()
	header := w.Header()
	// Clients read a number and a percent sign first, and at most 100 characters.
	header.Set("X-Progress", fmt.Sprintf("%.0f%% (%s resources)", math.Round(100*fraction), counts))
	// Seconds only: some clients poll without pause when they find a date.
	header.Set("Retry-After", strconv.Itoa(int(status.RetryAfter/time.Second)))
	writeJSON(w, "application/json", http.StatusAccepted, progress{
		Status:   "in-progress",
		Message:  fmt.Sprintf("Export in progress (%s resources processed)", counts),
		Progress: fraction,
	})
}
