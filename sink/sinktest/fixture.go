package sinktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/bulkexport/bulkexport"
)

// The job and the name of cases that need one of each, and others beside them.
const (
	job1  = "6qz4k2w7xj5n3c1v8b9m0asdfg"
	job2  = "6qz4k2w7xj5n3c1v8b9m0asdfh"
	file1 = "Patient-0-1-1.output.ndjson"
	file2 = "Patient-0-1-2.output.ndjson"
)

// large is more than any buffer that a sink may reasonably have in between.
const large = 5<<20 + 321

// data returns n bytes that look like no other data with another seed.
func data(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p) // never fails
	return p
}

func (t *env) create(job, name string) bulkexport.FileWriter {
	t.Helper()
	w, err := t.sink.Create(t.Context(), job, name)
	if err != nil {
		t.Fatalf("Create: any allowed job id and name is taken; got error: %v", err)
	}
	return w
}

func (t *env) write(w bulkexport.FileWriter, p []byte) {
	t.Helper()
	n, err := w.Write(p)
	if err != nil || n != len(p) {
		t.Fatalf("Write: all of p is taken: got %d, %v, want %d", n, err, len(p))
	}
}

func (t *env) commit(w bulkexport.FileWriter) {
	t.Helper()
	if err := w.Commit(); err != nil {
		t.Fatalf("Commit: a file that was written is published; got error: %v", err)
	}
}

func (t *env) abort(w bulkexport.FileWriter) {
	t.Helper()
	if err := w.Abort(); err != nil {
		t.Errorf("Abort: at any time it throws the file away; got error: %v", err)
	}
}

func (t *env) put(job, name string, content []byte) {
	t.Helper()
	w := t.create(job, name)
	t.write(w, content)
	t.commit(w)
}

func (t *env) deleteJob(job string) {
	t.Helper()
	if err := t.sink.DeleteJob(t.Context(), job); err != nil {
		t.Fatalf("DeleteJob: the files of a job are removed; got error: %v", err)
	}
}

func (t *env) open(job, name string) bulkexport.FileReader {
	t.Helper()
	r, err := t.sink.Open(t.Context(), job, name)
	if err != nil {
		t.Fatalf("Open: a committed file is opened; got error: %v", err)
	}
	return r
}

func (t *env) wantContent(rule, job, name string, want []byte) {
	t.Helper()
	r, err := t.sink.Open(t.Context(), job, name)
	if err != nil {
		t.Errorf("%s; Open got error: %v", rule, err)
		return
	}
	t.wantRest(rule, r, want, 0)
}

// wantRest reads r from the offset where it stands, and closes it.
func (t *env) wantRest(rule string, r bulkexport.FileReader, want []byte, offset int) {
	t.Helper()
	if r.Size() != int64(len(want)) {
		t.Errorf("%s; Size is %d, want %d", rule, r.Size(), len(want))
	}
	got, err := io.ReadAll(r)
	if err != nil {
		t.Errorf("%s; Read got error: %v", rule, err)
	} else if diff := difference(got, want[offset:]); diff != "" {
		t.Errorf("%s; Read got %s", rule, diff)
	}
	if err := r.Close(); err != nil {
		t.Errorf("Close: a reader is closed; got error: %v", err)
	}
}

func (t *env) wantAbsent(rule, job, name string) {
	t.Helper()
	r, err := t.sink.Open(t.Context(), job, name)
	if err == nil {
		t.Errorf("%s; Open found a file of %d bytes", rule, r.Size())
		_ = r.Close()
		return
	}
	if !errors.Is(err, bulkexport.ErrFileNotFound) {
		t.Errorf("%s; Open: absent wraps ErrFileNotFound; got error: %v", rule, err)
	}
}

// tryPut is put where failure is an answer.
func (t *env) tryPut(job, name string, content []byte) error {
	w, err := t.sink.Create(t.Context(), job, name)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	if err == nil {
		err = w.Commit()
	}
	if abortErr := w.Abort(); abortErr != nil {
		t.Errorf("Abort: after any other call it is harmless; got error: %v", abortErr)
	}
	return err
}

// tryRead returns the content of a file if there is one.
func (t *env) tryRead(job, name string) ([]byte, error) {
	r, err := t.sink.Open(t.Context(), job, name)
	if err != nil {
		return nil, err
	}
	p, err := io.ReadAll(r)
	return p, errors.Join(err, r.Close())
}

// difference describes how got is not want, without quoting either.
func difference(got, want []byte) string {
	if bytes.Equal(got, want) {
		return ""
	}
	i := 0
	for i < min(len(got), len(want)) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("%d bytes, want %d, the first that differs at %d", len(got), len(want), i)
}
