package sinktest

import (
	"errors"
	"io"
	"testing/iotest"

	"github.com/bulkexport/bulkexport"
)

func readerCases() []testCase {
	return []testCase{
		{Content, "reader keeps the rules of io", readerKeepsRules},
		{Content, "seek", seek},
		{Content, "seek before the beginning", seekBeforeBeginning},
		{Content, "two readers", twoReaders},
	}
}

func readerKeepsRules(t *env) {
	for _, n := range []int{0, 1, 100_001} {
		content := data(1, n)
		t.put(job1, file1, content)
		r := t.open(job1, file1)
		if err := iotest.TestReader(r, content); err != nil {
			t.Errorf("Open: the reader keeps the rules of io.Reader and io.Seeker: %v", err)
		}
		_ = r.Close()
	}
}

// seek reads single ranges of a large file, as downloads that were broken off
// do when they are resumed.
func seek(t *env) {
	content := data(1, large)
	t.put(job1, file1, content)
	r := t.open(job1, file1)
	defer func() { _ = r.Close() }()
	for _, at := range []int64{large - 1, 0, 64 << 10, large, large / 2, 1} {
		t.seekTo(r, at, io.SeekStart, at)
		t.seekTo(r, at-large, io.SeekEnd, at)
		t.seekTo(r, 0, io.SeekCurrent, at)
		t.wantNext(r, content[at:min(at+1000, large)])
	}
	t.seekTo(r, 0, io.SeekEnd, large)
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Read: the end is io.EOF: got %d bytes, %v", n, err)
	}
}

func (t *env) seekTo(r io.Seeker, offset int64, whence int, want int64) {
	t.Helper()
	if pos, err := r.Seek(offset, whence); err != nil || pos != want {
		t.Fatalf("Seek: to %d, whence %d: got %d, %v, want %d", offset, whence, pos, err, want)
	}
}

func (t *env) wantNext(r bulkexport.FileReader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Errorf("Read: after Seek it goes on from there; got error: %v", err)
	} else if diff := difference(got, want); diff != "" {
		t.Errorf("Read: after Seek it goes on from there: got %s", diff)
	}
	if r.Size() != large {
		t.Errorf("Size: it is of the whole file: got %d, want %d", r.Size(), large)
	}
}

func seekBeforeBeginning(t *env) {
	content := data(1, 100)
	t.put(job1, file2, content)
	r := t.open(job1, file2)
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Errorf("Seek: an offset before the beginning is an error")
	}
	t.wantRest("Seek: an error does not move the reader", r, content, 0)
}

func twoReaders(t *env) {
	content := data(1, large)
	t.put(job1, file1, content)
	r1, r2 := t.open(job1, file1), t.open(job1, file1)
	t.readHalf(r1, content)
	t.wantRest("Open: each reader has its own offset", r2, content, 0)
	t.wantRest("Close: other readers of the file go on", r1, content, large/2)
}
