package sinktest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"slices"

	"github.com/bulkexport/bulkexport"
)

func inventoryCases() []testCase {
	return []testCase{
		{Inventory, "jobs", listJobs},
		{Inventory, "files", listFiles},
		{Inventory, "nothing", listNothing},
		{Inventory, "consumer stops", listPart},
		{Inventory, "one file goes", deleteOneFile},
		{Inventory, "file in the making", listUnfinished},
		{Inventory, "abandoned file goes", deleteAbandoned},
		{Inventory, "context ends", cancelledInventory},
	}
}

func (t *env) inventory() bulkexport.SinkInventory { return t.sink.(bulkexport.SinkInventory) }

// jobs returns how often each job is listed.
func (t *env) jobs() map[string]int {
	t.Helper()
	found := map[string]int{}
	for id, err := range t.inventory().Jobs(t.Context()) {
		if err != nil {
			t.Fatalf("Jobs: all there is comes; got error: %v", err)
		}
		found[id]++
	}
	return found
}

func (t *env) files(job string) []bulkexport.StoredFile {
	t.Helper()
	var found []bulkexport.StoredFile
	for file, err := range t.inventory().Files(t.Context(), job) {
		if err != nil {
			t.Fatalf("Files: all there is comes; got error: %v", err)
		}
		found = append(found, file)
	}
	return found
}

// committed returns the sizes of committed files by name.
func (t *env) committed(job string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	for _, file := range t.files(job) {
		if !file.Committed {
			continue
		}
		if _, twice := sizes[file.Name]; twice {
			t.Errorf("Files: each file is listed once: %s is again", file.Name)
		}
		sizes[file.Name] = file.Size
	}
	return sizes
}

func (t *env) wantCommitted(rule string, want map[string]int64) {
	t.Helper()
	if got := t.committed(job1); !maps.Equal(got, want) {
		t.Errorf("%s: got %v, want %v", rule, got, want)
	}
}

func (t *env) deleteFile(name string) {
	t.Helper()
	if err := t.inventory().DeleteFile(t.Context(), job1, name); err != nil {
		t.Errorf("DeleteFile: a file is removed, and absent is no error; got error: %v", err)
	}
}

func listJobs(t *env) {
	t.put(job1, file1, data(1, 100))
	t.put(job1, file2, data(1, 100))
	t.put(job2, file1, data(1, 100))
	if got, want := t.jobs(), map[string]int{job1: 1, job2: 1}; !maps.Equal(got, want) {
		t.Errorf("Jobs: each job with files is listed once: got %v, want %v", got, want)
	}
	t.deleteJob(job1)
	if got, want := t.jobs(), map[string]int{job2: 1}; !maps.Equal(got, want) {
		t.Errorf("Jobs: a job without files is not listed: got %v, want %v", got, want)
	}
}

func listFiles(t *env) {
	t.put(job1, file1, data(1, 100))
	t.put(job1, file2, data(1, large))
	t.put(job2, file1, data(1, 7))
	t.wantCommitted("Files: all committed files of the job are listed with their sizes",
		map[string]int64{file1: 100, file2: large})
	t.put(job1, file1, data(2, 5))
	t.wantCommitted("Files: a file that was replaced is listed as it is",
		map[string]int64{file1: 5, file2: large})
	for _, file := range t.files(job1) {
		if file.ModTime.IsZero() {
			t.Errorf("Files: a file has a ModTime")
		}
	}
}

func listNothing(t *env) {
	if got := t.jobs(); len(got) > 0 {
		t.Errorf("Jobs: an empty sink has none: got %v", got)
	}
	if got := t.files(job1); len(got) > 0 {
		t.Errorf("Files: no such job is an empty stream: got %v", got)
	}
	t.deleteFile(file1)
	if got := t.jobs(); len(got) > 0 {
		t.Errorf("DeleteFile: it leaves no job behind: got %v", got)
	}
}

