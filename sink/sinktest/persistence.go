package sinktest

func persistenceCases() []testCase {
	return []testCase{
		{Persistence, "committed files", committedFilesSurvive},
		{Persistence, "unfinished files", unfinishedFilesVanish},
		{Persistence, "deleted files", deletedFilesStayDeleted},
		{Persistence, "work goes on", workGoesOn},
	}
}

func committedFilesSurvive(t *env) {
	first, second, third := data(1, large), data(2, 0), data(3, 100)
	t.put(job1, file1, data(4, 200))
	t.put(job1, file1, first)
	t.put(job1, file2, second)
	t.put(job2, file1, third)
	t.sink = t.reopen()
	const rule = "Commit: the file survives the process"
	t.wantContent(rule, job1, file1, first)
	t.wantContent(rule, job1, file2, second)
	t.wantContent(rule, job2, file1, third)
}

func unfinishedFilesVanish(t *env) {
	content := data(1, 100)
	t.put(job1, file1, content)
	t.write(t.create(job1, file1), data(2, large))
	t.write(t.create(job1, file2), data(3, large))
	aborted := t.create(job2, file1)
	t.write(aborted, data(4, large))
	t.abort(aborted)
	t.sink = t.reopen()
	t.wantContent("Create, Write: without Commit the old file stays", job1, file1, content)
	t.wantAbsent("Create, Write: without Commit nothing appears", job1, file2)
	t.wantAbsent("Abort: nothing appears later", job2, file1)
}

func deletedFilesStayDeleted(t *env) {
	content := data(1, 100)
	t.put(job1, file1, content)
	t.put(job2, file1, content)
	t.deleteJob(job1)
	t.sink = t.reopen()
	t.wantAbsent("DeleteJob: files do not come back", job1, file1)
	t.wantContent("DeleteJob: other jobs keep their files", job2, file1, content)
}

// workGoesOn is what a worker does that takes over from a dead one.
func workGoesOn(t *env) {
	t.write(t.create(job1, file1), data(1, large))
	t.put(job1, file2, data(2, 100))
	t.sink = t.reopen()
	content := data(3, 1000)
	t.put(job1, file1, content)
	t.wantContent("Create: the name of an unfinished file is free", job1, file1, content)
	t.put(job1, file2, content)
	t.wantContent("Commit: a file of the sink before is replaced", job1, file2, content)
	t.deleteJob(job1)
	t.wantAbsent("DeleteJob: files of the sink before are removed", job1, file2)
}
