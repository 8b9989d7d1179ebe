package storetest

import (
	"github.com/bulkexport/bulkexport"
)

func deletionCases() []testCase {
	return []testCase{
		{Deletion, "a deleted job is absent", alone(deleteJob)},
		{Deletion, "other jobs stay", alone(deleteOneJob)},
		{Deletion, "the id is free again, without the parts", alone(reuseID)},
	}
}

func deleteJob(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 2)
	mustDelete(t, s, job.ID)
	for _, c := range jobCalls(neverCalled(t)) {
		wantErr(t, c.name+": a deleted job is not found",
			c.do(t.Context(), s, job.ID), bulkexport.ErrJobNotFound)
	}
}

func deleteOneJob(t tester, s bulkexport.JobStore) {
	job, other := createJob(t, s, 0, 2), createJob(t, s, 1, 2)
	mustDelete(t, s, job.ID)
	wantSame(t, "DeleteJob: removes one job", mustGet(t, s, other.ID), other)
	mustParts(t, s, other.ID, 2)
}

// reuseID finds what a deletion has left behind: ids are not used twice, but
// what is left would stay for ever.
func reuseID(t tester, s bulkexport.JobStore) {
	createJob(t, s, 0, 2)
	mustDelete(t, s, jobID(0))
	want := fullJob(t, 0, 0)
	mustCreate(t, s, want)
	wantSame(t, "CreateJob: the id of a deleted job is free", mustGet(t, s, jobID(0)), want)
	mustParts(t, s, jobID(0), 0)
	mustSetParts(t, s, jobID(0), newPlan(1, "Patient"))
	mustParts(t, s, jobID(0), 1)
}
