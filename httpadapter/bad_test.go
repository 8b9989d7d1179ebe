package httpadapter_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
	"github.com/bulkexport/bulkexport/source/memsource"
)

// bad is a request that cannot be honoured, and what has to come of it.
type bad struct {
	method  string // GET if empty
	target  string
	headers string // alice's token if empty
	status  int
	code    string
	param   string // that the OperationOutcome names, if one is to blame
}

const (
	maxBody   = 10_000
	unknownID = "/bulk-export/aaaaaaaaaaaaaaaaaaaaaaaaaa"
	aliceAuth = "Authorization: Bearer alice"
)

// badRequests by what they are about.
var badRequests = map[string][]bad{
	"types": {
		{target: "/fhir/$export?_type=", status: 400, code: "value", param: "_type"},
		{target: "/fhir/$export?_type", status: 400, code: "value", param: "_type"},
		{target: "/fhir/$export?_type=Patient,,Observation", status: 400, code: "value", param: "_type"},
		{target: "/fhir/$export?_type=Patient&_type=Observation,", status: 400, code: "value", param: "_type"},
		{target: "/fhir/$export?_type=patient", status: 400, code: "not-supported", param: "_type"},
		{target: "/fhir/$export?_type=Patient%20", status: 400, code: "not-supported", param: "_type"},
		{target: "/fhir/$export?_type=Patient%00", status: 400, code: "value", param: "_type"},
		{target: "/fhir/$export?_type=P%C3%A4tient", status: 400, code: "not-supported", param: "_type"},
		{target: "/fhir/$export?_type=P\xe4tient", status: 400, code: "value", param: "_type"},
		{target: "/fhir/$export?_type=*", status: 400, code: "not-supported", param: "_type"},
		{target: "/fhir/$export?_type=" + strings.Repeat("x", 9000), status: 400, code: "not-supported", param: "_type"},
		{target: "/fhir/$export?_type=" + strings.Repeat("x,", 9000), status: 400, code: "too-costly", param: "_type"},
		{target: "/fhir/$export?_type=" + strings.Repeat("x,", 900), status: 400, code: "value", param: "_type"},
		{target: "/fhir/Patient/$export?_type=Organization", status: 400, code: "not-supported", param: "_type"},
	},
	"instants": {
		{target: "/fhir/$export?_since=", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=yesterday", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=2026", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=2026-01-01", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=2026-01-01T00:00:00", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=2026-01-01T00:00Z", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=2026-02-30T00:00:00Z", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=2026-01-01T00:00:00+99:00", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=1767225600", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=2126-01-01T00:00:00Z", status: 400, code: "value", param: "_since"},
		{target: "/fhir/$export?_since=2026-01-01T00:00:00Z&_since=2026-01-02T00:00:00Z",
			status: 400, code: "structure", param: "_since"},
	},
	"formats": {
		{target: "/fhir/$export?_outputFormat=", status: 400, code: "not-supported", param: "_outputFormat"},
		{target: "/fhir/$export?_outputFormat=text/csv", status: 400, code: "not-supported", param: "_outputFormat"},
		{target: "/fhir/$export?_outputFormat=application/fhir%2Bjson",
			status: 400, code: "not-supported", param: "_outputFormat"},
		{target: "/fhir/$export?_outputFormat=ndjson&_outputFormat=ndjson",
			status: 400, code: "structure", param: "_outputFormat"},
	},
	"parameters": {
		{target: "/fhir/Patient/$export?patient=Patient/p1", status: 400, code: "not-supported", param: "patient"},
		{target: "/fhir/$export?patient=Patient/p1", status: 400, code: "not-supported", param: "patient"},
		{target: "/fhir/$export?includeAssociatedData=_nope", status: 400, code: "not-supported",
			param: "includeAssociatedData"},
		{target: "/fhir/$export?organizeOutputBy=Slot", status: 400, code: "not-supported", param: "organizeOutputBy"},
		{target: "/fhir/$export?allowPartialManifests=yes", status: 400, code: "value", param: "allowPartialManifests"},
		{target: "/fhir/$export?_elements=Patient.name.family", status: 400, code: "not-supported", param: "_elements"},
		{target: "/fhir/$export?_format=xml", status: 400, code: "not-supported", param: "_format"},
		{target: "/fhir/$export?_TYPE=Patient", status: 400, code: "not-supported", param: "_TYPE"},
		{target: "/fhir/$export?_type%5B%5D=Patient", status: 400, code: "not-supported", param: "_type[]"},
		{target: "/fhir/$export?_type%20=Patient", status: 400, code: "not-supported", param: "_type "},
		{target: "/fhir/$export?=Patient", status: 400, code: "not-supported"},
		{target: "/fhir/$export?%00=Patient", status: 400, code: "value"},
		{target: "/fhir/$export?%FF=Patient", status: 400, code: "value"},
		{target: "/fhir/$export?" + strings.Repeat("n", 9000), status: 400, code: "not-supported",
			param: strings.Repeat("n", 100) + "…"},
	},
	"query strings": {
		{target: "/fhir/$export?_type=%zz", status: 400, code: "structure"},
		{target: "/fhir/$export?%", status: 400, code: "structure"},
		{target: "/fhir/$export?_type=Patient;_since=2026-01-01T00:00:00Z", status: 400, code: "structure"},
	},
	"methods": {
		{method: "PUT", target: "/fhir/$export", status: 405, code: "not-supported"},
		{method: "PATCH", target: "/fhir/Group/ward/$export", status: 405, code: "not-supported"},
		{method: "POST", target: "/fhir/metadata", status: 405, code: "not-supported"},
		{method: "PUT", target: "/fhir/OperationDefinition/export", status: 405, code: "not-supported"},
		{method: "DELETE", target: "/fhir/$export", status: 405, code: "not-supported"},
		{method: "OPTIONS", target: "/fhir/$export", status: 405, code: "not-supported"},
		{method: "HEAD", target: "/fhir/$export", status: 405},
		{method: "BREW", target: "/fhir/$export", status: 405, code: "not-supported"},
		{method: "get", target: "/fhir/$export", status: 405, code: "not-supported"},
		{method: "POST", target: status, status: 405, code: "not-supported"},
		{method: "PATCH", target: unknownID, status: 405, code: "not-supported"},
		{method: "DELETE", target: file, status: 405, code: "not-supported"},
		{method: "PUT", target: file, status: 405, code: "not-supported"},
	},
	"paths": {
		{target: "/", status: 404, code: "not-found"},
		{target: "/fhir", status: 404, code: "not-found"},
		{target: "/fhir/$Export", status: 404, code: "not-found"},
		{target: "/fhir/export", status: 404, code: "not-found"},
		{target: "/fhir/$export/", status: 404, code: "not-found"},
		{target: "/fhir//$export", status: 404, code: "not-found"},
		{target: "//fhir/$export", status: 404, code: "not-found"},
		{target: "/fhir/./$export", status: 404, code: "not-found"},
		{target: "/fhir/Patient%2F$export", status: 404, code: "not-found"},
		{target: "/fhir/Patient/../$export", status: 404, code: "not-found"},
		{target: "/fhir/Observation/$export", status: 404, code: "not-found"},
		{target: "/bulk-export", status: 404, code: "not-found"},
		{target: "/bulk-export/", status: 404, code: "not-found"},
		{target: "/fhir/OperationDefinition/import", status: 404, code: "not-found"},
		{target: "/fhir/OperationDefinition", status: 404, code: "not-found"},
		{target: "*", status: 404, code: "not-found"},
		{method: "CONNECT", target: "evil.example:80", status: 404, code: "not-found"},
		{target: "http://evil.example", status: 404, code: "not-found"},
	},
	"groups": {
		{target: "/fhir/Group/absent/$export", status: 404, code: "not-found"},
		{target: "/fhir/Group/absent/%24export", status: 404, code: "not-found"},
		{target: "/fhir/Group/%2e%2e/$export", status: 404, code: "not-found"},
		{target: "/fhir/Group/..%2fPatient/$export", status: 404, code: "not-found"},
		{target: "/fhir/Group/%00/$export", status: 404, code: "not-found"},
		{target: "/fhir/Group/a%20b/$export", status: 404, code: "not-found"},
		{target: "/fhir/Group/" + strings.Repeat("a", 65) + "/$export", status: 404, code: "not-found"},
		{target: "/fhir/Group//$export", status: 404, code: "not-found"},
		{target: "/fhir/Group/$export", status: 404, code: "not-found"},
		{target: "/fhir/Group/ward/more/$export", status: 404, code: "not-found"},
		{target: "/fhir/Group/theory/$export", status: 400, code: "not-supported", param: "Group"},
		{target: "/fhir/Group/ward/$export?_type=Organization", status: 400, code: "not-supported", param: "_type"},
		{target: "/fhir/Group/ward/$export", headers: "Authorization: Bearer narrow",
			status: 403, code: "forbidden", param: "level"},
		{target: "/fhir/Group/ward/$export", headers: "Authorization: Bearer other", status: 404, code: "not-found"},
		{method: "POST", target: "/fhir/Group/ward/$export", headers: aliceBody(patientBody("p2")),
			status: 400, code: "not-found", param: "patient"},
		{method: "POST", target: "/fhir/Patient/$export", headers: aliceBody(patientBody("p9")),
			status: 400, code: "not-found", param: "patient"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(patientBody("p1")),
			status: 400, code: "not-supported", param: "patient"},
	},
	"bodies": {
		{method: "POST", target: "/fhir/$export", headers: aliceBody(`{`), status: 400, code: "structure", param: "body"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(`null`), status: 400, code: "structure", param: "body"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(`[]`), status: 400, code: "structure", param: "body"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(`{"resourceType":"Patient"}`),
			status: 400, code: "structure", param: "body"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(`{"parameter":[]}`),
			status: 400, code: "structure", param: "body"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(`{"resourceType":"Parameters","parameter":{}}`),
			status: 400, code: "structure", param: "body"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(parameters(`{"valueString":"Patient"}`)),
			status: 400, code: "structure", param: "body"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(parameters(`{"name":"_type"}`)),
			status: 400, code: "structure", param: "_type"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(parameters(`{"name":"_type","valueInteger":1}`)),
			status: 400, code: "structure", param: "_type"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(parameters(`{"name":"_type","valueString":1}`)),
			status: 400, code: "structure", param: "_type"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(parameters(`{"name":"_since","valueInstant":"2026"}`)),
			status: 400, code: "value", param: "_since"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(parameters(`{"name":"_new","valueString":"x"}`)),
			status: 400, code: "not-supported", param: "_new"},
		{method: "POST", target: "/fhir/$export?_since=2026-01-01T00:00:00Z",
			headers: aliceBody(parameters(`{"name":"_since","valueInstant":"2026-01-01T00:00:00Z"}`)),
			status:  400, code: "structure", param: "_since"},
		{method: "POST", target: "/fhir/$export?_type=%zz", headers: aliceBody(parameters()), status: 400, code: "structure"},
		{method: "POST", target: "/fhir/Patient/$export",
			headers: aliceBody(parameters("{\"name\":\"_typeFilter\",\"valueString\":\"Patient?name=M\xfcller\"}")),
			status:  400, code: "structure"},
		{method: "POST", target: "/fhir/$export", headers: aliceBody(strings.Repeat(" ", maxBody) + "{"),
			status: 413, code: "too-long"},
	},
	"media types": {
		{method: "POST", target: "/fhir/$export", headers: aliceAuth + "\r\nContent-Length: 2\r\n\r\n{}",
			status: 415, code: "not-supported"},
		{method: "POST", target: "/fhir/$export", headers: aliceAuth + "\r\n" + withBody("text/plain", "{}"),
			status: 415, code: "not-supported"},
		{method: "POST", target: "/fhir/$export",
			headers: aliceAuth + "\r\n" + withBody("application/fhir+xml", "<Parameters/>"),
			status:  415, code: "not-supported"},
		{method: "POST", target: "/fhir/$export",
			headers: aliceAuth + "\r\n" + withBody("application/x-www-form-urlencoded", "_type=Patient"),
			status:  415, code: "not-supported"},
		{method: "POST", target: "/fhir/$export", headers: aliceAuth + "\r\n" + withBody(";", "{}"),
			status: 415, code: "not-supported"},
		{method: "POST", target: "/fhir/$export",
			headers: aliceAuth + "\r\nContent-Encoding: gzip\r\n" + withBody("application/json", "{}"),
			status:  415, code: "not-supported"},
	},
	"long queries": {
		{target: "/fhir/$export?_type=" + strings.Repeat("x", 256<<10), status: 414, code: "too-long"},
	},
	"pages": {
		{target: status + "?page=0", status: 404, code: "not-found"},
		{target: status + "?page=-1", status: 404, code: "not-found"},
		{target: status + "?page=+1", status: 404, code: "not-found"},
		{target: status + "?page=", status: 404, code: "not-found"},
		{target: status + "?page=one", status: 404, code: "not-found"},
		{target: status + "?page=2", status: 404, code: "not-found"},
		{target: status + "?page=1&page=1", status: 404, code: "not-found"},
		{target: status + "?page=9223372036854775807", status: 404, code: "not-found"},
		{target: status + "?page=99999999999999999999", status: 404, code: "not-found"},
		{target: unknownID + "?page=0", status: 404, code: "not-found"},
	},
	"ids": {
		{target: unknownID, status: 404, code: "not-found"},
		{method: "DELETE", target: unknownID, status: 404, code: "not-found"},
		{target: unknownID + "/Patient.ndjson", status: 404, code: "not-found"},
		{target: "/bulk-export/" + strings.ToUpper(jobID), status: 404, code: "not-found"},
		{target: "/bulk-export/" + jobID[1:], status: 404, code: "not-found"},
		{target: "/bulk-export/" + jobID + "a", status: 404, code: "not-found"},
		{target: "/bulk-export/" + jobID + "%0A", status: 404, code: "not-found"},
		{target: "/bulk-export/" + jobID + "%00", status: 404, code: "not-found"},
		{target: "/bulk-export/" + strings.Repeat("a", 9000), status: 404, code: "not-found"},
		{target: "/bulk-export/'%20or%201=1", status: 404, code: "not-found"},
		{target: "/bulk-export/%2e%2e", status: 404, code: "not-found"},
		{target: "/bulk-export/..%2f..%2fetc", status: 404, code: "not-found"},
		{target: "/bulk-export/../../etc/passwd", status: 404, code: "not-found"},
		{target: "/bulk-export//" + jobID, status: 404, code: "not-found"},
		{target: status + "/", status: 404, code: "not-found"},
		{method: "DELETE", target: "/bulk-export/*", status: 404, code: "not-found"},
	},
	"names": {
		{target: status + "/Observation.ndjson", status: 404, code: "not-found"},
		{target: status + "/patient.ndjson", status: 404, code: "not-found"},
		{target: status + "/part-0-1.ndjson", status: 404, code: "not-found"}, // its name in the sink
		{target: status + "/Patient.ndjson%00", status: 404, code: "not-found"},
		{target: status + "/Patient.ndjson/", status: 404, code: "not-found"},
		{target: status + "/Patient.ndjson/x", status: 404, code: "not-found"},
		{target: status + "/..", status: 404, code: "not-found"},
		{target: status + "/%2e%2e", status: 404, code: "not-found"},
		{target: status + "/..%2f..%2fetc%2fpasswd", status: 404, code: "not-found"},
		{target: status + "/..%5c..%5cetc", status: 404, code: "not-found"},
		{target: status + "/..%2f" + jobID + "%2fPatient.ndjson", status: 404, code: "not-found"},
		{target: status + "//Patient.ndjson", status: 404, code: "not-found"},
		{target: status + "/" + strings.Repeat("a", 9000), status: 404, code: "not-found"},
	},
	"tokens": {
		{target: "/fhir/$export", headers: "Accept: */*", status: 401, code: "login"},
		{target: "/fhir/$export?_type=nonsense", headers: "Authorization: Bearer mallory", status: 401, code: "login"},
		{target: "/fhir/$export", headers: "Authorization: Bearer", status: 401, code: "login"},
		{target: "/fhir/$export", headers: "Authorization: Basic YTpi", status: 401, code: "login"},
		{target: "/fhir/$export", headers: "Authorization: Bearer " + strings.Repeat("t", 9000), status: 401, code: "login"},
		{target: status, headers: "Authorization: Bearer mallory", status: 401, code: "login"},
		{target: "/bulk-export/nonsense", headers: "Accept: */*", status: 401, code: "login"},
		{target: file, headers: "Accept: */*", status: 401, code: "login"},
		{method: "DELETE", target: status, headers: "Accept: */*", status: 401, code: "login"},
		{method: "HEAD", target: file, headers: "Accept: */*", status: 401},
		{target: "/fhir/$export", headers: "Authorization: Bearer suspended", status: 403, code: "forbidden"},
		{target: "/fhir/$export?_type=Patient", headers: "Authorization: Bearer narrow",
			status: 403, code: "forbidden", param: "_type"},
		{target: file, headers: "Authorization: Bearer narrow", status: 403, code: "forbidden"},
		{target: status, headers: "Authorization: Bearer bob", status: 404, code: "not-found"},
		{target: file, headers: "Authorization: Bearer other", status: 404, code: "not-found"},
		{target: "/fhir/$export", headers: "Authorization: Bearer trouble", status: 503, code: "transient"},
		{method: "POST", target: "/fhir/$export", headers: "Authorization: Bearer mallory\r\n" + withBody("a/b", "{"),
			status: 401, code: "login"},
	},
	"headers": {
		{target: file, headers: aliceAuth + "\r\nRange: bytes=9999999-", status: 416, code: "value"},
		{target: file, headers: aliceAuth + "\r\nRange: bytes=a-b", status: 416, code: "value"},
		{target: file, headers: aliceAuth + "\r\nIf-Match: \"x\"", status: 412, code: "conflict"},
		{target: unknownID, headers: aliceAuth + "\r\nAccept: text/html;q=x,,;", status: 404, code: "not-found"},
	},
}

// parameters is a Parameters resource.
func parameters(list ...string) string {
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(list, ",") + `]}`
}

func patientBody(id string) string {
	return parameters(`{"name":"patient","valueReference":{"reference":"Patient/` + id + `"}}`)
}

// aliceBody are the headers of alice, and a body.
func aliceBody(body string) string {
	return aliceAuth + "\r\n" + withBody("application/fhir+json", body)
}

// wards is a source with two patients, one of whom is in a Group, and a Group
// that is only described.
func wards(t *testing.T, tenant string) *memsource.Source {
	t.Helper()
	source := memsource.New(memsource.Config{})
	_, err := source.Load(t.Context(), tenant, strings.NewReader(resources+
		`{"resourceType":"Group","id":"ward","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/p1"}}]}
{"resourceType":"Group","id":"theory","type":"person","actual":false}
{"resourceType":"Group","id":"empty","type":"person","actual":true}
`))
	require.NoError(t, err)
	return source
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{
		core: bulkexport.Config{Source: wards(t, "north")},
		http: httpadapter.Config{Authorize: authorize, MaxBodyBytes: maxBody},
	})
	k.addFile(callers["alice"].Caller, lines)
	for topic, tests := range badRequests {
		t.Run(topic, func(t *testing.T) {
			t.Parallel()
			for _, test := range tests {
				test.check(t, k)
			}
		})
	}
}

