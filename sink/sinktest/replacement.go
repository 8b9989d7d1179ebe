package sinktest

import (
	"bytes"
	"io"
)

func replacementCases() []testCase {
	return []testCase{
		{Visibility, "replaced as a whole", replacedAsAWhole},
		{Visibility, "abort keeps the old file", abortKeepsOldFile},
		{Visibility, "last commit wins", lastCommitWins},
		{Visibility, "reader of a replaced file", readerOfReplacedFile},
	}
}

func replacedAsAWhole(t *env) {
	before := data(1, 200_000)
	t.put(job1, file1, before)
	for i, n := range []int{100_000, 300_000, 0} {
		after := data(byte(i+2), n)
		w := t.create(job1, file1)
		t.write(w, after)
		t.wantContent("Create, Write: the old file stays until Commit", job1, file1, before)
		t.commit(w)
		t.wantContent("Commit: the old file is replaced as a whole", job1, file1, after)
		before = after
	}
}

func abortKeepsOldFile(t *env) {
	content := data(1, 1000)
	t.put(job1, file1, content)
	w := t.create(job1, file1)
	t.write(w, data(2, large))
	t.abort(w)
	t.wantContent("Abort: the old file of that name stays", job1, file1, content)
}

// lastCommitWins ends the writers in another order than it begins them, and
// lets them take turns.
func lastCommitWins(t *env) {
	first, second, third := data(1, 150_000), data(2, 100_000), data(3, 200_000)
	w1, w2, w3 := t.create(job1, file1), t.create(job1, file1), t.create(job1, file1)
	for i := range 2 {
		t.write(w1, half(first, i))
		t.write(w2, half(second, i))
		t.write(w3, half(third, i))
	}
	const rule = "Commit: of several writers of one name the last to commit wins, whole"
	t.commit(w2)
	t.wantContent(rule, job1, file1, second)
	t.commit(w1)
	t.wantContent(rule, job1, file1, first)
	t.abort(w3)
	t.wantContent("Abort: the file of another writer stays", job1, file1, first)
}

func half(p []byte, i int) []byte {
	if i == 0 {
		return p[:len(p)/2]
	}
	return p[len(p)/2:]
}

func readerOfReplacedFile(t *env) {
	content := data(1, large)
	t.put(job1, file1, content)
	r := t.open(job1, file1)
	t.readHalf(r, content)
	t.put(job1, file1, data(2, large+100))
	t.wantRestOrError("Open: a reader never mixes two contents", r, content)
}

// readHalf reads so much that the rest cannot be in a buffer.
func (t *env) readHalf(r io.Reader, content []byte) {
	t.Helper()
	got := make([]byte, len(content)/2)
	if _, err := io.ReadFull(r, got); err != nil || !bytes.Equal(got, content[:len(got)]) {
		t.Fatalf("Read: the content comes as it was written; got error %v or other bytes", err)
	}
}

// wantRestOrError continues after readHalf. The reader may fail, since its file
// is gone, but what it gives before is of that file; then it is closed.
func (t *env) wantRestOrError(rule string, r io.ReadCloser, content []byte) {
	t.Helper()
	rest := content[len(content)/2:]
	got, err := io.ReadAll(r)
	if err != nil {
		rest = rest[:min(len(got), len(rest))]
	}
	if diff := difference(got, rest); diff != "" {
		t.Errorf("%s; Read got %s", rule, diff)
	}
	_ = r.Close()
}
