package storetest

import (
	"github.com/bulkexport/bulkexport"
)

func persistenceCases() []testCase {
	return []testCase{
		{Persistence, "another store sees everything", both(reopenAll)},
		{Persistence, "both stores see each other's changes", both(seeEachOther)},
		{Persistence, "a revision grows with what another store changes", ofRevisions(reviseByRival)},
		{Persistence, "another store has the same clock", ofClocks(clockOfRival)},
		{Persistence, "another store counts the same", ofLimiters(limitOfRival)},
		{Persistence, "random calls on stores that come and go are answered as by one", randomSequences},
	}
}

func reopenAll(t tester, s, reopened bulkexport.JobStore) {
	job := fullJob(t, 0, 100)
	mustCreate(t, s, fullJob(t, 0, 0))
	mustUpdate(t, s, job.ID, func(j *bulkexport.Job) { *j = job })
	plan := fullPlan(t, 3)
	mustSetParts(t, s, job.ID, plan)
	plan[1] = fullPart(t, 1, 100)
	mustUpdatePart(t, s, job.ID, 1, func(_ bulkexport.Job, p *bulkexport.Part) { *p = plan[1] })
	createJob(t, s, 1, 1)
	mustDelete(t, s, jobID(1))

	wantSame(t, "Job: what was stored outlives the store", mustGet(t, reopened, job.ID), job)
	wantSame(t, "Parts: what was stored outlives the store", mustParts(t, reopened, job.ID, 3), plan)
	wantJobs(t, reopened, "what was stored and deleted outlives the store", bulkexport.JobFilter{}, 0)
}

// seeEachOther reads before each change too, since a store that remembers what
// it has read must notice the change.
func seeEachOther(t tester, s, rival bulkexport.JobStore) {
	job := createJob(t, s, 0, 1)
	stores := []bulkexport.JobStore{s, rival}
	for i := 1; i <= 4; i++ {
		writer, reader := stores[i%2], stores[(i+1)%2]
		mustUpdate(t, writer, job.ID, func(j *bulkexport.Job) { j.Failures = i })
		mustUpdatePart(t, writer, job.ID, 0, func(_ bulkexport.Job, p *bulkexport.Part) { p.Attempt = i })
		if got := mustGet(t, reader, job.ID).Failures; got != i {
			t.Errorf("Job: a read sees what another store has written: got %d, want %d", got, i)
		}
		if got := mustParts(t, reader, job.ID, 1)[0].Attempt; got != i {
			t.Errorf("Parts: a read sees what another store has written: got %d, want %d", got, i)
		}
		mustUpdatePart(t, reader, job.ID, 0, func(j bulkexport.Job, p *bulkexport.Part) {
			if j.Failures != i || p.Attempt != i {
				t.Errorf("UpdatePart: fn sees what another store has written: got %d and %d, want %d",
					j.Failures, p.Attempt, i)
			}
		})
	}
	mustDelete(t, s, job.ID)
	_, err := rival.Job(t.Context(), job.ID)
	wantErr(t, "Job: a read sees what another store has deleted", err, bulkexport.ErrJobNotFound)
}
