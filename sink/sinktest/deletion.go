package sinktest

func deletionCases() []testCase {
	return []testCase{
		{Deletion, "all files", deleteAllFiles},
		{Deletion, "nothing to delete", deleteNothing},
		{Deletion, "only this job", deleteOnlyThisJob},
		{Deletion, "job is used again", jobUsedAgain},
		{Deletion, "open writer", deleteUnderWriter},
		{Deletion, "open reader", deleteUnderReader},
	}
}

func deleteAllFiles(t *env) {
	names := []string{file1, file2, "a", "z", "Z", "_"}
	for _, name := range names {
		t.put(job1, name, data(1, 100))
	}
	t.deleteJob(job1)
	for _, name := range names {
		t.wantAbsent("DeleteJob: all files of the job are removed", job1, name)
	}
}

func deleteNothing(t *env) {
	t.deleteJob(job1)
	t.put(job1, file1, data(1, 100))
	t.deleteJob(job1)
	t.deleteJob(job1)
	t.wantAbsent("DeleteJob: a second call does nothing", job1, file1)
}

// deleteOnlyThisJob has neighbours whose ids begin as the job's does.
func deleteOnlyThisJob(t *env) {
	others := []string{job1 + "0", job1[:25], job2}
	for i, id := range others {
		t.put(id, file1, data(byte(i), 100))
	}
	t.put(job1, file1, data(9, 100))
	t.deleteJob(job1)
	t.wantAbsent("DeleteJob: the files of the job are removed", job1, file1)
	for i, id := range others {
		t.wantContent("DeleteJob: other jobs keep their files", id, file1, data(byte(i), 100))
	}
}

func jobUsedAgain(t *env) {
	t.put(job1, file1, data(1, 100))
	t.put(job1, file2, data(2, 100))
	t.deleteJob(job1)
	content := data(3, 100)
	t.put(job1, file1, content)
	t.wantContent("Create: after DeleteJob the job can have files", job1, file1, content)
	t.wantAbsent("Create: after DeleteJob old files do not come back", job1, file2)
}

// deleteUnderWriter leaves the writer the choice to fail, but not to publish
// less than all.
func deleteUnderWriter(t *env) {
	content := data(1, large)
	w := t.create(job1, file1)
	t.write(w, content[:large/2])
	t.deleteJob(job1)
	t.wantAbsent("DeleteJob: a file in the making does not appear", job1, file1)

	_, err := w.Write(content[large/2:])
	if err == nil {
		err = w.Commit()
	}
	if err == nil {
		t.wantContent("Commit: after DeleteJob a file is whole or fails", job1, file1, content)
	} else {
		t.wantAbsent("Commit: after an error the file is not visible", job1, file1)
	}
	t.abort(w)
	t.deleteJob(job1)
	t.wantAbsent("DeleteJob: a file committed late is removed by the next call", job1, file1)
}

func deleteUnderReader(t *env) {
	content := data(1, large)
	t.put(job2, file1, content)
	r := t.open(job2, file1)
	t.readHalf(r, content)
	t.deleteJob(job2)
	t.wantRestOrError("Open: a reader of a deleted file goes on or fails", r, content)
}