func (b bad) check(t *testing.T, k *kit) {
	t.Helper()
	if b.method == "" {
		b.method = http.MethodGet
	}
	if b.headers == "" {
		b.headers = aliceAuth
	}
	about := b.method + " " + b.target[:min(len(b.target), 100)] + " " + b.headers[:min(len(b.headers), 50)]
	res := k.do(b.method, b.target, b.headers)
	require.Equal(t, b.status, res.status, about)
	require.Equal(t, "application/fhir+json", res.header.Get("Content-Type"), about)
	require.Equal(t, "no-store", res.header.Get("Cache-Control"), about)
	later := b.status == http.StatusTooManyRequests || b.status == http.StatusServiceUnavailable
	require.Equal(t, later, res.header.Get("Retry-After") != "", about)
	require.Equal(t, b.status == http.StatusMethodNotAllowed, res.header.Get("Allow") != "", about)
	challenged := b.status == http.StatusUnauthorized ||
		b.status == http.StatusForbidden && strings.Contains(b.headers, "narrow")
	require.Equal(t, challenged, res.header.Get("WWW-Authenticate") != "", about)
	if b.method == http.MethodHead {
		require.Empty(t, res.body, about)
		return
	}
	require.Less(t, len(res.body), 10_000, about)
	for _, secret := range []string{"secret", "goroutine", "memstore", "unknown token", "/work", "url.EscapeError"} {
		require.NotContains(t, string(res.body), secret, about)
	}
	issue := outcomeOf(t, res.body).Issue[0]
	require.Equal(t, "error", issue.Severity, about)
	require.Equal(t, b.code, issue.Code, about)
	if b.param == "" {
		require.Empty(t, issue.Expression, about)
		return
	}
	require.Equal(t, []string{b.param}, issue.Expression, about)
	require.Contains(t, issue.Diagnostics, b.param, about)
}

