package conformance_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/stretchr/testify/require"
)

// manifest is the answer to a complete status, as clients read it. What is not
// there is nil.
type manifest struct {
	TransactionTime     time.Time      `json:"transactionTime"`
	Request             *string        `json:"request"`
	RequiresAccessToken *bool          `json:"requiresAccessToken"`
	OutputOrganizedBy   *string        `json:"outputOrganizedBy"`
	Output              *[]entry       `json:"output"`
	Deleted             *[]entry       `json:"deleted"`
	Error               *[]entry       `json:"error"`
	Link                []link         `json:"link"`
	Extension           map[string]any `json:"extension"`
}

type entry struct {
	Type            *string        `json:"type"`
	URL             string         `json:"url"`
	Count           *int           `json:"count"`
	ContinuesInFile string         `json:"continuesInFile"`
	Extension       map[string]any `json:"extension"`
}

type link struct{ Relation, URL string }

// next is the URL of the next page; empty if there is none.
func (m manifest) next() string {
	for _, l := range m.Link {
		if l.Relation == "next" {
			return l.URL
		}
	}
	return ""
}

// deleted are the items of deleted, which need not be there.
func (m manifest) deleted() []entry {
	if m.Deleted == nil {
		return nil
	}
	return *m.Deleted
}

// extension is the value of what the manifest, or an item, says beyond the guide.
func extension(members map[string]any, name string) any {
	return members["https://github.com/bulkexport/bulkexport/manifest/"+name]
}

// kickOff starts an export and returns the URL of its status.
func (k *server) kickOff(target string, headers ...string) string {
	k.Helper()
	return k.accepted(k.get(target, headers...))
}

func (k *server) accepted(a answer) string {
	k.Helper()
	require.Equal(k, http.StatusAccepted, a.status, "%s: %s", a.request, a.body)
	locations := a.header.Values("Content-Location")
	require.Len(k, locations, 1)
	return locations[0]
}

// refused demands an error with an OperationOutcome that is about a parameter.
func (k *server) refused(a answer, status int, parameter string) {
	k.Helper()
	require.Equal(k, status, a.status, "%s: %s", a.request, a.body)
	var about []string
	for _, issue := range k.outcome(a).Issue {
		require.Contains(k, []string{"error", "fatal"}, issue.Severity)
		about = append(about, issue.Expression...)
	}
	require.Contains(k, about, parameter, "%s: %s", a.request, a.body)
}

// outcome is an OperationOutcome.
type outcome struct {
	ResourceType string
	Issue        []issue
}

type issue struct {
	Severity, Code, Diagnostics string
	Expression                  []string
}

// outcome demands an answer that is an OperationOutcome.
func (k *server) outcome(a answer) outcome {
	k.Helper()
	require.Equal(k, "application/fhir+json", a.header.Get("Content-Type"), a.request)
	return k.readOutcome(a.body)
}

func (k *server) readOutcome(body []byte) outcome {
	k.Helper()
	var o outcome
	require.NoError(k, json.Unmarshal(body, &o), "%s", body)
	require.Equal(k, "OperationOutcome", o.ResourceType)
	require.NotEmpty(k, o.Issue)
	for _, i := range o.Issue {
		require.Contains(k, []string{"fatal", "error", "warning", "information"}, i.Severity)
		require.NotEmpty(k, i.Code)
		require.NotEmpty(k, i.Diagnostics)
	}
	return o
}

// fails demands an error with an OperationOutcome, and returns its first issue.
func (k *server) fails(a answer, status int) issue {
	k.Helper()
	require.Equal(k, status, a.status, "%s: %s", a.request, a.body)
	return k.outcome(a).Issue[0]
}

// export is a completed export.
type export struct {
	manifest
	// job is the URL of its status, complete the answer there.
	job      string
	complete answer
	// files are the lines of all files by their URLs.
	files map[string][]string
}

// export runs an export to its end.
func (k *server) export(target string, headers ...string) export {
	k.Helper()
	return k.finish(k.kickOff(target, headers...), headers...)
}

