package storetest

import (
	"context"
	"errors"
	"time"

	"github.com/bulkexport/bulkexport"
)

func revisionCases() []testCase {
	return []testCase{
		{Revisions, "a revision grows with each change", ofRevisions(revise)},
		{Revisions, "a revision stays as long as nothing changes", ofRevisions(reviseNothing)},
		{Revisions, "an unknown job has no revision", ofRevisions(reviseAbsent)},
		{Revisions, "an ended context ends the call", ofRevisions(reviseCancelled)},
	}
}

// revising are two stores that tell revisions.
type revising struct {
	s, rival                   bulkexport.JobStore
	revisions, rivalsRevisions bulkexport.StoreRevisions
}

// ofRevisions makes the body of a case that has nothing to say of a store without
// revisions.
func ofRevisions(run func(t tester, on revising)) func(tester, stores) {
	return func(t tester, on stores) {
		revisions, ok := on.s.(bulkexport.StoreRevisions)
		rivals, both := on.rival.(bulkexport.StoreRevisions)
		if ok && both {
			run(t, revising{on.s, on.rival, revisions, rivals})
		}
	}
}

// revision returns the one of a job that is there.
func revision(t tester, s bulkexport.StoreRevisions, id string) int64 {
	t.Helper()
	n, err := s.Revision(t.Context(), id)
	if err != nil {
		t.Fatalf("Revision: a stored job has one; got error: %v", err)
	}
	return n
}

// change is a call that changes a job.
type change struct {
	name string
	make func()
}

// changes are those of a job without a plan, in this order.
func changes(t tester, s bulkexport.JobStore, id string) []change {
	t.Helper()
	update := func() { mustUpdate(t, s, id, func(j *bulkexport.Job) { j.Failures++ }) }
	return []change{
		{"UpdateJob", update},
		{"SetParts", func() { mustSetParts(t, s, id, newPlan(3, "Patient")) }},
		{"UpdatePart", func() { touch(t, s, id, 1) }},
		{"UpdatePart of another part", func() { touch(t, s, id, 2) }},
		{"UpdatePart of the first one", func() { touch(t, s, id, 1) }},
		{"UpdateJob", update},
	}
}

func touch(t tester, s bulkexport.JobStore, id string, part int) {
	t.Helper()
	mustUpdatePart(t, s, id, part, func(_ bulkexport.Job, p *bulkexport.Part) { p.Seen++ })
}

func wantGrowth(t tester, writer bulkexport.JobStore, reader bulkexport.StoreRevisions, id string) {
	t.Helper()
	before := revision(t, reader, id)
	for _, c := range changes(t, writer, id) {
		c.make()
		after := revision(t, reader, id)
		if after <= before {
			t.Errorf("Revision: grows with %s: got %d after %d", c.name, after, before)
		}
		before = after
	}
}

func revise(t tester, on revising) {
	job := createJob(t, on.s, 0, 0)
	createJob(t, on.s, 1, 2)
	wantGrowth(t, on.s, on.revisions, job.ID)
}

func reviseByRival(t tester, on revising) {
	first, second := createJob(t, on.s, 0, 0), createJob(t, on.s, 1, 0)
	wantGrowth(t, on.s, on.rivalsRevisions, first.ID)
	wantGrowth(t, on.rival, on.revisions, second.ID)
}

// reviseNothing also changes another job: polls of one are not to pay for the
// rest.
func reviseNothing(t tester, on revising) {
	job, other := createJob(t, on.s, 0, 2), createJob(t, on.s, 1, 2)
	before := revision(t, on.revisions, job.ID)
	mustGet(t, on.s, job.ID)
	mustParts(t, on.s, job.ID, 2)
	touch(t, on.s, other.ID, 0)
	mustUpdate(t, on.s, other.ID, func(j *bulkexport.Job) { j.Failures++ })
	if after := revision(t, on.revisions, job.ID); after != before {
		t.Errorf("Revision: stays as long as the job does: got %d after %d", after, before)
	}
}

func reviseAbsent(t tester, on revising) {
	job := createJob(t, on.s, 0, 2)
	mustDelete(t, on.s, job.ID)
	for _, id := range []string{job.ID, jobID(1), "", "%", "a\x00b", "\xff"} {
		_, err := on.revisions.Revision(t.Context(), id)
		wantErr(t, "Revision: an unknown job has none", err, bulkexport.ErrJobNotFound)
	}
}

func reviseCancelled(t tester, on revising) {
	job := createJob(t, on.s, 0, 0)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("another cause"))
	_, err := on.revisions.Revision(ctx, job.ID)
	wantErr(t, "Revision: an ended context ends the call", err, context.Canceled)
	late, end := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer end()
	_, err = on.revisions.Revision(late, job.ID)
	wantErr(t, "Revision: a passed deadline ends the call", err, context.DeadlineExceeded)
}
