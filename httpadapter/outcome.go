package httpadapter

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bulkexport/bulkexport"
)

// fail answers with what an error becomes. The cause of an unknown one goes to
// the log, under an id that the client is given.
// It returns the status.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) int {
	a := answerTo(err)
	if name := challengeFor(a.status, r, err); name != "" {
		w.Header().Set("WWW-Authenticate", name)
	}
	if a.retryAfter > 0 {
		setRetryAfter(w, a.retryAfter)
	}
	if a.unknown {
		id := rand.Text()
		h.cfg.Logger.ErrorContext(r.Context(), "export request",
			"method", r.Method, "pattern", r.Pattern, "request", id, "error", err)
		a.text += " The server's log has the cause under " + id + "."
	}
	issues := faultIssues(err)
	if len(issues) == 0 {
		issues = []issue{{Severity: "error", Code: a.code, Diagnostics: a.text}}
	}
	writeOutcome(w, r, a.status, issues...)
	return a.status
}

// challengeFor follows RFC 6750, section 3: it has a parameter always, but an error
// code only where there was a token. It is empty where there is none.
func challengeFor(status int, r *http.Request, err error) string {
	const realm = `Bearer realm="FHIR"`
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	switch bearer := strings.EqualFold(scheme, "Bearer"); {
	case status == http.StatusUnauthorized && !bearer:
		return realm
	case status == http.StatusUnauthorized:
		return realm + `, error="invalid_token"`
	case bearer && errors.Is(err, bulkexport.ErrInsufficientScope):
		return realm + `, error="insufficient_scope"`
	}
	return ""
}

// issue is an issue of an OperationOutcome.
type issue struct {
	Severity    string   `json:"severity"`
	Code        string   `json:"code"`
	Diagnostics string   `json:"diagnostics"`
	Expression  []string `json:"expression,omitempty"`
}

// The bounds of what is repeated to a client of its own faults, so that a small
// request cannot ask for a large answer.
const (
	maxIssues    = 20
	maxNameBytes = 100
)

// faultIssues makes an issue of every [bulkexport.RequestError] in err.
func faultIssues(err error) []issue {
	faults := requestErrors(nil, err)
	var issues []issue
	for i, fault := range faults {
		if i == maxIssues {
			return append(issues, issue{Severity: "information", Code: "informational",
				Diagnostics: "More faults are not listed."})
		}
		issues = append(issues, faultIssue(fault))
	}
	return issues
}

func faultIssue(fault *bulkexport.RequestError) issue {
	name := fault.Parameter
	if len(name) > maxNameBytes {
		name = name[:maxNameBytes] + "…"
	}
	found := issue{Severity: "error", Code: fault.Code, Expression: []string{name}}
	// A name that has to be quoted to be read is empty or not a FHIR string, and
	// none that a client would look for.
	if quoted := strconv.Quote(name); name == "" || quoted != `"`+name+`"` {
		name, found.Expression = quoted, nil
	}
	found.Diagnostics = fmt.Sprintf("Parameter %s: %s.", name, fault.Reason)
	return found
}

// requestErrors appends the request errors in the tree of err.
func requestErrors(list []*bulkexport.RequestError, err error) []*bulkexport.RequestError {
	switch e := err.(type) { //nolint:errorlint // walks the tree itself: errors.As finds the first only
	case *bulkexport.RequestError:
		return append(list, e)
	case interface{ Unwrap() error }:
		return requestErrors(list, e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, child := range e.Unwrap() {
			list = requestErrors(list, child)
		}
	}
	return list
}

func writeOutcome(w http.ResponseWriter, r *http.Request, status int, issues ...issue) {
	writeJSON(w, outcomeMediaType(r), status, struct {
		ResourceType string  `json:"resourceType"`
		Issue        []issue `json:"issue"`
	}{"OperationOutcome", issues})
}

// answerTime is how long a client may take to receive an answer that is no file. It is
// longer than bodyTime, since an answer may wait for the end of the body.
const answerTime = 5 * time.Minute

// writeJSON writes v, which must be one that can be marshalled. That the client
// may be gone is no error; one that does not read is cut off.
func writeJSON(w http.ResponseWriter, mediaType string, status int, v any) {
	protect(w)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(answerTime))
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false) // URLs keep their & readable
	_ = enc.Encode(v)
}

// protect sets the headers of every answer: what is said here is for one client
// and one moment, and is nothing to be run by a browser.
func protect(w http.ResponseWriter) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
}
