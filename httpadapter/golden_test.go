package httpadapter_test

import (
	"bytes"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/bulkexport/bulkexport"
	"github.com/bulkexport/bulkexport/httpadapter"
)

var update = flag.Bool("update", false, "write the golden files anew")

// What differs between runs has a fixed name in golden files.
var (
	kickOffPattern = regexp.MustCompile(`/bulk-export/[a-z2-7]{26}\b`)
	requestPattern = regexp.MustCompile(`under [A-Z2-7]{26}\.`)
	datePattern    = regexp.MustCompile(`"date":"[^"]+"`)
)

// golden compares a whole answer with a file.
func (k *kit) golden(name string, res response) {
	k.Helper()
	require.NoError(k, res.err)
	var b bytes.Buffer
	fmt.Fprintln(&b, res.status, http.StatusText(res.status))
	res.header.Del("Date")
	if bytes.Contains(res.body, []byte(k.base)) {
		res.header.Del("Content-Length") // differs with the port
	}
	require.NoError(k, res.header.Write(&b))
	got := strings.ReplaceAll(b.String(), "\r\n", "\n") + "\n" + string(res.body)
	got = strings.ReplaceAll(got, k.base, "{base}")
	got = strings.ReplaceAll(got, jobID, "{job}")
	got = kickOffPattern.ReplaceAllString(got, "/bulk-export/{new}")
	got = requestPattern.ReplaceAllString(got, "under {request}.")
	got = datePattern.ReplaceAllString(got, `"date":"{date}"`)

	path := filepath.Join("testdata", name+".golden")
	if *update {
		require.NoError(k, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	require.NoError(k, err)
	require.Equal(k, string(want), got)
}

// status is the path of the job that tests put into the store by hand.
const (
	status = "/bulk-export/" + jobID
	file   = status + "/Patient.ndjson"
)

func TestGoldenStatus(t *testing.T) {
	t.Parallel()
	outputs := []bulkexport.File{
		{Name: "a", Type: "Patient", Kind: bulkexport.FileOutput, Count: 7, Size: 70, SHA256: "aa"},
		{Name: "b", Type: "Patient", Kind: bulkexport.FileOutput, Count: 2, Size: 20, SHA256: "bb"},
		{Name: "c", Type: "OperationOutcome", Kind: bulkexport.FileError, Count: 1, Size: 10, SHA256: "cc"},
	}
	request := "{base}/fhir/$export?_type=Patient&_since=2026-01-01T00:00:00%2B02:00"
	for _, test := range []struct {
		name   string
		job    bulkexport.Job
		parts  []bulkexport.Part
		secure bool
	}{
		{
			name:  "status-running",
			job:   bulkexport.Job{State: bulkexport.JobRunning, StartedAt: now.Add(-30 * time.Second)},
			parts: []bulkexport.Part{{Type: "Patient", Total: 8500, Seen: 2340}},
		},
		{
			name:  "status-running-total-unknown",
			job:   bulkexport.Job{State: bulkexport.JobRunning, StartedAt: now.Add(-30 * time.Second)},
			parts: []bulkexport.Part{{Type: "Patient", Total: -1, Seen: 2340}},
		},
		{
			name: "status-accepted",
			job:  bulkexport.Job{State: bulkexport.JobAccepted},
		},
		{
			name: "status-completed",
			job:  bulkexport.Job{State: bulkexport.JobCompleted, TransactionTime: now.Add(-1250 * time.Millisecond)},
			parts: []bulkexport.Part{
				{Type: "Patient", Total: 9, Seen: 9, Processed: 9, Done: true, Files: outputs},
			},
			secure: true,
		},
		{
			name: "status-completed-empty",
			job:  bulkexport.Job{State: bulkexport.JobCompleted, TransactionTime: now},
		},
		{
			name: "status-failed",
			job: bulkexport.Job{
				State:         bulkexport.JobFailed,
				FailureReason: "The export failed while writing Patient resources.",
			},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var config httpadapter.Config
			if test.secure {
				config.Authorize = func(*http.Request) (bulkexport.Access, error) {
					return bulkexport.Access{}, nil
				}
			}
			k := newKit(t, setup{http: config})
			test.job.ID = jobID
			test.job.Request.URL = strings.Replace(request, "{base}", k.base, 1)
			k.addJob(test.job, test.parts...)
			first := k.get(status)
			k.golden(test.name, first)

			head := k.do("HEAD", status)
			require.Equal(t, first.status, head.status)
			require.Empty(t, head.body)
			require.Equal(t, first.header.Get("Content-Type"), head.header.Get("Content-Type"))
			require.Equal(t, first.header.Get("X-Progress"), head.header.Get("X-Progress"))

			require.Equal(t, http.StatusNoContent, k.do("DELETE", status).status)
			require.Equal(t, http.StatusNotFound, k.get(status).status)
		})
	}
}

// TestGoldenManifests has manifests of several pages, of the ballot's form, and
// the statuses of clients that keep the job's apart.
func TestGoldenManifests(t *testing.T) {
	t.Parallel()
	part := func(name string, done bool, files ...bulkexport.File) bulkexport.Part {
		return bulkexport.Part{Type: name, Total: 4, Seen: int64(len(files)), Done: done, Files: files}
	}
	newFile := func(name string) bulkexport.File {
		return bulkexport.File{Name: name, Type: name, Kind: bulkexport.FileOutput, Count: 1, Size: 10, SHA256: "aa"}
	}
	half := []bulkexport.Part{part("Condition", true, newFile("Condition")), part("Patient", false)}
	begun := []bulkexport.Part{half[0], part("Patient", false, newFile("Patient"))}
	whole := []bulkexport.Part{half[0], part("Patient", true, newFile("Patient"))}
	faulty := []bulkexport.Part{part("Patient", true, newFile("Patient"), bulkexport.File{
		Name: "e", Type: "OperationOutcome", Kind: bulkexport.FileError, Count: 2, Size: 20, SHA256: "ee",
		Severities: map[string]int64{"error": 2, "warning": 1},
	})}
	partial := bulkexport.ExportRequest{AllowPartial: true}
	separate := bulkexport.ExportRequest{SeparateStatus: true}
	for _, test := range []struct {
		name    string
		target  string
		state   bulkexport.JobState
		request bulkexport.ExportRequest
		parts   []bulkexport.Part
		guide   bulkexport.Guide
	}{
		{name: "partial-none", state: bulkexport.JobRunning, request: partial, parts: half},
		{name: "partial-first", state: bulkexport.JobRunning, request: partial, parts: begun},
		{name: "partial-next-waits", target: "?page=2", state: bulkexport.JobRunning, request: partial, parts: begun},
		{name: "partial-linked", state: bulkexport.JobCompleted, request: partial, parts: whole},
		{name: "partial-last", target: "?page=2", state: bulkexport.JobCompleted, request: partial, parts: whole},
		{name: "partial-beyond", target: "?page=3", state: bulkexport.JobCompleted, request: partial, parts: whole},
		{name: "separate-running", state: bulkexport.JobRunning, request: separate, parts: half},
		{name: "separate-completed", state: bulkexport.JobCompleted, request: separate, parts: whole},
		{name: "separate-failed", state: bulkexport.JobFailed, request: separate},
		{name: "ballot", state: bulkexport.JobCompleted, parts: faulty, guide: bulkexport.STU4Ballot},
		{name: "counted-errors", state: bulkexport.JobCompleted, parts: faulty},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, setup{
				core: bulkexport.Config{ManifestFiles: 1},
				http: httpadapter.Config{Guide: test.guide},
			})
			job := bulkexport.Job{
				ID: jobID, State: test.state, Request: test.request,
				StartedAt: now.Add(-30 * time.Second), TransactionTime: now.Add(-30 * time.Second),
			}
			if test.state == bulkexport.JobFailed {
				job.FailureReason = "The export failed while writing Patient resources."
			}
			k.addJob(job, slices.Clone(test.parts)...)
			k.golden("status-"+test.name, k.get(status+test.target))
		})
	}
}

