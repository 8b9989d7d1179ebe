package sinktest

import (
	"context"

	"github.com/bulkexport/bulkexport"
)

func cancellationCases() []testCase {
	return []testCase{
		{Cancellation, "create", cancelledCreate},
		{Cancellation, "write", cancelledWrite},
		{Cancellation, "commit", cancelledCommit},
		{Cancellation, "replacement", cancelledReplacement},
		{Cancellation, "after commit", cancelledAfterCommit},
	}
}

func (t *env) createCancellable() (bulkexport.FileWriter, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w, err := t.sink.Create(ctx, job1, file1)
	if err != nil {
		cancel()
		t.Fatalf("Create: any allowed job id and name is taken; got error: %v", err)
	}
	return w, cancel
}

func cancelledCreate(t *env) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if w, err := t.sink.Create(ctx, job1, file1); err == nil {
		if w.Commit() == nil {
			t.Errorf("Create: when the context has ended it fails, or else Commit")
		}
		t.abort(w)
	}
	t.wantAbsent("Create: a file whose context has ended does not appear", job1, file1)
}

func cancelledWrite(t *env) {
	w, cancel := t.createCancellable()
	t.write(w, data(1, 100))
	cancel()
	if _, err := w.Write(data(2, 100)); err == nil {
		t.Errorf("Write: it fails when the context has ended")
	}
	t.abort(w)
	t.wantAbsent("Write: a file whose context has ended does not appear", job1, file1)
}

func cancelledCommit(t *env) {
	for _, n := range []int{0, 100, large} {
		w, cancel := t.createCancellable()
		t.write(w, data(1, n))
		cancel()
		if w.Commit() == nil {
			t.Errorf("Commit: it fails when the context has ended")
		}
		t.wantAbsent("Commit: after an error the file is not visible", job1, file1)
		t.abort(w)
		t.wantAbsent("Abort: after a failed Commit nothing is left", job1, file1)
	}
}

func cancelledReplacement(t *env) {
	content := data(1, 1000)
	t.put(job1, file1, content)
	w, cancel := t.createCancellable()
	t.write(w, data(2, large))
	cancel()
	_ = w.Commit() // cancelledCommit demands the error
	t.abort(w)
	t.wantContent("Commit: when the context has ended the old file stays", job1, file1, content)
}

func cancelledAfterCommit(t *env) {
	content := data(1, 1000)
	w, cancel := t.createCancellable()
	t.write(w, content)
	t.commit(w)
	cancel()
	t.wantContent("Commit: a published file does not need its context", job1, file1, content)
}
