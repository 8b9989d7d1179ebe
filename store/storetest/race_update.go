package storetest

import (
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/bulkexport/bulkexport"
)

func updateRaceCases() []testCase {
	return []testCase{
		{Atomicity, "one of many creators of a job wins", both(raceCreate)},
		{Atomicity, "many updates of a job lose nothing", both(raceJob)},
		{Atomicity, "an update in the middle of another loses nothing", both(intrudeJob)},
		{Atomicity, "many updates of a part lose nothing", both(racePart)},
		{Atomicity, "an update in the middle of another of the same part loses nothing", both(intrudePart)},
		{Atomicity, "many updates of different parts lose nothing", both(raceParts)},
		{Atomicity, "one of many claims of a part wins", both(raceClaim)},
		{Atomicity, "an owner whose part was taken is refused", both(raceOwners)},
	}
}

func raceCreate(t tester, s, rival bulkexport.JobStore) {
	var won atomic.Int32
	together(writers, func(i int) {
		job := newJob(0)
		job.Failures = i
		switch err := either(i, s, rival).CreateJob(t.Context(), job); {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, bulkexport.ErrJobExists):
			t.Errorf("CreateJob: who comes late finds the id taken; got error: %v", err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("CreateJob: one of many creators wins: got %d", won.Load())
	}
}

// addFailure and addProcessed leave others time between reading and writing.
func addFailure(j *bulkexport.Job) error {
	failures := j.Failures
	runtime.Gosched()
	j.Failures = failures + 1
	return nil
}

func addProcessed(_ bulkexport.Job, p *bulkexport.Part) error {
	processed := p.Processed
	runtime.Gosched()
	p.Processed = processed + 1
	return nil
}

func raceJob(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 0).ID
	together(writers, func(i int) {
		for range updates {
			if _, err := either(i, s, rival).UpdateJob(t.Context(), id, addFailure); err != nil {
				t.Errorf("UpdateJob: waits for its turn; got error: %v", err)
			}
		}
	})
	if got := mustGet(t, s, id).Failures; got != writers*updates {
		t.Errorf("UpdateJob: no other update of the job comes in between: %d of %d are left",
			got, writers*updates)
	}
}

// intrudeJob makes sure of the overlap that raceJob leaves to chance.
func intrudeJob(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 0).ID
	other := newIntruder(func() {
		if _, err := rival.UpdateJob(t.Context(), id, addFailure); err != nil {
			t.Errorf("UpdateJob: waits for its turn; got error: %v", err)
		}
	})
	_, err := s.UpdateJob(t.Context(), id, func(j *bulkexport.Job) error {
		other.intrude()
		return addFailure(j)
	})
	other.wait()
	if got := mustGet(t, s, id).Failures; err != nil || got != 2 {
		t.Errorf("UpdateJob: no other update of the job comes in between: %d of 2 are left, error %v",
			got, err)
	}
}

func racePart(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 2).ID
	together(writers, func(i int) { updatePartOften(t, either(i, s, rival), id, 1) })
	wantProcessed(t, s, id, 0, writers*updates)
}

func intrudePart(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 1).ID
	other := newIntruder(func() {
		if _, err := rival.UpdatePart(t.Context(), id, 0, addProcessed); err != nil {
			t.Errorf("UpdatePart: waits for its turn; got error: %v", err)
		}
	})
	_, err := s.UpdatePart(t.Context(), id, 0, func(j bulkexport.Job, p *bulkexport.Part) error {
		other.intrude()
		return addProcessed(j, p)
	})
	other.wait()
	if err != nil {
		t.Errorf("UpdatePart: waits for its turn; got error: %v", err)
	}
	wantProcessed(t, s, id, 2)
}

// raceParts must hold for a store that keeps all parts in one record too.
func raceParts(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, writers).ID
	together(writers, func(i int) { updatePartOften(t, either(i, s, rival), id, i) })
	want := make([]int64, writers)
	for i := range want {
		want[i] = updates
	}
	wantProcessed(t, s, id, want...)
}

func updatePartOften(t tester, s bulkexport.JobStore, id string, index int) {
	for range updates {
		if _, err := s.UpdatePart(t.Context(), id, index, addProcessed); err != nil {
			t.Errorf("UpdatePart: waits for its turn; got error: %v", err)
		}
	}
}

func wantProcessed(t tester, s bulkexport.JobStore, id string, want ...int64) {
	t.Helper()
	for i, p := range mustParts(t, s, id, len(want)) {
		if p.Processed != want[i] {
			t.Errorf("UpdatePart: no other update of the part comes in between: %d of %d are left",
				p.Processed, want[i])
		}
	}
}

var errTaken = errors.New("the part is taken")

// raceClaim has workers that were all told of the same part.
func raceClaim(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 1).ID
	var won atomic.Int32
	together(writers, func(i int) {
		_, err := either(i, s, rival).UpdatePart(t.Context(), id, 0,
			func(_ bulkexport.Job, p *bulkexport.Part) error {
				if p.Attempt != 0 {
					return errTaken
				}
				runtime.Gosched()
				p.Attempt = 1
				return nil
			})
		switch {
		case err == nil:
			won.Add(1)
		case !errors.Is(err, errTaken):
			t.Errorf("UpdatePart: waits for its turn; got error: %v", err)
		}
	})
	if won.Load() != 1 {
		t.Errorf("UpdatePart: one of many claims wins: got %d", won.Load())
	}
}

// raceOwners lets workers take a part from each other. A commit is made only by
// the owner, so that the part holds exactly the commits that were accepted.
func raceOwners(t tester, s, rival bulkexport.JobStore) {
	id := createJob(t, s, 0, 1).ID
	var commits atomic.Int64
	together(writers, func(i int) {
		worker := either(i, s, rival)
		for range updates / 3 {
			mine, err := worker.UpdatePart(t.Context(), id, 0,
				func(_ bulkexport.Job, p *bulkexport.Part) error {
					p.Attempt++
					return nil
				})
			if err != nil {
				t.Errorf("UpdatePart: waits for its turn; got error: %v", err)
			}
			_, err = worker.UpdatePart(t.Context(), id, 0,
				func(j bulkexport.Job, p *bulkexport.Part) error {
					if p.Attempt != mine.Attempt {
						return errTaken
					}
					return addProcessed(j, p)
				})
			if err == nil {
				commits.Add(1)
			}
		}
	})
	wantProcessed(t, s, id, commits.Load())
	if got := mustParts(t, s, id, 1)[0].Attempt; got != writers*(updates/3) {
		t.Errorf("UpdatePart: every claim is counted: got %d, want %d", got, writers*(updates/3))
	}
}
