package bulkexport

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/samber/lo"

	"github.com/bulkexport/bulkexport/fhir"
	"github.com/bulkexport/bulkexport/fhir/search"
)

// Parameters are a kick-off request as it came.
type Parameters struct {
	// URL is the full kick-off URL as the client used it.
	URL string
	// Level is the export level, Group the id of the Group at LevelGroup.
	Level Level
	Group string
	// Values are the parameters: of the query string, and, for a POST, those
	// that [ReadParameters] found in the body.
	Values url.Values
	// Post says that the request was a POST: the only one that may have the
	// parameter patient.
	Post bool
	// Lenient is the preference handling=lenient.
	Lenient bool
}

// instantPattern is the grammar of a FHIR instant; time.Parse checks the ranges.
var instantPattern = regexp.MustCompile(
	`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$`)

// ParseRequest reads the parameters of a kick-off request. The error joins a
// [*RequestError] for everything that is wrong, in the order of the parameters'
// names; where Lenient allows it, such faults are in ExportRequest.Ignored
// instead. What a server does not support is for [Exporter.ParseRequest] or
// [Exporter.KickOff] to find.
//
// A parameter that takes a list may be repeated or comma-joined (Bulk Data
// Access, "Query Parameters"). A blank where only a '+' can have been meant
// counts as one, since form decoding turns '+' into a blank.
func ParseRequest(p Parameters) (ExportRequest, error) {
	req, faults := parseRequest(p)
	req.Ignored = faults.ignored
	return req, faults.err()
}

func parseRequest(p Parameters) (ExportRequest, faultList) {
	req := ExportRequest{URL: p.URL, Level: p.Level, Group: p.Group, Lenient: p.Lenient}
	faults := faultList{lenient: p.Lenient}
	names := lo.Keys(p.Values)
	slices.Sort(names)
	for _, name := range names {
		if !isText(name) || !lo.EveryBy(p.Values[name], isText) {
			faults.refuse(name, "value", "the parameter is not text in UTF-8 without NUL")
			continue
		}
		req.parse(name, p.Values[name], p.Post, &faults)
	}
	return req, faults
}

func (req *ExportRequest) parse(name string, values []string, post bool, faults *faultList) {
	switch name {
	case paramType:
		req.Types = parseTypes(values, faults)
	case paramSince:
		req.Since = parseInstant(name, values, faults)
	case paramUntil:
		req.Until = parseInstant(name, values, faults)
	case paramOutputFormat:
		parseOutputFormat(values, faults)
	case paramElements:
		req.Elements = normal(splitList(name, values, faults))
	case paramPatient:
		req.parsePatients(values, post, faults)
	case paramAssociated:
		req.Associated = normal(splitList(name, values, faults))
	case paramTypeFilter:
		req.TypeFilters = lo.FlatMap(values, func(v string, _ int) []string { return search.SplitFilters(v) })
	case paramOrganizeBy:
		req.OrganizeBy = parseType(name, values, faults)
	case paramAllowPartial:
		req.AllowPartial = parseBoolean(name, values, faults)
	case paramFormat:
		parseFormat(values, faults)
	case paramPretty:
		parseBoolean(name, values, faults)
	case "access_token", "client_assertion", "client_secret":
		// The URL of what is accepted is kept, and shown in the manifest.
		faults.refuse(name, "not-supported", "credentials do not belong into a query string, nor into Parameters")
	default:
		faults.add(name, "not-supported", "this server does not support the parameter")
	}
}

// isText reports whether a store takes the string.
func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

// normal sorts a list and leaves out repeats.
func normal(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}

// splitList returns the items of a list that may be repeated or comma-joined.
func splitList(name string, values []string, faults *faultList) []string {
	var items []string
	for _, value := range values {
		for item := range strings.SplitSeq(value, ",") {
			if item == "" {
				faults.add(name, "value", "the list has an empty item")
				continue
			}
			items = append(items, item)
			if len(items) > maxItems {
				faults.refuse(name, "too-costly", fmt.Sprintf("it has more than %d items", maxItems))
				return nil
			}
		}
	}
	return items
}