func listPart(t *env) {
	for _, job := range []string{job1, job2} {
		t.put(job, file1, data(1, 100))
		t.put(job, file2, data(1, 100))
	}
	if n, _ := first(t.inventory().Jobs(t.Context())); n != 1 {
		t.Errorf("Jobs: nothing comes after the consumer has stopped: got %d more", n-1)
	}
	if n, _ := first(t.inventory().Files(t.Context(), job1)); n != 1 {
		t.Errorf("Files: nothing comes after the consumer has stopped: got %d more", n-1)
	}
}

// first stops at the first of what a stream yields. It returns how much came
// nevertheless, and the last error.
func first[V any](seq iter.Seq2[V, error]) (n int, last error) {
	seq(func(_ V, err error) bool {
		n++
		last = err
		return false
	})
	return n, last
}

func deleteOneFile(t *env) {
	for _, job := range []string{job1, job2} {
		t.put(job, file1, data(1, 100))
		t.put(job, file2, data(2, 200))
	}
	t.deleteFile(file1)
	t.wantAbsent("DeleteFile: the file is gone", job1, file1)
	t.wantCommitted("DeleteFile: the file is gone, and no other", map[string]int64{file2: 200})
	t.wantContent("DeleteFile: other files stay", job1, file2, data(2, 200))
	t.wantContent("DeleteFile: other jobs stay", job2, file1, data(1, 100))
	t.deleteFile(file1)
	t.put(job1, file1, data(3, 50))
	t.wantContent("DeleteFile: the name can be used again", job1, file1, data(3, 50))
	t.deleteFile(file1)
	t.deleteFile(file2)
	if got, want := t.jobs(), map[string]int{job2: 1}; !maps.Equal(got, want) {
		t.Errorf("Jobs: a job without files is not listed: got %v, want %v", got, want)
	}
}

// listUnfinished leaves open whether a file in the making is listed; but not as
// what.
func listUnfinished(t *env) {
	w := t.create(job1, file1)
	t.write(w, data(1, large))
	for _, file := range t.files(job1) {
		if file.Committed || file.Name != file1 {
			t.Errorf("Files: a file in the making has its name and is not Committed: got %q, %v", file.Name, file.Committed)
		}
	}
	t.commit(w)
	t.wantCommitted("Files: from the commit on a file is listed", map[string]int64{file1: large})

	w = t.create(job1, file2)
	t.write(w, data(1, large))
	t.abort(w)
	got := t.files(job1)
	if slices.ContainsFunc(got, func(f bulkexport.StoredFile) bool { return f.Name == file2 }) {
		t.Errorf("Files: an aborted file is not listed")
	}
}

func deleteAbandoned(t *env) {
	content := data(1, large)
	w := t.create(job1, file1)
	t.write(w, content)
	t.deleteFile(file1)
	if got := t.files(job1); len(got) > 0 {
		t.Errorf("DeleteFile: an abandoned file goes: got %v", got)
	}
	if w.Commit() == nil {
		t.wantContent("Commit: after DeleteFile a file is whole or fails", job1, file1, content)
	} else {
		t.wantAbsent("Commit: after an error the file is not visible", job1, file1)
	}
	t.abort(w)
	t.deleteFile(file1)
	t.wantAbsent("DeleteFile: a file committed late is removed by the next call", job1, file1)
}

func cancelledInventory(t *env) {
	t.put(job1, file1, data(1, 100))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	inventory := t.inventory()
	_, listed := first(inventory.Jobs(ctx))
	_, files := first(inventory.Files(ctx, job1))
	for method, err := range map[string]error{
		"Jobs": listed, "Files": files, "DeleteFile": inventory.DeleteFile(ctx, job1, file1),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: when the context has ended, the error wraps the context's: got %v", method, err)
		}
	}
	t.wantContent("DeleteFile: when the context has ended, nothing is removed", job1, file1, data(1, 100))
}
