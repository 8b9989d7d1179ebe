package storetest

import (
	"slices"

	"github.com/bulkexport/bulkexport"
)

func basicCases() []testCase {
	return []testCase{
		{Basics, "a created job is read back whole", alone(readJob)},
		{Basics, "a taken id is refused", alone(refuseTakenID)},
		{Basics, "an updated job is stored and returned", alone(updateJob)},
		{Basics, "a job without a plan has no parts", alone(readNoParts)},
		{Basics, "a plan is read back whole and in order", alone(readParts)},
		{Basics, "an updated part is stored and returned", alone(updatePart)},
		{Basics, "an update of a part leaves the rest alone", alone(updateOnePart)},
		{Basics, "a part keeps thousands of files", alone(manyFiles)},
	}
}

func readJob(t tester, s bulkexport.JobStore) {
	want := fullJob(t, 0, 0)
	mustCreate(t, s, want)
	wantSame(t, "Job: a job comes back as it was created", mustGet(t, s, want.ID), want)
}

// refuseTakenID has another tenant try: ids are one space, or one tenant could
// take the place of another's job.
func refuseTakenID(t tester, s bulkexport.JobStore) {
	first := createJob(t, s, 0, 2)
	second := fullJob(t, 0, 0)
	second.Tenant = "another"
	wantErr(t, "CreateJob: a taken id is refused, whoever has it",
		s.CreateJob(t.Context(), second), bulkexport.ErrJobExists)
	wantSame(t, "CreateJob: a refused job changes nothing", mustGet(t, s, first.ID), first)
	mustParts(t, s, first.ID, 2)
}

func updateJob(t tester, s bulkexport.JobStore) {
	before, want := fullJob(t, 0, 0), fullJob(t, 0, 100)
	mustCreate(t, s, before)
	got := mustUpdate(t, s, before.ID, func(j *bulkexport.Job) {
		wantSame(t, "UpdateJob: fn gets the job as it is stored", *j, before)
		*j = want
	})
	wantSame(t, "UpdateJob: returns the job as fn left it", got, want)
	wantSame(t, "UpdateJob: stores the job as fn left it", mustGet(t, s, want.ID), want)
}

func readNoParts(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 0)
	mustParts(t, s, job.ID, 0)
}

// readParts gives the parts in another order than the one they come back in: a
// store must not go by the order in which rows were written.
func readParts(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 0)
	want := fullPlan(t, 12)
	given := slices.Clone(want)
	slices.Reverse(given)
	mustSetParts(t, s, job.ID, given)
	wantSame(t, "Parts: the parts come back as SetParts got them, by Index",
		mustParts(t, s, job.ID, len(want)), want)
}

func updatePart(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 0)
	before, want := fullPart(t, 0, 0), fullPart(t, 0, 100)
	mustSetParts(t, s, job.ID, []bulkexport.Part{before})
	got := mustUpdatePart(t, s, job.ID, 0, func(j bulkexport.Job, p *bulkexport.Part) {
		wantSame(t, "UpdatePart: fn gets the job as it is stored", j, job)
		wantSame(t, "UpdatePart: fn gets the part as it is stored", *p, before)
		*p = want
	})
	wantSame(t, "UpdatePart: returns the part as fn left it", got, want)
	wantSame(t, "UpdatePart: stores the part as fn left it", mustParts(t, s, job.ID, 1)[0], want)
}

func updateOnePart(t tester, s bulkexport.JobStore) {
	job, other := createJob(t, s, 0, 3), createJob(t, s, 1, 3)
	mustUpdatePart(t, s, job.ID, 1, func(_ bulkexport.Job, p *bulkexport.Part) { p.Done = true })
	want := newPlan(3, "Patient")
	want[1].Done = true
	wantSame(t, "UpdatePart: changes one part", mustParts(t, s, job.ID, 3), want)
	wantSame(t, "UpdatePart: does not change the job", mustGet(t, s, job.ID), job)
	wantSame(t, "UpdatePart: does not change another job's parts",
		mustParts(t, s, other.ID, 3), newPlan(3, "Patient"))
}

// manyFiles makes a record of about a megabyte, more than a short text column
// takes.
func manyFiles(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 1)
	files := make([]bulkexport.File, 5000)
	for i := range files {
		fillFrom(t, &files[i], 10*i)
	}
	mustUpdatePart(t, s, job.ID, 0, func(_ bulkexport.Job, p *bulkexport.Part) { p.Files = files })
	wantSame(t, "UpdatePart: the list of files has no bound",
		mustParts(t, s, job.ID, 1)[0].Files, files)
}
