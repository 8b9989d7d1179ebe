package storetest

import (
	"bytes"
	"strings"

	"github.com/bulkexport/bulkexport"
)

func hostileCases() []testCase {
	return []testCase{
		{Hostile, "strings come back byte for byte", alone(hostileStrings)},
		{Hostile, "tenants are compared byte for byte", alone(hostileTenants)},
		{Hostile, "ids are compared byte for byte", alone(hostileIDs)},
		{Hostile, "keys come back byte for byte", alone(hostileKeys)},
		{Hostile, "nil slices stay nil", alone(nilSlices)},
	}
}

// tenants are no two the same, though some comparisons say so.
func tenants() []string {
	return []string{
		"", " ", "tenant", "Tenant", "tenant ", " tenant", "tenant\n", "ten%", "t_nant", "*", "null",
		"'; drop table bulkexport_jobs; --", `"quoted"`, "`tick`", `back\slash`, "$1", "?", ":name",
		"\u00e9", "e\u0301", "ß", "ss", "日本", "😀", "\u200b", "\x01", "<&>\u2028",
		"1", "01", "1.0", strings.Repeat("long ", 200),
	}
}

func hostileStrings(t tester, s bulkexport.JobStore) {
	for n, text := range tenants() {
		want := newJob(n)
		want.Tenant, want.Client = text, text
		want.Request.URL, want.Request.Types = text, []string{text, ""}
		want.FailureReason = text
		mustCreate(t, s, want)
		mustSetParts(t, s, want.ID, []bulkexport.Part{{Type: text}})
		wantSame(t, "Job: strings come back byte for byte", mustGet(t, s, want.ID), want)
		if got := mustParts(t, s, want.ID, 1)[0].Type; got != text {
			t.Errorf("Parts: strings come back byte for byte: got %q, want %q", got, text)
		}
	}
}

func hostileTenants(t tester, s bulkexport.JobStore) {
	for n, tenant := range tenants() {
		job := newJob(n)
		job.Tenant = tenant
		mustCreate(t, s, job)
	}
	for n, tenant := range tenants() {
		jobs, err := s.Jobs(t.Context(), bulkexport.JobFilter{Tenant: &tenant})
		if err != nil || len(jobs) != 1 || jobs[0].ID != jobID(n) {
			t.Errorf("Jobs: a tenant's jobs are listed, and no others: for %q got %d jobs, error %v",
				tenant, len(jobs), err)
		}
	}
}

// hostileIDs looks for what is not there under names that sloppy comparing,
// quoting or encoding would take for the job that is.
func hostileIDs(t tester, s bulkexport.JobStore) {
	id := createJob(t, s, 1, 1).ID
	for _, other := range []string{
		"", " ", strings.ToUpper(id), id + " ", " " + id, id + "\n", id[1:], id + "a", "%", "_" + id[1:],
		id[:25] + "\u0301", id + "\x00", "\x00", "\xff\xfe", "' OR '1'='1", `"; drop table x; --`,
		strings.Repeat("a", 10_000),
	} {
		for _, c := range jobCalls(neverCalled(t)) {
			wantErr(t, c.name+": no job is found by another id than its own",
				c.do(t.Context(), s, other), bulkexport.ErrJobNotFound)
		}
		mustDelete(t, s, other)
	}
	mustParts(t, s, id, 1)
}

// hostileKeys are keys that are not text, or not the text they seem to be.
func hostileKeys(t tester, s bulkexport.JobStore) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	keys := [][]byte{
		{0}, {0, 0}, {0xff}, {0xff, 0x00}, {0xc3, 0x28}, {0xed, 0xa0, 0x80}, {'\\'}, {'"'}, {'\''},
		[]byte(`\x41`), []byte("a\r\nb"), []byte("  "), {'1'}, all, bytes.Repeat(all, 4), {},
	}
	id := createJob(t, s, 0, 0).ID
	plan := newPlan(len(keys), "Patient")
	for i, key := range keys {
		plan[i].After, plan[i].UpTo = key, key
	}
	mustSetParts(t, s, id, plan)
	for i, key := range keys {
		mustUpdatePart(t, s, id, i, func(_ bulkexport.Job, p *bulkexport.Part) { p.Cursor = key })
	}
	for i, p := range mustParts(t, s, id, len(keys)) {
		for _, got := range [][]byte{p.After, p.UpTo, p.Cursor} {
			if !bytes.Equal(got, keys[i]) {
				t.Errorf("Parts: keys come back byte for byte: got %q, want %q", got, keys[i])
			}
		}
	}
}

// nilSlices would widen a range, or narrow a request, if nil became something
// else.
func nilSlices(t tester, s bulkexport.JobStore) {
	job := newJob(0)
	job.Request.Types = nil
	mustCreate(t, s, job)
	mustSetParts(t, s, job.ID, newPlan(1, "Patient"))
	mustUpdatePart(t, s, job.ID, 0, func(bulkexport.Job, *bulkexport.Part) {})
	if mustGet(t, s, job.ID).Request.Types != nil {
		t.Errorf("Job: Request.Types that is nil means all types, and stays nil")
	}
	p := mustParts(t, s, job.ID, 1)[0]
	if p.After != nil || p.UpTo != nil || p.Cursor != nil {
		t.Errorf("Parts: a nil key is an open end, and stays nil: got %q, %q, %q",
			p.After, p.UpTo, p.Cursor)
	}
}
