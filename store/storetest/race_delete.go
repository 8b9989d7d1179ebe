package storetest

import (
	"errors"
	"sync/atomic"

	"github.com/bulkexport/bulkexport"
)

func deleteRaceCases() []testCase {
	return []testCase{
		{Atomicity, "an update of a part sees the job as last updated", both(partSeesJob)},
		{Atomicity, "a job does not change in the middle of an update of its part", both(intrudeOnPart)},
		{Atomicity, "no part is stored once its job is marked deleted", both(raceMarkDeleted)},
		{Atomicity, "a job that is deleted in the middle of an update stays deleted", both(deleteInUpdate)},
		{Atomicity, "a part whose job is deleted in the middle of an update stays deleted", both(deleteInPart)},
		{Atomicity, "a plan that races with a deletion leaves no parts", both(racePlanDeletion)},
	}
}

var errNotRunning = errors.New("the job is not running")

func markDeleted(j *bulkexport.Job) error {
	j.State = bulkexport.JobDeleted
	return nil
}

// partSeesJob has both stores look before the job changes, since one of them
// may remember.
func partSeesJob(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 1).ID
	see := func(s bulkexport.JobStore, want bulkexport.JobState) {
		mustUpdatePart(t, s, id, 0, func(j bulkexport.Job, _ *bulkexport.Part) {
			if j.State != want {
				t.Errorf("UpdatePart: fn sees the job as last updated: got %s, want %s", j.State, want)
			}
		})
	}
	see(s, bulkexport.JobRunning)
	see(rival, bulkexport.JobRunning)
	if _, err := rival.UpdateJob(t.Context(), id, markDeleted); err != nil {
		t.Fatalf("UpdateJob: an update that is not refused is stored; got error: %v", err)
	}
	see(s, bulkexport.JobDeleted)
	see(rival, bulkexport.JobDeleted)
}

// intrudeOnPart marks the job deleted while the function of UpdatePart, which
// has seen it running, has not returned. The mark may wait, or the function may
// be called again; but what it made of a running job must not be stored.
func intrudeOnPart(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 1).ID
	other := newIntruder(func() {
		if _, err := rival.UpdateJob(t.Context(), id, markDeleted); err != nil {
			t.Errorf("UpdateJob: waits for its turn; got error: %v", err)
		}
	})
	stale := false
	_, err := s.UpdatePart(t.Context(), id, 0, func(j bulkexport.Job, p *bulkexport.Part) error {
		if j.State != bulkexport.JobRunning {
			return errNotRunning
		}
		stale = other.intrude()
		p.Done = true
		return nil
	})
	other.wait()
	if err == nil && stale {
		t.Errorf("UpdatePart: the job is not updated between fn's reading it and the part's being stored")
	}
	if err != nil && !errors.Is(err, errNotRunning) {
		t.Errorf("UpdatePart: waits for its turn; got error: %v", err)
	}
}

// raceMarkDeleted has workers that stop when they see that the job is not
// running. Once the mark is made, whatever they still have on the way must not
// be stored: the parts do not change any more.
func raceMarkDeleted(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, writers).ID
	var begun atomic.Int32
	var marked atomic.Bool
	var atMark []bulkexport.Part
	together(writers+1, func(i int) {
		if i < writers {
			updateWhileRunning(t, either(i, s, rival), id, i, &begun, &marked)
			return
		}
		for begun.Load() < writers && t.Context().Err() == nil {
			if _, err := s.Job(t.Context(), id); err != nil {
				t.Errorf("Job: is read beside updates; got error: %v", err)
			}
		}
		if _, err := rival.UpdateJob(t.Context(), id, markDeleted); err != nil {
			t.Errorf("UpdateJob: waits for its turn; got error: %v", err)
		}
		marked.Store(true)
		atMark, _ = s.Parts(t.Context(), id)
	})
	wantSame(t, "UpdatePart: stores nothing once the job is marked deleted, if fn refuses that",
		mustParts(t, s, id, writers), atMark)
}

// updateWhileRunning counts in begun when it has made its first update. It ends
// some time even where the mark never gets its turn.
func updateWhileRunning(
	t tester, s bulkexport.JobStore, id string, index int, begun *atomic.Int32, marked *atomic.Bool,
) {
	var err error
	for i := 0; i < 10*updates && err == nil; i++ {
		stale := false
		_, err = s.UpdatePart(t.Context(), id, index,
			func(j bulkexport.Job, p *bulkexport.Part) error {
				stale = marked.Load()
				if j.State != bulkexport.JobRunning {
					return errNotRunning
				}
				return addProcessed(j, p)
			})
		if err == nil && stale {
			t.Errorf("UpdatePart: stores nothing that is made of a job as it was before its last update")
		}
		if i == 0 {
			begun.Add(1)
		}
	}
	if err != nil && !errors.Is(err, errNotRunning) {
		t.Errorf("UpdatePart: waits for its turn; got error: %v", err)
	}
}

// deleteInUpdate deletes the job while an update is on the way. Either may come
// first, but in the end the job is gone.
func deleteInUpdate(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 1).ID
	other := newIntruder(func() {
		if err := rival.DeleteJob(t.Context(), id); err != nil {
			t.Errorf("DeleteJob: waits for its turn; got error: %v", err)
		}
	})
	_, err := s.UpdateJob(t.Context(), id, func(j *bulkexport.Job) error {
		other.intrude()
		return addFailure(j)
	})
	other.wait()
	wantGone(t, s, "UpdateJob", id, err)
}

func deleteInPart(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 1).ID
	other := newIntruder(func() {
		if err := rival.DeleteJob(t.Context(), id); err != nil {
			t.Errorf("DeleteJob: waits for its turn; got error: %v", err)
		}
	})
	_, err := s.UpdatePart(t.Context(), id, 0, func(j bulkexport.Job, p *bulkexport.Part) error {
		other.intrude()
		return addProcessed(j, p)
	})
	other.wait()
	wantGone(t, s, "UpdatePart", id, err)
}

// wantGone checks that neither the job nor a part is there. A part without a
// job shows when the id is used again.
func wantGone(t tester, s bulkexport.JobStore, method, id string, updateErr error) {
	t.Helper()
	if updateErr != nil && !errors.Is(updateErr, bulkexport.ErrJobNotFound) {
		t.Errorf("%s: comes before the deletion or finds no job; got error: %v", method, updateErr)
	}
	_, err := s.Job(t.Context(), id)
	wantErr(t, method+": does not bring a deleted job back", err, bulkexport.ErrJobNotFound)
	if err != nil {
		createJob(t, s, 0, 0)
	}
	mustParts(t, s, id, 0)
}

// racePlanDeletion starts the two in turn, since whoever is started first tends
// to win.
func racePlanDeletion(t tester, s, rival bulkexport.JobStore) {
	for round := range updates {
		id := createJob(t, s, 0, 0).ID
		var planErr, deleteErr error
		together(2, func(i int) {
			if i == round%2 {
				planErr = s.SetParts(t.Context(), id, newPlan(20, "Patient"))
			} else {
				deleteErr = rival.DeleteJob(t.Context(), id)
			}
		})
		if deleteErr != nil {
			t.Errorf("DeleteJob: waits for its turn; got error: %v", deleteErr)
		}
		wantGone(t, s, "SetParts", id, planErr)
		mustDelete(t, s, id)
	}
}