// parseTypes looks whether any version of FHIR has the types. A list of types
// never becomes one of all types, however lenient the request.
func parseTypes(values []string, faults *faultList) []string {
	asked := splitList(paramType, values, faults)
	types := filter(asked, func(name string) bool {
		known := fhir.R4.IsResourceType(name) || fhir.R5.IsResourceType(name)
		if !known {
			faults.add(paramType, "not-supported", quote(name)+" is not a FHIR resource type")
		}
		return known
	})
	if faults.lenient && len(types) == 0 {
		faults.refuse(paramType, "not-supported", "none of the names is a FHIR resource type")
	}
	return normal(types)
}

func parseInstant(name string, values []string, faults *faultList) time.Time {
	value, ok := single(name, values, faults)
	if !ok {
		return time.Time{}
	}
	value = strings.ReplaceAll(value, " ", "+")
	instant, err := time.Parse(time.RFC3339Nano, value)
	const minutes = len("2016-12-31T23:59")
	if len(value) > minutes+3 && value[minutes:minutes+3] == ":60" {
		// FHIR has leap seconds, time.Time has the next second in their place.
		instant, err = time.Parse(time.RFC3339Nano, value[:minutes]+":59"+value[minutes+3:])
		instant = instant.Add(time.Second)
	}
	// The years are those that JSON and databases take; the zero time is none.
	year := instant.UTC().Year()
	if err != nil || !instantPattern.MatchString(value) || year < 1 || year > 9999 || instant.IsZero() {
		faults.add(name, "value", fmt.Sprintf("%s is not a FHIR instant, such as "+
			"2026-01-31T08:00:00Z: date, time with seconds, and time zone", quote(value)))
		return time.Time{}
	}
	return instant.UTC()
}

func parseType(name string, values []string, faults *faultList) string {
	value, ok := single(name, values, faults)
	if ok && value == "" {
		faults.add(name, "value", "the parameter needs a resource type")
	}
	return value
}

func parseBoolean(name string, values []string, faults *faultList) bool {
	value, ok := single(name, values, faults)
	if ok && value != "true" && value != "false" {
		faults.add(name, "value", quote(value)+" is neither true nor false")
	}
	return value == "true"
}

func parseOutputFormat(values []string, faults *faultList) {
	value, ok := single(paramOutputFormat, values, faults)
	if !ok {
		return
	}
	switch strings.ToLower(strings.ReplaceAll(value, " ", "+")) {
	case "application/fhir+ndjson", "application/ndjson", "ndjson":
	default:
		faults.add(paramOutputFormat, "not-supported",
			fmt.Sprintf("%s is not available; use application/fhir+ndjson", quote(value)))
	}
}

// parseFormat takes the format of an OperationOutcome, which is always JSON.
func parseFormat(values []string, faults *faultList) {
	value, ok := single(paramFormat, values, faults)
	if !ok {
		return
	}
	switch strings.ToLower(strings.ReplaceAll(value, " ", "+")) {
	case "json", "application/json", "application/fhir+json", "text/json":
	default:
		faults.add(paramFormat, "not-supported", fmt.Sprintf("%s is not available; use json", quote(value)))
	}
}

func (req *ExportRequest) parsePatients(values []string, post bool, faults *faultList) {
	if !post {
		faults.refuse(paramPatient, "not-supported", "the parameter needs a kick-off with POST")
		return
	}
	req.Patients.Limited = true
	for _, value := range values {
		id, ok := req.patientID(value)
		if !ok {
			faults.add(paramPatient, "value", quote(value)+" is not a reference such as Patient/123")
			continue
		}
		req.Patients.IDs = append(req.Patients.IDs, id)
	}
	req.Patients.IDs = normal(req.Patients.IDs)
}

// patientID reads a reference to a Patient, relative or below the base of the
// kick-off URL.
func (req *ExportRequest) patientID(reference string) (string, bool) {
	base, _, _ := strings.Cut(req.URL, "?")
	base = strings.TrimSuffix(strings.TrimSuffix(base, "$export"), "%24export")
	base = strings.TrimSuffix(strings.TrimSuffix(base, "Patient/"), "Group/"+req.Group+"/")
	id, ok := strings.CutPrefix(strings.TrimPrefix(reference, base), "Patient/")
	return id, ok && fhir.ValidID(id)
}

// single returns the value of a parameter that may be given once.
func single(name string, values []string, faults *faultList) (string, bool) {
	if len(values) != 1 {
		faults.add(name, "structure", "the parameter may be given only once")
		return "", false
	}
	return values[0], true
}
