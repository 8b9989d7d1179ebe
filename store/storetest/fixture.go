package storetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"time"

	"github.com/bulkexport/bulkexport"
)

// jobID returns the n-th of a series of valid ids in ascending order.
func jobID(n int) string {
	id := bytes.Repeat([]byte("a"), 26)
	for i := len(id) - 1; n > 0; i-- {
		id[i] += byte(n % 26)
		n /= 26
	}
	return string(id)
}

// moment is a time with as many digits as a store has to keep.
func moment() time.Time {
	return time.Date(2026, time.March, 1, 12, 30, 15, 123456000, time.UTC)
}

func newJob(n int) bulkexport.Job {
	return bulkexport.Job{
		ID:     jobID(n),
		Tenant: "tenant",
		Client: "client",
		Request: bulkexport.ExportRequest{
			URL:   "https://fhir.example.org/fhir/$export?_type=Patient",
			Level: bulkexport.LevelSystem,
			Types: []string{"Patient"},
		},
		State:     bulkexport.JobRunning,
		CreatedAt: moment(),
	}
}

func newPlan(n int, typ string) []bulkexport.Part {
	parts := make([]bulkexport.Part, n)
	for i := range parts {
		parts[i] = bulkexport.Part{Index: i, Type: typ, Total: -1}
	}
	return parts
}

// createJob stores newJob(n), with a plan of so many parts.
func createJob(t tester, s bulkexport.JobStore, n, parts int) bulkexport.Job {
	t.Helper()
	job := newJob(n)
	mustCreate(t, s, job)
	if parts > 0 {
		mustSetParts(t, s, job.ID, newPlan(parts, "Patient"))
	}
	return job
}

func mustCreate(t tester, s bulkexport.JobStore, job bulkexport.Job) {
	t.Helper()
	if err := s.CreateJob(t.Context(), job); err != nil {
		t.Fatalf("CreateJob: a new job is stored; got error: %v", err)
	}
}

func mustGet(t tester, s bulkexport.JobStore, id string) bulkexport.Job {
	t.Helper()
	job, err := s.Job(t.Context(), id)
	if err != nil {
		t.Fatalf("Job: a stored job is found; got error: %v", err)
	}
	return job
}

func mustUpdate(
	t tester, s bulkexport.JobStore, id string, fn func(*bulkexport.Job),
) bulkexport.Job {
	t.Helper()
	job, err := s.UpdateJob(t.Context(), id, func(j *bulkexport.Job) error {
		fn(j)
		return nil
	})
	if err != nil {
		t.Fatalf("UpdateJob: an update that is not refused is stored; got error: %v", err)
	}
	return job
}

func mustSetParts(t tester, s bulkexport.JobStore, id string, parts []bulkexport.Part) {
	t.Helper()
	if err := s.SetParts(t.Context(), id, parts); err != nil {
		t.Fatalf("SetParts: the plan of a stored job is stored; got error: %v", err)
	}
}

// mustParts also checks the number of parts and their order.
func mustParts(t tester, s bulkexport.JobStore, id string, n int) []bulkexport.Part {
	t.Helper()
	parts, err := s.Parts(t.Context(), id)
	if err != nil {
		t.Fatalf("Parts: the parts of a stored job are found; got error: %v", err)
	}
	if len(parts) != n {
		t.Fatalf("Parts: all parts of the plan are returned: got %d, want %d", len(parts), n)
	}
	for i, p := range parts {
		if p.Index != i {
			t.Fatalf("Parts: parts come in order of Index: got %d in place %d", p.Index, i)
		}
	}
	return parts
}

func mustUpdatePart(
	t tester, s bulkexport.JobStore, id string, index int, fn func(bulkexport.Job, *bulkexport.Part),
) bulkexport.Part {
	t.Helper()
	part, err := s.UpdatePart(t.Context(), id, index,
		func(j bulkexport.Job, p *bulkexport.Part) error {
			fn(j, p)
			return nil
		})
	if err != nil {
		t.Fatalf("UpdatePart: an update that is not refused is stored; got error: %v", err)
	}
	return part
}

func mustDelete(t tester, s bulkexport.JobStore, id string) {
	t.Helper()
	if err := s.DeleteJob(t.Context(), id); err != nil {
		t.Fatalf("DeleteJob: a job is removed; got error: %v", err)
	}
}

func wantErr(t tester, rule string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: got error %v, want one that is %q", rule, err, want)
	}
}

// wantSame compares values of the contract: times by instant, and a nil slice
// equals an empty one. The cases on times and keys look closer.
func wantSame[V any](t tester, rule string, got, want V) {
	t.Helper()
	if !reflect.DeepEqual(normal(got), normal(want)) {
		t.Errorf("%s:\n got %s\nwant %s", rule, asJSON(got), asJSON(want))
	}
}

func asJSON(v any) string {
	doc, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(doc)
}
