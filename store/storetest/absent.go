package storetest

import (
	"context"
	"math"

	"github.com/bulkexport/bulkexport"
)

func absentCases() []testCase {
	return []testCase{
		{Absent, "an unknown job is not found by any method", alone(absentJob)},
		{Absent, "an unknown job is not created by any method", alone(absentStays)},
		{Absent, "deleting nothing is no error", alone(deleteAbsent)},
		{Absent, "an unknown part is not found", alone(absentPart)},
		{Absent, "an empty store lists nothing", alone(listNothing)},
	}
}

// call is one method of the contract that takes the id of a job.
type call struct {
	name string
	do   func(ctx context.Context, s bulkexport.JobStore, id string) error
}

// jobCalls are the methods that need the job to exist. Each changes it, if it
// can; called is told when the function of an update is called.
func jobCalls(called func(method string)) []call {
	return []call{
		{"Job", func(ctx context.Context, s bulkexport.JobStore, id string) error {
			_, err := s.Job(ctx, id)
			return err
		}},
		{"UpdateJob", func(ctx context.Context, s bulkexport.JobStore, id string) error {
			_, err := s.UpdateJob(ctx, id, func(j *bulkexport.Job) error {
				called("UpdateJob")
				j.Failures++
				return nil
			})
			return err
		}},
		{"SetParts", func(ctx context.Context, s bulkexport.JobStore, id string) error {
			return s.SetParts(ctx, id, newPlan(2, "Patient"))
		}},
		{"Parts", func(ctx context.Context, s bulkexport.JobStore, id string) error {
			_, err := s.Parts(ctx, id)
			return err
		}},
		{"UpdatePart", func(ctx context.Context, s bulkexport.JobStore, id string) error {
			_, err := s.UpdatePart(ctx, id, 0, func(_ bulkexport.Job, p *bulkexport.Part) error {
				called("UpdatePart")
				p.Failures++
				return nil
			})
			return err
		}},
	}
}

func neverCalled(t tester) func(string) {
	return func(method string) {
		t.Errorf("%s: fn is not called when there is nothing to update", method)
	}
}

func absentJob(t tester, s bulkexport.JobStore) {
	createJob(t, s, 0, 2)
	for _, c := range jobCalls(neverCalled(t)) {
		wantErr(t, c.name+": an unknown job is not found",
			c.do(t.Context(), s, jobID(1)), bulkexport.ErrJobNotFound)
	}
}

// absentStays tries all methods on a job that comes into being afterwards.
func absentStays(t tester, s bulkexport.JobStore) {
	for _, c := range jobCalls(func(string) {}) {
		_ = c.do(t.Context(), s, jobID(0))
		if _, err := s.Job(t.Context(), jobID(0)); err == nil {
			t.Errorf("%s: a job that does not exist is not created", c.name)
		}
	}
	// What a method may have stored for later would come up now.
	createJob(t, s, 0, 0)
	mustParts(t, s, jobID(0), 0)
}

// deleteAbsent deletes what never was, and what is gone: the clean-up may be told
// of a job any number of times.
func deleteAbsent(t tester, s bulkexport.JobStore) {
	job := createJob(t, s, 0, 1)
	mustDelete(t, s, jobID(1))
	mustDelete(t, s, job.ID)
	mustDelete(t, s, job.ID)
}

// absentPart tells a part that is not in the plan from a job that does not
// exist, which has an error of its own.
func absentPart(t tester, s bulkexport.JobStore) {
	planned, unplanned := createJob(t, s, 0, 2), createJob(t, s, 1, 0)
	update := func(id string, index int) error {
		_, err := s.UpdatePart(t.Context(), id, index, func(bulkexport.Job, *bulkexport.Part) error {
			neverCalled(t)("UpdatePart")
			return nil
		})
		return err
	}
	for _, index := range []int{-1, 2, math.MaxInt} {
		wantErr(t, "UpdatePart: an index outside the plan is not found",
			update(planned.ID, index), bulkexport.ErrPartNotFound)
	}
	wantErr(t, "UpdatePart: a job without a plan has no part",
		update(unplanned.ID, 0), bulkexport.ErrPartNotFound)
	mustParts(t, s, planned.ID, 2)
	mustParts(t, s, unplanned.ID, 0)
}

func listNothing(t tester, s bulkexport.JobStore) {
	jobs, err := s.Jobs(t.Context(), bulkexport.JobFilter{})
	if err != nil || len(jobs) != 0 {
		t.Errorf("Jobs: an empty store has no jobs and that is no error: got %d jobs, error %v",
			len(jobs), err)
	}
}
