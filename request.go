package bulkexport

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/samber/lo"

	"github.com/bulkexport/bulkexport/fhir"
)

// Level is the export level: which population a kick-off asks for.
type Level string

const (
	// LevelSystem exports every resource, patient-related or not.
	LevelSystem Level = "system"
	// LevelPatient exports every Patient and what the Patient compartment ties
	// to one.
	LevelPatient Level = "patient"
	// LevelGroup exports one Group, the Patients that are its members, and what
	// the Patient compartment ties to one of them.
	LevelGroup Level = "group"
)

// Caller is who makes a request, as the host's authorization found out.
type Caller struct {
	// Tenant is the partition of the host's data. Empty where there is but one.
	Tenant string
	// Client is the client within the tenant. Jobs belong to it.
	Client string
}

// Access is a caller together with what it may export.
type Access struct {
	Caller
	// Types, if not nil, are the only resource types that the caller may export.
	// A kick-off that names another one is refused ([ErrForbidden]); one that
	// names none is narrowed to these. An empty slice that is not nil allows
	// nothing.
	Types []string
}

// ExportRequest is a kick-off request: what to export, in normal form. Make one
// with [ParseRequest] or fill it by hand; [Exporter.KickOff] checks it.
type ExportRequest struct {
	// URL is the full kick-off URL as the client used it. It is given back in
	// the manifest ("request").
	URL string `json:"url"`
	// Level is the export level.
	Level Level `json:"level"`
	// Types are the resource types asked for (_type), sorted, each once; nil
	// means all.
	Types []string `json:"types,omitempty"`
	// Since, if not zero, selects resources last updated strictly later (_since).
	Since time.Time `json:"since,omitzero"`
}

// The names of the kick-off parameters (Bulk Data Access, "Query Parameters").
const (
	paramType         = "_type"
	paramSince        = "_since"
	paramOutputFormat = "_outputFormat"
)

// instantPattern is the grammar of a FHIR instant; time.Parse checks the ranges.
var instantPattern = regexp.MustCompile(
	`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// ParseRequest reads the parameters of a kick-off request. requestURL is kept
// as it is. The error joins a [*RequestError] for everything that is wrong, in
// the order of the parameters' names.
//
// A parameter that takes a list may be repeated or comma-joined (Bulk Data
// Access, "Query Parameters"). A blank where only a '+' can have been meant
// counts as one, since form decoding turns '+' into a blank.
func ParseRequest(level Level, requestURL string, params url.Values) (ExportRequest, error) {
	req := ExportRequest{URL: requestURL, Level: level}
	var faults faultList
	names := lo.Keys(params)
	slices.Sort(names)
	for _, name := range names {
		values := params[name]
		switch name {
		case paramType:
			req.Types = parseTypes(values, &faults)
		case paramSince:
			req.Since = parseInstant(name, values, &faults)
		case paramOutputFormat:
			parseOutputFormat(values, &faults)
		default:
			faults.add(name, "not-supported", "this server does not support the parameter")
		}
	}
	return req, faults.err()
}

func parseTypes(values []string, faults *faultList) []string {
	var types []string
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			switch {
			case name == "":
				faults.add(paramType, "value", "the list has an empty item")
			case !fhir.IsResourceType(name):
				faults.add(paramType, "not-supported",
					fmt.Sprintf("%s is not a FHIR R4 resource type", quote(name)))
			default:
				types = append(types, name)
			}
		}
	}
	slices.Sort(types)
	return slices.Compact(types)
}

func parseInstant(name string, values []string, faults *faultList) time.Time {
	value, ok := single(name, values, faults)
	if !ok {
		return time.Time{}
	}
	value = strings.ReplaceAll(value, " ", "+")
	instant, err := time.Parse(time.RFC3339Nano, value)
	if err != nil || !instantPattern.MatchString(value) {
		faults.add(name, "value", fmt.Sprintf("%s is not a FHIR instant, such as "+
			"2026-01-31T08:00:00Z: date, time with seconds, and time zone", quote(value)))
		return time.Time{}
	}
	return instant.UTC()
}

func parseOutputFormat(values []string, faults *faultList) {
	value, ok := single(paramOutputFormat, values, faults)
	if !ok {
		return
	}
	switch strings.ReplaceAll(value, " ", "+") {
	case "application/fhir+ndjson", "application/ndjson", "ndjson":
	default:
		faults.add(paramOutputFormat, "not-supported",
			fmt.Sprintf("%s is not available; use application/fhir+ndjson", quote(value)))
	}
}

// single returns the value of a parameter that may be given once.
func single(name string, values []string, faults *faultList) (string, bool) {
	if len(values) != 1 {
		faults.add(name, "structure", "the parameter may be given only once")
		return "", false
	}
	return values[0], true
}

// checkRequest says whether this exporter can honour the request, and returns
// it narrowed to what the caller may have.
func (e *Exporter) checkRequest(access Access, req ExportRequest) (ExportRequest, error) {
	req.Types = slices.Compact(slices.Sorted(slices.Values(req.Types))) // nil if empty
	var faults faultList
	if req.Level != LevelSystem && req.Level != LevelPatient {
		faults.add("level", "not-supported", fmt.Sprintf("there is no %s export", quote(string(req.Level))))
	}
	for _, name := range req.Types {
		if !e.types[name] {
			faults.add(paramType, "not-supported", fmt.Sprintf("this server does not export %s", quote(name)))
		}
	}
	if req.Level == LevelPatient && len(req.Types) > 0 && !slices.ContainsFunc(req.Types, fhir.IsPatientCompartmentType) {
		faults.add(paramType, "not-supported",
			"none of the types can be in the Patient compartment; use the system-level export")
	}
	// An instant in the future would select nothing, which is never what was
	// meant; some minutes are allowed for clocks that differ.
	if req.Since.After(e.now().Add(5 * time.Minute)) {
		faults.add(paramSince, "value", "the instant is in the future")
	}
	if err := faults.err(); err != nil {
		return req, err
	}
	return narrow(access, req)
}

// narrow restricts a request to the types that the caller may export.
func narrow(access Access, req ExportRequest) (ExportRequest, error) {
	if access.Types == nil {
		return req, nil
	}
	if len(access.Types) == 0 {
		return req, forbidden("this client may not export any resource type")
	}
	if req.Types == nil {
		req.Types = lo.Uniq(access.Types)
		slices.Sort(req.Types)
		return req, nil
	}
	for _, name := range req.Types {
		if !slices.Contains(access.Types, name) {
			return req, forbidden("this client may not export " + name)
		}
	}
	return req, nil
}

func forbidden(reason string) error {
	return &RequestError{Parameter: paramType, Code: "forbidden", Reason: reason, Err: ErrForbidden}
}

// quote makes a client's text fit to be repeated in an error message.
func quote(s string) string {
	const most = 60
	if len(s) > most {
		s = s[:most] + "…"
	}
	return fmt.Sprintf("%q", strings.ToValidUTF8(s, "\uFFFD"))
}
