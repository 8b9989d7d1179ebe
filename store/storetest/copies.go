package storetest

import (
	"github.com/bulkexport/bulkexport"
)

func copyCases() []testCase {
	return []testCase{
		{Copies, "what CreateJob takes", alone(copyCreated)},
		{Copies, "what Job and Jobs return", alone(copyRead)},
		{Copies, "what the function of UpdateJob is given and leaves", alone(copyUpdated)},
		{Copies, "what UpdateJob returns", alone(copyUpdateResult)},
		{Copies, "what SetParts takes", alone(copyPlan)},
		{Copies, "what Parts returns", alone(copyParts)},
		{Copies, "what the function of UpdatePart is given and leaves", alone(copyUpdatedPart)},
		{Copies, "what UpdatePart returns", alone(copyPartResult)},
	}
}

// wantStored checks that the job in the store is still fullJob(0, seed).
func wantStored(t tester, s bulkexport.JobStore, rule string, seed int) {
	t.Helper()
	wantSame(t, rule, mustGet(t, s, jobID(0)), fullJob(t, 0, seed))
}

func wantStoredPart(t tester, s bulkexport.JobStore, rule string, seed int) {
	t.Helper()
	wantSame(t, rule, mustParts(t, s, jobID(0), 1)[0], fullPart(t, 0, seed))
}

// createFull stores a job and a part with all fields set, so that each slice of
// the contract is among them.
func createFull(t tester, s bulkexport.JobStore) {
	t.Helper()
	mustCreate(t, s, fullJob(t, 0, 0))
	mustSetParts(t, s, jobID(0), []bulkexport.Part{fullPart(t, 0, 0)})
}

func copyCreated(t tester, s bulkexport.JobStore) {
	job := fullJob(t, 0, 0)
	mustCreate(t, s, job)
	scribble(t, &job)
	wantStored(t, s, "CreateJob: the caller's slices stay the caller's", 0)
}

func copyRead(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	job := mustGet(t, s, jobID(0))
	scribble(t, &job)
	wantStored(t, s, "Job: returned slices are the caller's", 0)

	jobs, err := s.Jobs(t.Context(), bulkexport.JobFilter{})
	if err != nil || len(jobs) != 1 {
		t.Fatalf("Jobs: the stored job is listed: got %d jobs, error %v", len(jobs), err)
	}
	scribble(t, &jobs[0])
	wantStored(t, s, "Jobs: returned slices are the caller's", 0)
}

// copyUpdated changes, after the update, the slices that fn left in the job, and
// then the job itself, which fn has kept the address of.
func copyUpdated(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	given, left := &bulkexport.Job{}, fullJob(t, 0, 100)
	mustUpdate(t, s, jobID(0), func(j *bulkexport.Job) {
		*j = left
		given = j
	})
	scribble(t, &left)
	wantStored(t, s, "UpdateJob: slices that fn leaves in the job are copied", 100)
	*given = fullJob(t, 0, 200)
	wantStored(t, s, "UpdateJob: the job that fn was given is nobody's once it returned", 100)
}

func copyUpdateResult(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	left := fullJob(t, 0, 100)
	got := mustUpdate(t, s, jobID(0), func(j *bulkexport.Job) { *j = left })
	scribble(t, &left)
	wantSame(t, "UpdateJob: the returned job shares nothing with what fn left",
		got, fullJob(t, 0, 100))
	scribble(t, &got)
	wantStored(t, s, "UpdateJob: returned slices are the caller's", 100)
}

func copyPlan(t tester, s bulkexport.JobStore) {
	mustCreate(t, s, fullJob(t, 0, 0))
	plan := []bulkexport.Part{fullPart(t, 0, 0)}
	mustSetParts(t, s, jobID(0), plan)
	scribble(t, &plan[0])
	plan[0].Done = false
	wantStoredPart(t, s, "SetParts: the caller's slices stay the caller's", 0)
}

func copyParts(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	parts := mustParts(t, s, jobID(0), 1)
	scribble(t, &parts[0])
	parts[0].Done = false
	wantStoredPart(t, s, "Parts: returned slices are the caller's", 0)
}

func copyUpdatedPart(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	given, left := &bulkexport.Part{}, fullPart(t, 0, 100)
	mustUpdatePart(t, s, jobID(0), 0, func(j bulkexport.Job, p *bulkexport.Part) {
		scribble(t, &j)
		*p = left
		given = p
	})
	wantStored(t, s, "UpdatePart: the job that fn is given is a copy", 0)
	scribble(t, &left)
	wantStoredPart(t, s, "UpdatePart: slices that fn leaves in the part are copied", 100)
	*given = fullPart(t, 0, 200)
	wantStoredPart(t, s, "UpdatePart: the part that fn was given is nobody's once it returned", 100)
}

func copyPartResult(t tester, s bulkexport.JobStore) {
	createFull(t, s)
	left := fullPart(t, 0, 100)
	got := mustUpdatePart(t, s, jobID(0), 0, func(_ bulkexport.Job, p *bulkexport.Part) { *p = left })
	scribble(t, &left)
	wantSame(t, "UpdatePart: the returned part shares nothing with what fn left",
		got, fullPart(t, 0, 100))
	scribble(t, &got)
	wantStoredPart(t, s, "UpdatePart: returned slices are the caller's", 100)
}
