package storetest

import (
	"github.com/bulkexport/bulkexport"
)

func planCases() []testCase {
	return []testCase{
		{Plans, "the first plan stays", alone(secondPlan)},
		{Plans, "an empty plan does not count", alone(emptyPlan)},
		{Plans, "thousands of parts", alone(manyParts)},
	}
}

// secondPlan is a planner that was thought dead and comes back: the parts that
// others work on must stay, whatever it brings.
func secondPlan(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 3)
	mustUpdatePart(t, s, job.ID, 0, func(_ bulkexport.Job, p *bulkexport.Part) { p.Attempt = 1 })
	want := mustParts(t, s, job.ID, 3)
	for _, n := range []int{0, 1, 3, 5} {
		mustSetParts(t, s, job.ID, newPlan(n, "Observation"))
		wantSame(t, "SetParts: does nothing when the job has parts", mustParts(t, s, job.ID, 3), want)
	}
	wantSame(t, "SetParts: does not change the job", mustGet(t, s, job.ID), job)
}

func emptyPlan(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 0)
	mustSetParts(t, s, job.ID, nil)
	mustParts(t, s, job.ID, 0)
	mustSetParts(t, s, job.ID, newPlan(2, "Patient"))
	mustParts(t, s, job.ID, 2)
}

// manyParts touches parts at the edges of likely batches too.
func manyParts(t tester, s bulkexport.JobStore) {
	const n = 2500
	job := createJob(t, s, 0, 0)
	want := newPlan(n, "Patient")
	for i := range want {
		want[i].Total = int64(i)
	}
	mustSetParts(t, s, job.ID, want)
	for _, i := range []int{0, 999, 1000, n - 1} {
		want[i].Attempt = 1
		mustUpdatePart(t, s, job.ID, i, func(_ bulkexport.Job, p *bulkexport.Part) { p.Attempt = 1 })
	}
	wantSame(t, "SetParts: a plan has thousands of parts", mustParts(t, s, job.ID, n), want)
}
