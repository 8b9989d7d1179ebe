package bulkexport

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"
)

// Errors that callers tell apart with errors.Is. Whatever the library adds
// (which job, which file) is wrapped around them.
var (
	// ErrJobNotFound means that there is no such job for this caller: it never
	// existed, it belongs to another tenant or client, it expired, or it was
	// deleted. Answer it with 404; the cases are deliberately one.
	ErrJobNotFound = errors.New("export job not found")

	// ErrJobExists is what [JobStore.CreateJob] returns for an id that is taken.
	ErrJobExists = errors.New("export job exists already")

	// ErrPartNotFound is what [JobStore.UpdatePart] returns for a part that the
	// plan of an existing job does not have.
	ErrPartNotFound = errors.New("part of export job not found")

	// ErrFileNotFound means that the job has no such file, or does not show it
	// yet. Answer it with 404.
	ErrFileNotFound = errors.New("output file not found")

	// ErrGroupNotFound means that there is no such Group, or none that the caller
	// may know of. Answer it with 404.
	ErrGroupNotFound = errors.New("group not found")

	// ErrForbidden means that the caller is known but may not have what it
	// asked for. Answer it with 403.
	ErrForbidden = errors.New("not allowed")

	// ErrInsufficientScope is the [ErrForbidden] of a caller whose [Access].Types are
	// too few.
	ErrInsufficientScope = fmt.Errorf("%w: types that the caller may not export", ErrForbidden)

	// ErrPermanent is wrapped by errors of a source, a sink or a hook that no
	// repetition will cure: access that is refused, a table that is gone. It ends
	// the job at once, as failed. All other errors are taken for passing ones, and
	// end it when [Config.MaxAttempts] are used up.
	ErrPermanent = errors.New("will not succeed however often it is tried")

	// ErrStorageFull is wrapped by errors of a sink that has no room. It is a
	// passing error: other exports may expire meanwhile. The client is told.
	ErrStorageFull = errors.New("no room for output files")

	// ErrStopped means that the exporter or runner is stopping and takes no more
	// work. Answer it with 503.
	ErrStopped = errors.New("exporter is stopped")
)

// RequestError says which part of a kick-off request cannot be honoured and
// why. Its texts may be shown to the client. Answer it with 403 if it wraps
// [ErrForbidden], else with 400.
type RequestError struct {
	// Parameter is the name of the offending parameter as the client wrote it,
	// for example "_since".
	Parameter string
	// Code is the FHIR issue type that fits: "value" for a malformed value,
	// "not-supported" for something this server does not do, "structure" for a
	// parameter given too often, "forbidden" for what the caller may not have.
	Code string
	// Reason is for the client: what is wrong and what would be right.
	Reason string
	// Err is ErrForbidden or nil.
	Err error
}

// Error implements error.
func (e *RequestError) Error() string {
	return fmt.Sprintf("parameter %s: %s", e.Parameter, e.Reason)
}

// Unwrap returns Err.
func (e *RequestError) Unwrap() error { return e.Err }

// LimitError means that the caller has as many exports at once as the limits of
// [Config] allow. Answer it with 429 (Bulk Data Access, "Bulk Data Kick-off
// Request").
type LimitError struct {
	// Reason is for the client.
	Reason string
	// RetryAfter is when it is worth while to try again: whole seconds.
	RetryAfter time.Duration
}

// Error implements error.
func (e *LimitError) Error() string { return e.Reason }

// ResourceError is yielded by a [ResourceSource] for one resource that it
// knows of but cannot deliver, for example because its stored form is damaged.
// The export records it in an error file and goes on with the next resource;
// any other error ends the read.
type ResourceError struct {
	// Type and ID name the resource; ID may be empty where it is not known.
	// Both are written to the error file, never to a log.
	Type, ID string
	// Reason is a sentence for the client. It must not quote resource content.
	Reason string
	// Err is the cause, for the log. May be nil.
	Err error
}

// Error implements error. It names the type only: ids are not for logs.
func (e *ResourceError) Error() string {
	return fmt.Sprintf("%s resource cannot be exported: %s", e.Type, e.Reason)
}

// Unwrap returns the cause.
func (e *ResourceError) Unwrap() error { return e.Err }

// faultList gathers request errors, so that a client learns of all at once:
// up to maxFaults, since a long query string can hold any number of them.
type faultList struct {
	lenient bool
	errs    []*RequestError
	ignored []IgnoredParameter
}

const maxFaults = 100

// add notes what a lenient request may do without.
func (f *faultList) add(parameter, code, reason string) {
	switch {
	case !f.lenient:
		f.refuse(parameter, code, reason)
	case len(f.ignored) < maxFaults:
		f.ignored = append(f.ignored, IgnoredParameter{parameter, code, reason})
	case len(f.ignored) == maxFaults:
		f.ignored = append(f.ignored, IgnoredParameter{parameter, code, reason + "; more that was ignored is not listed"})
	}
}

// refuse notes what no request can do without.
func (f *faultList) refuse(parameter, code, reason string) {
	if len(f.errs) < maxFaults {
		f.errs = append(f.errs, &RequestError{Parameter: parameter, Code: code, Reason: reason})
	}
}

// err joins the faults, in the order of the parameters' names.
func (f *faultList) err() error {
	sorted := slices.SortedStableFunc(slices.Values(f.errs), func(a, b *RequestError) int {
		return strings.Compare(a.Parameter, b.Parameter)
	})
	return errors.Join(lo.Map(sorted, func(fault *RequestError, _ int) error { return fault })...)
}