func TestGoldenAnswers(t *testing.T) {
	t.Parallel()
	token := "Authorization: Bearer alice"
	for _, test := range []struct {
		name    string
		method  string
		target  string
		headers []string
	}{
		{"kickoff", "GET", "/fhir/$export", []string{token}},
		{"kickoff-faults", "GET", "/fhir/$export?_since=yesterday&_type=Patient,,Patent&_until=2026", []string{token}},
		{"kickoff-malformed-query", "GET", "/fhir/$export?_type=%zz", []string{token}},
		{"kickoff-post", "POST", "/fhir/$export", []string{token}},
		{"kickoff-put", "PUT", "/fhir/$export", []string{token}},
		{"kickoff-group-unknown", "GET", "/fhir/Group/absent/$export", []string{token}},
		{"kickoff-preferences", "GET", "/fhir/$export",
			[]string{token, "Prefer: respond-async, separate-export-status; handling=lenient"}},
		{"kickoff-body-malformed", "POST", "/fhir/$export", []string{token, withBody("application/fhir+json", "{}")}},
		{"kickoff-body-xml", "POST", "/fhir/$export", []string{token, withBody("application/fhir+xml", "<P/>")}},
		{"kickoff-without-token", "GET", "/fhir/$export", nil},
		{"kickoff-wrong-token", "GET", "/fhir/$export", []string{"Authorization: Bearer mallory"}},
		{"kickoff-forbidden", "GET", "/fhir/$export", []string{"Authorization: Bearer suspended"}},
		{"kickoff-trouble", "GET", "/fhir/$export", []string{"Authorization: Bearer trouble"}},
		{"status-unknown", "GET", "/bulk-export/aaaaaaaaaaaaaaaaaaaaaaaaaa", []string{token}},
		{"status-put", "PUT", status, []string{token}},
		{"delete", "DELETE", status, []string{token}},
		{"file", "GET", file, []string{token}},
		{"file-head", "HEAD", file, []string{token}},
		{"file-head-gzip", "HEAD", file, []string{token, "Accept-Encoding: gzip"}},
		{"file-range", "GET", file, []string{token, "Range: bytes=55-108"}},
		{"file-range-unsatisfiable", "GET", file, []string{token, "Range: bytes=165-"}},
		{"file-not-modified", "GET", file, []string{token, `If-None-Match: "` + sum(threeLines) + `"`}},
		{"file-precondition-failed", "GET", file, []string{token, `If-Match: "other"`}},
		{"file-unknown", "GET", status + "/Observation.ndjson", []string{token}},
		{"file-post", "POST", file, []string{token}},
		{"path-unknown", "GET", "/fhir/$export/more", []string{token}},
		{"outcome-json", "GET", "/bulk-export/nope", []string{token, "Accept: application/json"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			k := newKit(t, setup{http: httpadapter.Config{Authorize: authorize}})
			k.addFile(callers["alice"].Caller, threeLines)
			k.golden(test.name, k.do(test.method, test.target, test.headers...))
		})
	}
}

const threeLines = `{"resourceType":"Patient","id":"p1","gender":"female"}
{"resourceType":"Patient","id":"p2","gender":"female"}
{"resourceType":"Patient","id":"p3","gender":"female"}
`