// TestToleratedRequests has what clients are known to send, and must be let.
func TestToleratedRequests(t *testing.T) {
	t.Parallel()
	k := newKit(t, setup{})
	k.addFile(bulkexport.Caller{}, lines)
	for _, test := range []struct {
		target  string
		headers string
		status  int
	}{
		{"/fhir/$export", "Prefer: respond-async", 202},
		{"/fhir/$export", "Prefer: respond-async, handling=lenient", 202},
		{"/fhir/$export", "Prefer: respond-async\r\nPrefer: return=minimal; x=\"y\"", 202},
		{"/fhir/$export", "Prefer: ,;=", 202},
		{"/fhir/$export", "Accept: application/json", 202},
		{"/fhir/$export", "Accept: text/csv", 202},
		{"/fhir/$export", "Accept: ", 202},
		{"/fhir/$export", "Accept: application/fhir+json;q=0", 202},
		{"/fhir/$export", "Authorization: Bearer", 202},
		{"/fhir/$export", "Authorization: Bearer anything", 202},
		{"/fhir/$export", "Content-Length: 5\r\n\r\n<xml>", 202},
		{"/fhir/$export?", "X-Forwarded-Host: evil.example", 202},
		{"/fhir/$export?_outputFormat=ndjson", "", 202},
		{"/fhir/$export?_outputFormat=application/ndjson", "", 202},
		{"/fhir/$export?_outputFormat=application%2Ffhir%2Bndjson", "", 202},
		{"/fhir/$export?_outputFormat=application/fhir+ndjson", "", 202},
		{"/fhir/$export?_since=2026-01-01T00:00:00.123456+02:00", "", 202},
		{"/fhir/$export?_since=2026-01-01T00%3A00%3A00-08%3A00", "", 202},
		{"/fhir/$export?_type=Patient,Patient&_type=Observation", "", 202},
		{"/fhir/$export?&&", "", 202},
		{"http://evil.example/fhir/$export", "", 202},
		{status, "Accept: application/fhir+ndjson", 200},
		{status + "?_format=json", "Accept: text/html", 200},
		{file, "Accept: application/fhir+ndjson", 200},
		{file, "Accept: application/ndjson", 200},
		{file, "Accept: application/json", 200},
		{file, "Accept: text/csv", 200},
		{file, "Authorization: Bearer anything", 200},
		{status, "Authorization: Bearer anything", 200},
		{file, "Authorization: Bearer", 200},
		{file, "Accept-Encoding: ;;q=,gzip;q=", 200},
		{file + "?any=%zz", "Content-Length: 2\r\n\r\n{}", 200},
	} {
		headers := []string{test.headers}
		if test.headers == "" {
			headers = nil
		}
		res := k.get(test.target, headers...)
		require.Equal(t, test.status, res.status, "%s %s: %s", test.target, test.headers, res.body)
		if test.status == http.StatusAccepted {
			require.Regexp(t, "^"+k.base+"/bulk-export/[a-z2-7]{26}$", res.header.Get("Content-Location"))
		}
	}
}
