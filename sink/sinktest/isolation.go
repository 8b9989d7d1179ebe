package sinktest

import (
	"bytes"
	"fmt"
	"strings"
)

func isolationCases() []testCase {
	return []testCase{
		{Isolation, "allowed names", allowedNames},
		{Isolation, "allowed job ids", allowedJobIDs},
		{Isolation, "same name in two jobs", sameNameInTwoJobs},
		{Isolation, "hostile names", hostileNames},
		{Isolation, "hostile job ids", hostileJobIDs},
	}
}

func allowedNames(t *env) {
	names := []string{
		"a", "0", "-", "_", "-rf", "a.", "a..b", "a.b", "a-b", "a_b", "ab", "Patient.ndjson",
		"Patient.ndjson.gz", "Patient", "CON", strings.Repeat("x", 127), strings.Repeat("x", 128),
	}
	for i, name := range names {
		t.put(job1, name, data(byte(i), 100))
	}
	for i, name := range names {
		t.wantContent(fmt.Sprintf("Create: %q is a name of its own", name),
			job1, name, data(byte(i), 100))
	}
}

func allowedJobIDs(t *env) {
	ids := []string{"a", "0", "ab", "a0", "con", job1, job1[:25], job2, strings.Repeat("z", 64)}
	for i, id := range ids {
		t.put(id, file1, data(byte(i), 100))
	}
	for i, id := range ids {
		t.wantContent(fmt.Sprintf("Create: %q is a job of its own", id),
			id, file1, data(byte(i), 100))
	}
}

func sameNameInTwoJobs(t *env) {
	first, second := data(1, 100), data(2, 200)
	w := t.create(job1, file1)
	t.write(w, first)
	t.put(job2, file1, second)
	t.wantAbsent("Create: the file of another job is not seen", job1, file1)
	t.commit(w)
	t.wantContent("Commit: the file of another job is not touched", job2, file1, second)
	t.wantContent("Commit: a file is found in its job", job1, file1, first)
}

// canaries are files that nothing may reach under another name.
type canaries struct {
	t        *env
	contents map[string][]byte // by job
}

func (t *env) plantCanaries() canaries {
	t.Helper()
	c := canaries{t, map[string][]byte{job1: data(1, 100), job2: data(2, 100)}}
	for job, content := range c.contents {
		t.put(job, file1, content)
	}
	return c
}

// try does all that can be done under a job id and name of which one is
// hostile, and looks at what has become of the others.
func (c canaries) try(job, name string) {
	t := c.t
	t.Helper()
	rule := fmt.Sprintf("job id %q, name %q: no other file is reached", job, name)
	for _, canary := range c.contents {
		if got, err := t.tryRead(job, name); err == nil && bytes.Equal(got, canary) {
			t.Errorf("%s; Open gave it", rule)
		}
	}
	content := data(3, 300)
	putErr := t.tryPut(job, name, content)
	got, err := t.tryRead(job, name)
	switch {
	case putErr != nil && err == nil:
		t.Errorf("job id %q, name %q: Create or Commit refused it, Open did not", job, name)
	case putErr == nil && (err != nil || !bytes.Equal(got, content)):
		t.Errorf("job id %q, name %q: Commit took it, Open does not find it: %v", job, name, err)
	}
	c.check("Create, Commit: " + rule)
}

func (c canaries) check(rule string) {
	c.t.Helper()
	for job, content := range c.contents {
		c.t.wantContent(rule, job, file1, content)
		c.t.wantAbsent(rule, job, file2)
	}
}

// hostileNames has paths out of the medium too. Where a broken sink follows one,
// it finds nothing that could be harmed.
func hostileNames(t *env) {
	c := t.plantCanaries()
	for _, name := range []string{
		"", ".", "..", "/", "...", ".hidden", "a/b", "../x", "../../x", "/sinktest-escaped",
		"../" + job2, "../" + job2 + "/" + file1, "../" + job2 + "/" + file2,
		"/" + job2 + "/" + file1, "x/../" + file1, "./" + file1, file1 + "/", "/" + file1,
		`..\` + job2 + `\` + file1, `x\..\` + file2, `C:\` + file1,
		"%2e%2e/" + job2 + "/" + file1, "..%2f" + job2 + "%2f" + file1,
		file1 + "\x00", file1 + "\x00.gz", file2 + "\x00", "a\nb", " " + file1, file1 + " ",
		"Patient-*", "Patient-%", "\xff\xfe", "Pati\u00e9nt", strings.Repeat("x", 200),
		strings.Repeat("x", 5000), strings.Repeat("../", 20) + "sinktest-escaped/x",
	} {
		c.try(job1, name)
	}
}

func hostileJobIDs(t *env) {
	c := t.plantCanaries()
	for _, id := range []string{
		"", ".", "/", ".hidden", "/sinktest-escaped", "x/../" + job2, "./" + job2, job2 + "/",
		"/" + job2, job1 + "/..", job1 + "/../" + job2, job2 + "/.", `x\..\` + job2,
		strings.ToUpper(job2), job2 + "\x00", job2 + " ", job2 + "\n", job2[:25] + "_",
		job2[:25] + "%", "%", "*", "?", job2[:25] + "*", "%2e", "\xff\xfe",
	} {
		c.try(id, file1)
		_ = t.sink.DeleteJob(t.Context(), id) // may be refused
		c.check(fmt.Sprintf("DeleteJob: job id %q: no other job is reached", id))
	}
	// A broken sink that follows these must not be asked to delete what it finds.
	for _, id := range []string{"..", "../x", strings.Repeat("../", 20) + "sinktest-escaped"} {
		c.try(id, file1)
	}
	// Together these are a path to the other job's file.
	c.try("", job2+"/"+file1)
	c.try(".", job2+"/"+file1)
}
