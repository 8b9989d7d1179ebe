package httpadapter

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/bulkexport/bulkexport"
)

// ErrUnauthenticated is what Config.Authorize returns, wrapped or not, for a
// request that has no credentials, or none that are valid. The client is
// answered 401 with a challenge for a Bearer token.
var ErrUnauthenticated = errors.New("not authenticated")

// What is wrong with a request before it gets to the exporter.
var (
	errMalformedQuery = errors.New("malformed query string")
	errNoSuchPath     = errors.New("no such path")
	errNoSuchLevel    = errors.New("no such export level")
	errNoSuchPage     = errors.New("no such page")
	errMethod         = errors.New("method not allowed")
	errNotAsync       = errors.New("no preference for an asynchronous answer")
	errNotAcceptable  = errors.New("not acceptable")
	errMediaType      = errors.New("unsupported media type")
	errBodyTooLong    = errors.New("body is too long")
	errBodyBroken     = errors.New("read body")
	errNotText        = errors.New("body is not UTF-8")
	errQueryTooLong   = errors.New("query string is too long")
	errSignature      = fmt.Errorf("signature of URL: %w", ErrUnauthenticated)
)

// answer is what an error becomes on the wire. code is a FHIR issue type;
// clients try again after "transient" and the codes below it, which are
// "throttled" and "timeout".
type answer struct {
	status int
	code   string
	text   string
	// retryAfter is when to try again; 0 if that is no use.
	retryAfter time.Duration
	// unknown is true for an error that only the log can explain.
	unknown bool
}

// busyTime is the Retry-After of a 503: such trouble is short, or it ends by
// hand.
const busyTime = 5 * time.Second

// busy is for what may be well a moment later. It is never a 500, which clients
// take for the end of the export.
func busy(code, text string) answer {
	return answer{status: http.StatusServiceUnavailable, code: code, text: text, retryAfter: busyTime}
}

// answerTo finds the answer to an error. Texts are fixed: whatever else an error
// says is not for clients, but for [bulkexport.RequestError] and
// [bulkexport.LimitError].
func answerTo(err error) answer {
	var fault *bulkexport.RequestError
	var limit *bulkexport.LimitError
	var rate *rateError
	switch {
	case errors.As(err, &fault) && !errors.Is(err, bulkexport.ErrForbidden):
		return answer{status: http.StatusBadRequest} // its issues speak for themselves
	case errors.As(err, &limit):
		return throttled(limit.RetryAfter, "Try again later: "+limit.Reason+".")
	case errors.As(err, &rate):
		return throttled(rate.retryAfter, rate.what)
	}
	for _, known := range knownErrors() {
		if errors.Is(err, known.err) {
			return known.answer
		}
	}
	unknown := busy("transient", "The server could not answer. Try again later.")
	unknown.unknown = true
	return unknown
}

func throttled(wait time.Duration, text string) answer {
	return answer{status: http.StatusTooManyRequests, code: "throttled", text: text, retryAfter: wait}
}

type knownError struct {
	err    error
	answer answer
}

// knownErrors is the table of errors and their answers. Of several that an error
// wraps the first one counts.
func knownErrors() []knownError {
	refuse := func(status int, code, text string) answer {
		return answer{status: status, code: code, text: text}
	}
	slow := busy("timeout", "The server took too long. Try again later.")
	slow.unknown = true // what took so long
	return []knownError{
		{errSignature, refuse(401, "expired",
			"This URL does not work, or not any more. The status of the export has new ones.")},
		{ErrUnauthenticated, refuse(401, "login", "A valid access token is required.")},
		{bulkexport.ErrForbidden, refuse(403, "forbidden", "This client may not have what it asked for.")},

		{bulkexport.ErrJobNotFound, refuse(404, "not-found",
			"There is no such export job. It never existed, has expired or was deleted.")},
		{bulkexport.ErrGroupNotFound, refuse(404, "not-found", "There is no such Group.")},
		{bulkexport.ErrFileNotFound, refuse(404, "not-found", "The export job has no such file.")},
		{errNoSuchPage, refuse(404, "not-found", "The manifest has no such page.")},
		{errNoSuchPath, refuse(404, "not-found", "There is nothing under this path.")},
		{errNoSuchLevel, refuse(404, "not-supported", "This server has no export at this level.")},

		{errMalformedQuery, refuse(400, "structure", "The query string is malformed: parameters are "+
			"joined by &, and % begins an escape of two hexadecimal digits.")},
		{errQueryTooLong, refuse(414, "too-long", "The query string is longer than this server takes.")},
		{errMethod, refuse(405, "not-supported", "The method is not supported here.")},
		{errNotAsync, refuse(400, "required", "The request needs the header Prefer: respond-async.")},
		{errNotAcceptable, refuse(406, "not-supported", "The Accept header admits none of the media types that there are.")},
		{errMediaType, refuse(415, "not-supported",
			"A body must be Parameters as application/fhir+json or application/json, without Content-Encoding.")},
		{errBodyTooLong, refuse(413, "too-long", "The body is longer than this server takes.")},
		{errBodyBroken, refuse(400, "structure", "The body did not arrive as a whole.")},
		{errNotText, refuse(400, "structure", "The body is not text in UTF-8.")},

		{bulkexport.ErrStopped, busy("transient", "The server is stopping. Try again later.")},
		{context.DeadlineExceeded, slow},
		{os.ErrDeadlineExceeded, slow},
		{context.Canceled, busy("transient", "The request was interrupted. Try again.")},
	}
}
