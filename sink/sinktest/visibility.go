package sinktest

func visibilityCases() []testCase {
	return []testCase{
		{Visibility, "absent", absent},
		{Visibility, "invisible before commit", invisibleBeforeCommit},
		{Visibility, "abort leaves nothing", abortLeavesNothing},
		{Visibility, "abort twice", abortTwice},
		{Visibility, "abort after commit", abortAfterCommit},
	}
}

func absent(t *env) {
	t.wantAbsent("Open: a job without files has none", job1, file1)
	t.put(job1, file1, data(1, 100))
	t.wantAbsent("Open: a file that was never written is absent", job1, file2)
}

func invisibleBeforeCommit(t *env) {
	const rule = "Create, Write: a file is invisible before Commit"
	content := data(1, large)
	w := t.create(job1, file1)
	t.wantAbsent(rule, job1, file1)
	t.write(w, content[:10])
	t.wantAbsent(rule, job1, file1)
	t.write(w, content[10:])
	t.wantAbsent(rule, job1, file1)
	t.commit(w)
	t.wantContent("Commit: a file is visible when it has returned", job1, file1, content)
}

func abortLeavesNothing(t *env) {
	for _, n := range []int{0, 10, large} {
		w := t.create(job1, file1)
		t.write(w, data(1, n))
		t.abort(w)
		t.wantAbsent("Abort: nothing is left of the file", job1, file1)
	}
	content := data(2, 100)
	t.put(job1, file1, content)
	t.wantContent("Abort: the name is free for another writer", job1, file1, content)
}

func abortTwice(t *env) {
	w := t.create(job1, file1)
	t.write(w, data(1, 100))
	t.abort(w)
	content := data(2, 200)
	t.put(job1, file1, content)
	t.abort(w)
	t.wantContent("Abort: a second call does nothing", job1, file1, content)
}

func abortAfterCommit(t *env) {
	content := data(1, 100)
	w := t.create(job1, file1)
	t.write(w, content)
	t.commit(w)
	t.abort(w)
	t.wantContent("Abort: after Commit it does nothing", job1, file1, content)
}
