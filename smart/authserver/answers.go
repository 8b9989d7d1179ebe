package authserver

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// The errors of OAuth (RFC 6749, section 5.2) that are answered here. The last two
// are borrowed from section 4.1.2.1 and from RFC 8628.
const (
	invalidRequest  = "invalid_request"
	invalidClient   = "invalid_client"
	invalidScope    = "invalid_scope"
	unsupportedType = "unsupported_grant_type"
	tryLater        = "temporarily_unavailable"
	slowDown        = "slow_down"
)

// refusal is the answer to a request that gets no token.
type refusal struct {
	status int
	code   string // OAuth error
	text   string // for the client; it repeats nothing of the request
	reason string // for the host, where that is more
	// retryAfter is when to try again; 0 if that is no use.
	retryAfter time.Duration
	challenge  string // scheme of WWW-Authenticate
	// failed is true where a client did not prove that it is who it says.
	failed bool
	cause  error // of trouble; for the log
}

func badRequest(code, text string) *refusal {
	return &refusal{status: http.StatusBadRequest, code: code, text: text}
}

// unauthorized is for requests that have no assertion.
func unauthorized(text string) *refusal {
	return &refusal{status: http.StatusUnauthorized, code: invalidClient, text: text}
}

// notAuthenticated is for assertions that prove nothing.
func notAuthenticated(text string) *refusal {
	return &refusal{status: http.StatusUnauthorized, code: invalidClient, text: text, failed: true}
}

// unknown is for all that depends on what is registered, so that nobody can find out
// what is.
func unknown(reason string) *refusal {
	r := notAuthenticated("The client is not known here, or client_assertion is not signed with one of its keys " +
		"(iss, kid, alg, jku).")
	r.reason = reason
	return r
}

// busyTime is the Retry-After of a 503: such trouble is short, or it ends by hand.
const busyTime = 5 * time.Second

func unavailable(cause error) *refusal {
	return &refusal{
		status: http.StatusServiceUnavailable, code: tryLater, text: "The server has trouble. Try again later.",
		retryAfter: busyTime, cause: cause,
	}
}

func tooMany(wait time.Duration) *refusal {
	return &refusal{
		status: http.StatusTooManyRequests, code: slowDown, text: "Authentication has failed too often. Try again later.",
		retryAfter: wait,
	}
}

// why returns the reason for the host.
func (r *refusal) why() string {
	if r.reason != "" {
		return r.reason
	}
	return r.text
}

// write sends the refusal.
func (r *refusal) write(w http.ResponseWriter) {
	if r.retryAfter > 0 {
		seconds := int((r.retryAfter + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	if r.challenge != "" {
		w.Header().Set("WWW-Authenticate", r.challenge+` realm="token"`)
	}
	writeAnswer(w, r.status, map[string]string{"error": r.code, "error_description": r.text})
}

// writeAnswer sends what marshals to JSON.
func writeAnswer(w http.ResponseWriter, status int, answer any) {
	body, err := json.Marshal(answer)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte("{}") // cannot be
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	header.Set("Cache-Control", "no-store")
	header.Set("Pragma", "no-cache")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // whoever does not read it misses it
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	r := badRequest(invalidRequest, "There is nothing under this path.")
	r.status = http.StatusNotFound
	r.write(w)
}

func refuseMethod(allowed string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", allowed)
		r := badRequest(invalidRequest, "The method is not supported here: these are: "+allowed+".")
		r.status = http.StatusMethodNotAllowed
		r.write(w)
	}
}