// exportPost is export with parameters in the body, each as its JSON.
func (k *server) exportPost(target string, parameters ...string) export {
	k.Helper()
	return k.finish(k.accepted(k.post(target, parametersOf(parameters...))))
}

func parametersOf(parameters ...string) string {
	return `{"resourceType":"Parameters","parameter":[` + strings.Join(parameters, ",") + `]}`
}

// parameter is a parameter of a body: the name, the type of the value, the value
// as text.
func parameter(name, kind, value string) string {
	if kind == "Reference" {
		return fmt.Sprintf(`{"name":%q,"valueReference":{"reference":%q}}`, name, value)
	}
	return fmt.Sprintf(`{"name":%q,"value%s":%q}`, name, kind, value)
}

// finish waits for an export and reads what it has: all pages, all files.
func (k *server) finish(job string, headers ...string) export {
	k.Helper()
	k.await(job)
	return k.read(job, headers...)
}

// read reads the first page of a manifest, and the files on it.
func (k *server) read(job string, headers ...string) export {
	k.Helper()
	e := export{job: job, complete: k.get(job, headers...), files: map[string][]string{}}
	require.Equal(k, http.StatusOK, e.complete.status, "%s", e.complete.body)
	e.manifest = k.manifest(e.complete)
	for _, file := range slices.Concat(*e.Output, e.deleted(), *e.Error) {
		a := k.get(file.URL, headers...)
		require.Equal(k, http.StatusOK, a.status, "%s: %s", a.request, a.body)
		e.files[file.URL] = linesOf(a.body)
	}
	return e
}

// manifest reads a manifest and demands what every one has.
func (k *server) manifest(a answer) manifest {
	k.Helper()
	var m manifest
	require.NoError(k, json.Unmarshal(a.body, &m), "%s", a.body)
	require.NotNil(k, m.Output, "%s", a.body)
	require.NotNil(k, m.Error, "%s", a.body)
	return m
}

// linesOf splits a file at its line feeds, of which there is one at the end.
func linesOf(content []byte) []string {
	return strings.Split(strings.TrimSuffix(string(content), "\n"), "\n")
}

// lines are the lines of the files in output, in their order.
func (e export) lines() []string {
	var lines []string
	for _, file := range *e.Output {
		lines = append(lines, e.files[file.URL]...)
	}
	return lines
}

// names are "Type/id" of the resources in output, sorted.
func (e export) names() []string {
	names := []string{}
	for _, line := range e.lines() {
		names = append(names, nameOf(line))
	}
	slices.Sort(names)
	return names
}

func nameOf(line string) string {
	var resource struct{ ResourceType, ID string }
	if err := json.Unmarshal([]byte(line), &resource); err != nil {
		return err.Error()
	}
	return resource.ResourceType + "/" + resource.ID
}

// line is the line of a resource in output.
func (e export) line(name string) string {
	for _, line := range e.lines() {
		if nameOf(line) == name {
			return line
		}
	}
	return ""
}

// outcomes are the issues in error files.
func (k *server) outcomes(e export) []issue {
	k.Helper()
	var issues []issue
	for _, file := range *e.Error {
		for _, line := range e.files[file.URL] {
			issues = append(issues, k.readOutcome([]byte(line)).Issue...)
		}
	}
	return issues
}

// deletions are the URLs in deleted files.
func (k *server) deletions(e export) []string {
	k.Helper()
	urls := []string{}
	for _, file := range e.deleted() {
		for _, line := range e.files[file.URL] {
			var bundle struct {
				Entry []struct{ Request struct{ URL string } }
			}
			require.NoError(k, json.Unmarshal([]byte(line), &bundle))
			for _, entry := range bundle.Entry {
				urls = append(urls, entry.Request.URL)
			}
		}
	}
	slices.Sort(urls)
	return urls
}

// object reads a JSON object as it is on the wire.
func (k *server) object(body []byte) map[string]any {
	k.Helper()
	var members map[string]any
	require.NoError(k, json.Unmarshal(body, &members), "%s", body)
	return members
}

// id is the id of the job.
func (e export) id() string { return path.Base(e.job) }
