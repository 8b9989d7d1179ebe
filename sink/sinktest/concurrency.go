package sinktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/bulkexport/bulkexport"
)

func concurrencyCases() []testCase {
	return []testCase{
		{Concurrency, "jobs side by side", jobsSideBySide},
		{Concurrency, "writers and readers of one file", writersAndReaders},
		{Concurrency, "delete among writers", deleteAmongWriters},
	}
}

const (
	workers = 8
	rounds  = 8
)

// parallel calls fn for all rounds of each worker, workers in parallel.
func parallel(fn func(worker, round int)) {
	var wg sync.WaitGroup
	for worker := range workers {
		wg.Go(func() {
			for round := range rounds {
				fn(worker, round)
			}
		})
	}
	wg.Wait()
}

// stamped returns content that tells of itself whether it is whole.
func stamped(n int) []byte {
	return bytes.Repeat(fmt.Appendf(nil, "%07d\n", n), 5000+n)
}

func whole(p []byte) bool {
	var n int
	_, err := fmt.Sscanf(string(p[:min(8, len(p))]), "%d", &n)
	return err == nil && bytes.Equal(p, stamped(n))
}

func jobsSideBySide(t *env) {
	parallel(func(worker, round int) {
		job, content := fmt.Sprintf("job%d", worker), stamped(100*worker+round)
		if err := t.tryPut(job, file1, content); err != nil {
			t.Errorf("Commit: writers of other jobs do not disturb; got error: %v", err)
		}
		t.wantContent("Open: a job has its own files", job, file1, content)
		if err := t.sink.DeleteJob(t.Context(), job); err != nil {
			t.Errorf("DeleteJob: other jobs do not disturb; got error: %v", err)
		}
		t.wantAbsent("DeleteJob: the files of the job are removed", job, file1)
	})
}

// writersAndReaders has as many aborts as commits: they must not disturb either.
func writersAndReaders(t *env) {
	t.put(job1, file1, stamped(0))
	parallel(func(worker, round int) {
		if err := t.tryPut(job1, file1, stamped(100*worker+round)); err != nil {
			t.Errorf("Commit: other writers of the name do not disturb; got error: %v", err)
		}
		if w, err := t.sink.Create(t.Context(), job1, file2); err != nil {
			t.Errorf("Create: other writers of the name do not disturb; got error: %v", err)
		} else {
			t.abort(w)
		}
		r, err := t.sink.Open(t.Context(), job1, file1)
		if err != nil {
			t.Errorf("Open: a file that is replaced is always there; got error: %v", err)
			return
		}
		t.wantWholeOrError(r)
	})
	t.wantAbsent("Abort: nothing is left of the file", job1, file2)
}

// wantWholeOrError lets the reader fail, since its file may be gone.
func (t *env) wantWholeOrError(r bulkexport.FileReader) {
	got, err := io.ReadAll(r)
	if err == nil && !whole(got) {
		t.Errorf("Read: a file is whole or an error; got %d bytes of it", len(got))
	}
	_ = r.Close()
}

// deleteAmongWriters lets writers fail, as the contract does, but neither
// Create, nor the readers, nor the neighbours.
func deleteAmongWriters(t *env) {
	neighbour := data(1, 1000)
	t.put(job2, file1, neighbour)
	parallel(func(worker, round int) {
		if worker < 2 {
			if err := t.sink.DeleteJob(t.Context(), job1); err != nil {
				t.Errorf("DeleteJob: writers do not disturb; got error: %v", err)
			}
			return
		}
		t.writeWhileDeleted(stamped(100*worker + round))
		if r, err := t.sink.Open(t.Context(), job1, file1); err == nil {
			t.wantWholeOrError(r)
		} else if !errors.Is(err, bulkexport.ErrFileNotFound) {
			t.Errorf("Open: a file is whole or absent; got error: %v", err)
		}
	})
	t.deleteJob(job1)
	t.wantAbsent("DeleteJob: when all is quiet nothing is left", job1, file1)
	t.wantContent("DeleteJob: other jobs keep their files", job2, file1, neighbour)
}

func (t *env) writeWhileDeleted(content []byte) {
	w, err := t.sink.Create(t.Context(), job1, file1)
	if err != nil {
		t.Errorf("Create: DeleteJob does not disturb; got error: %v", err)
		return
	}
	if _, err := w.Write(content); err == nil {
		_ = w.Commit()
	}
	t.abort(w)
}
