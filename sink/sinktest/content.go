package sinktest

import "bytes"

func contentCases() []testCase {
	return []testCase{
		{Content, "lengths", lengths},
		{Content, "write sizes", writeSizes},
		{Content, "empty writes", emptyWrites},
		{Content, "never written", neverWritten},
		{Content, "writer does not keep p", writerDoesNotKeepP},
	}
}

func lengths(t *env) {
	for i, n := range []int{0, 1, 64<<10 - 1, 64 << 10, 64<<10 + 1, large} {
		content := data(byte(i), n)
		t.put(job1, file1, content)
		t.wantContent("Commit: a file has the bytes that were written", job1, file1, content)
	}
}

// writeSizes writes in pieces that fit no buffer.
func writeSizes(t *env) {
	content := data(1, large)
	for _, size := range []int{997, 65_537, 1<<20 + 1} {
		w := t.create(job1, file1)
		for rest := content; len(rest) > 0; {
			n := min(size, len(rest))
			t.write(w, rest[:n])
			rest = rest[n:]
		}
		t.commit(w)
		t.wantContent("Write: pieces of any size are appended", job1, file1, content)
	}
}

func emptyWrites(t *env) {
	content := data(1, 100)
	w := t.create(job1, file1)
	t.write(w, nil)
	t.write(w, content)
	t.write(w, []byte{})
	t.commit(w)
	t.wantContent("Write: an empty piece changes nothing", job1, file1, content)
}

func neverWritten(t *env) {
	t.commit(t.create(job1, file1))
	t.wantContent("Commit: a file without a Write is empty", job1, file1, nil)
}

func writerDoesNotKeepP(t *env) {
	const pieces = 100
	w := t.create(job1, file1)
	p := make([]byte, 3000)
	var want []byte
	for i := range pieces {
		copy(p, data(byte(i), len(p)))
		want = append(want, p...)
		t.write(w, p)
		copy(p, bytes.Repeat([]byte("scribble"), len(p)/8))
	}
	t.commit(w)
	t.wantContent("Write: p is not kept when it has returned", job1, file1, want)
}
